import { isMap, type Node, type YAMLMap } from 'yaml'
import { ServiceConfig } from '../../schemas/service.ts'
import type { Context, Surroundings } from './context.ts'
import { Draft } from './draft.ts'
import { placeInstances } from './instances.ts'
import { keyOf, type OldPair } from './old-file.ts'
import { placeQuantity, type Quantity } from './quantity.ts'
import { placeSemaphore } from './semaphore.ts'
import { instead, isNothing, own, pairsOf, textOf, truthOf } from './values.ts'

/** Where the server was if the file didn't say. */
const DEFAULT_URL = 'http://localhost:11434'

const NUMBERS: Readonly<Record<string, Quantity>> = {
  warmup_ms: { to: ['warmup_ms'] },
  idle_timeout_ms: { to: ['idle', 'timeout_ms'] },
  startup_timeout_ms: { to: ['start', 'timeout_ms'] },
  // The old count had the first attempt in it, and 0 meant 1.
  retry_count: { to: ['start', 'attempts'], atLeast: 1 },
  retry_delay_ms: { to: ['start', 'delay_ms'] },
  queue_size: { to: ['queue', 'size'] },
  request_timeout_seconds: { to: ['queue', 'timeout_ms'], times: 1000 },
}

/** Keys that others place, together with their neighbours. */
const TOGETHER = /^(?:base_url|instances|strategy|routing|model_key|by_model|semaphore_.*)$/

/** A service with its flat keys in sections. */
export function migrateService(id: string, old: Node | null, around: Surroundings): YAMLMap {
  const pairs = pairsOf(old)
  const draft = new Draft(['services', id], around.remarks, old)
  const find = (key: string): OldPair | undefined => pairs.find((pair) => keyOf(pair) === key)
  const usesSemaphore = truthOf(find('semaphore_enabled')?.value)
  const context = { draft, find, pairs, around, id }
  let placed = false
  for (const pair of pairs) {
    if (!TOGETHER.test(keyOf(pair))) placeOne(pair, context)
    else if (!keyOf(pair).startsWith('semaphore_')) {
      if (!placed) placeInstances(context, DEFAULT_URL)
      placed = true
    }
  }
  if (!placed) placeInstances(context, DEFAULT_URL)
  placeSemaphore(context, usesSemaphore)
  // Said nothing, the old gateway took a service for ready at once.
  const isProbed = draft.has(['health', 'url']) || draft.has(['health', 'tcp'])
  if (!isProbed && !draft.has(['warmup_ms'])) draft.put(['warmup_ms'], 0)
  return draft.finish()
}

function placeOne(pair: OldPair, context: Context): void {
  const { draft, around } = context
  const key = keyOf(pair)
  const number = own(NUMBERS, key)
  if (number) placeQuantity(pair, number, draft)
  else if (key === 'health_url' || key === 'health_endpoint') placeHealth(pair, context)
  else if (key === 'fallback_url') draft.put([key], pair.value, pair)
  else if (key === 'auth_required') placeAuth(pair, context)
  else if (key === 'machine_selector') placeMachine(pair, context)
  else if (around.sections.has(key) || Object.hasOwn(ServiceConfig.properties, key)) draft.put([key], pair.value, pair)
  else draft.leave(pair, 'Hestia has no such key')
}

/** A probe below the service's own address becomes a path, which holds for each of its instances. */
function placeHealth(pair: OldPair, { draft, find }: Context): void {
  if (isNothing(pair.value)) {
    draft.drop(pair)
    return
  }
  const url = textOf(pair.value)
  const listed = find('instances')?.value
  const instances = isMap(listed) ? [] : ((listed as { items?: unknown[] } | null)?.items ?? [])
  const own = [find('base_url')?.value, ...instances.map((item) => (isMap(item) ? item.get('url', true) : item))]
  const bases = own.map((node) => textOf(node)?.replace(/\/$/, '')).filter((base) => base !== undefined)
  const base = bases.find((candidate) => url?.startsWith(`${candidate}/`))
  draft.put(['health', 'url'], base && url ? instead(pair.value, url.slice(base.length)) : pair.value, pair)
}

function placeAuth(pair: OldPair, { draft, around: { hasAuth } }: Context): void {
  const isRequired = truthOf(pair.value)
  if (hasAuth && !isRequired) draft.put(['auth', 'public'], instead(pair.value, true), pair)
  else if (!hasAuth && isRequired)
    draft.leave(pair, 'with "plugins: { auth: ... }" every service asks for a key, without it none does')
  else draft.drop(pair)
}

function placeMachine(pair: OldPair, { draft, find, around: { machines } }: Context): void {
  const name = textOf(pair.value)
  if (name !== undefined && machines.has(name) && !find('instances')) draft.put(['machine'], pair.value, pair)
  else draft.leave(pair, 'a machine is named by "machine", or chosen by "requires", "tags" and routing_rules')
}
