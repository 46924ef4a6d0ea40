import { isMap, isSeq, YAMLMap } from 'yaml'
import { MachineConfig, RootConfig } from '../../schemas/config.ts'
import { placeAuth } from './auth.ts'
import type { Draft } from './draft.ts'
import { keyOf, type OldPair } from './old-file.ts'
import { placeNumber } from './service.ts'
import { instead, isNothing, pairsOf, textOf } from './values.ts'

const LEVELS: Readonly<Record<string, string>> = { warning: 'warn', critical: 'fatal', notset: 'trace' }
const FORMATS: Readonly<Record<string, string>> = { json: 'json', structured: 'json', text: 'pretty', console: 'pretty' }

/** What the file as a whole tells of its parts. */
interface Whole {
  readonly usesSemaphore: boolean
  readonly hasAuth: boolean
}

/** Places one key of the top level; `services` and `machines` are placed by others. */
export function placeTopLevel(pair: OldPair, draft: Draft, { usesSemaphore, hasAuth }: Whole): void {
  const key = keyOf(pair)
  const { value } = pair
  if (key === 'host' || key === 'port') draft.put(['server', key], value, pair)
  else if (key === 'log_level') placeLevel(pair, draft)
  else if (key === 'log_format') placeFormat(pair, draft)
  else if (key === 'logging') spread(pair, draft, { level: placeLevel, format: placeFormat })
  else if (key === 'semaphore' || key.startsWith('semaphore_')) placeSemaphore(pair, draft, usesSemaphore)
  else if (/^(?:auth|auth_enabled|api_keys?)$/.test(key)) placeAuth(pair, draft, hasAuth)
  else if (Object.hasOwn(RootConfig.properties, key)) draft.put([key], value, pair)
  else draft.leave(pair, 'Hestia has no such key')
}

function placeLevel(pair: OldPair, draft: Draft): void {
  const level = textOf(pair.value)?.toLowerCase()
  if (level === undefined) draft.leave(pair, 'expected a level')
  else draft.put(['log', 'level'], instead(pair.value, LEVELS[level] ?? level), pair)
}

function placeFormat(pair: OldPair, draft: Draft): void {
  const format = FORMATS[textOf(pair.value)?.toLowerCase() ?? '']
  if (format === undefined) draft.leave(pair, 'formats are auto, pretty and json')
  else draft.put(['log', 'format'], instead(pair.value, format), pair)
}

type Place = (pair: OldPair, draft: Draft) => void

/** Places the pairs of a mapping each for itself. */
function spread(pair: OldPair, draft: Draft, places: Readonly<Record<string, Place>>): void {
  if (!isMap(pair.value)) draft.leave(pair, 'expected a mapping')
  for (const inner of pairsOf(pair.value)) {
    const place = Object.hasOwn(places, keyOf(inner)) ? places[keyOf(inner)] : undefined
    if (place) place(inner, draft)
    else draft.leave(inner, 'Hestia has no such key', [keyOf(pair)])
  }
}

const at =
  (...target: readonly string[]): Place =>
  (pair, draft) => {
    if (!isNothing(pair.value)) draft.put(['plugins', 'semaphore', ...target], pair.value, pair)
  }

const seconds =
  (...target: readonly string[]): Place =>
  (pair, draft) =>
    placeNumber(pair, { to: ['plugins', 'semaphore', ...target], times: 1000, atLeast: 1 }, draft)

const SEMAPHORE: Readonly<Record<string, Place>> = {
  base_url: at('base_url'),
  url: at('base_url'),
  token: at('token'),
  api_token: at('token'),
  username: at('user'),
  user: at('user'),
  password: at('password'),
  project: at('project'),
  project_id: at('project'),
  timeout: seconds('timeout_ms'),
  task_timeout: seconds('task_timeout_ms'),
  poll_interval: seconds('poll_interval_ms'),
  enabled: () => undefined,
}

function placeSemaphore(pair: OldPair, draft: Draft, isUsed: boolean): void {
  const place = SEMAPHORE[keyOf(pair).slice('semaphore_'.length)]
  if (!isUsed) draft.leave(pair, 'no service has semaphore_enabled: true')
  else if (keyOf(pair) === 'semaphore') spread(pair, draft, SEMAPHORE)
  else if (place) place(pair, draft)
  else draft.leave(pair, 'Hestia has no such key')
}

/** `machines`, a mapping by name; a list with names becomes one. */
export function migrateMachines(pair: OldPair, draft: Draft, newDraft: (name: string, old?: YAMLMap) => Draft): Set<string> {
  const { value } = pair
  const entries: (readonly [string, unknown])[] = isSeq(value)
    ? value.items.map((item) => [textOf(isMap(item) && (item.get('name', true) ?? item.get('id', true))) ?? '', item])
    : pairsOf(value).map((each) => [keyOf(each), each.value])
  if (entries.some(([name, item]) => name === '' || !isMap(item))) {
    draft.leave(pair, 'expected machines with a name each')
    return new Set()
  }
  const machines = new YAMLMap()
  for (const [name, item] of entries) {
    const machine = newDraft(name, isMap(item) ? item : undefined)
    for (const each of pairsOf(item)) {
      if (Object.hasOwn(MachineConfig.properties, keyOf(each))) machine.put([keyOf(each)], each.value, each)
      else if (!isSeq(value) || !['id', 'name'].includes(keyOf(each))) machine.leave(each, 'a machine has no such key')
    }
    machines.set(name, machine.finish())
  }
  draft.put(['machines'], machines, pair)
  return new Set(entries.map(([name]) => name))
}
