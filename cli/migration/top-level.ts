import { isMap } from 'yaml'
import { RootConfig } from '../../schemas/config.ts'
import { placeAuth } from './auth.ts'
import type { Draft } from './draft.ts'
import { keyOf, type OldPair } from './old-file.ts'
import { placeQuantity } from './quantity.ts'
import { instead, isNothing, own, pairsOf, textOf } from './values.ts'

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
  else draft.put(['log', 'level'], instead(pair.value, own(LEVELS, level) ?? level), pair)
}

function placeFormat(pair: OldPair, draft: Draft): void {
  const format = own(FORMATS, textOf(pair.value)?.toLowerCase() ?? '')
  if (format === undefined) draft.leave(pair, 'formats are auto, pretty and json')
  else draft.put(['log', 'format'], instead(pair.value, format), pair)
}

type Place = (pair: OldPair, draft: Draft) => void

/** Places the pairs of a mapping each for itself. */
function spread(pair: OldPair, draft: Draft, places: Readonly<Record<string, Place>>): void {
  if (!isMap(pair.value)) draft.leave(pair, 'expected a mapping')
  else draft.drop(pair)
  for (const inner of pairsOf(pair.value)) {
    const place = own(places, keyOf(inner))
    if (place) place(inner, draft)
    else draft.leave(inner, 'Hestia has no such key', [keyOf(pair)])
  }
}

const at =
  (...target: readonly string[]): Place =>
  (pair, draft) => {
    if (isNothing(pair.value)) draft.drop(pair)
    else draft.put(['plugins', 'semaphore', ...target], pair.value, pair)
  }

const seconds =
  (...target: readonly string[]): Place =>
  (pair, draft) =>
    placeQuantity(pair, { to: ['plugins', 'semaphore', ...target], times: 1000, atLeast: 1 }, draft)

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
  enabled: (pair, draft) => draft.drop(pair),
}

function placeSemaphore(pair: OldPair, draft: Draft, isUsed: boolean): void {
  const place = own(SEMAPHORE, keyOf(pair).slice('semaphore_'.length))
  if (!isUsed) draft.leave(pair, 'no service has semaphore_enabled: true')
  else if (keyOf(pair) === 'semaphore') spread(pair, draft, SEMAPHORE)
  else if (place) place(pair, draft)
  else draft.leave(pair, 'Hestia has no such key')
}
