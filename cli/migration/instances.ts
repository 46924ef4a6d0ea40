import { isMap, isScalar, isSeq, Scalar, YAMLMap, YAMLSeq } from 'yaml'
import { InstanceConfig } from '../../schemas/service.ts'
import type { Context } from './context.ts'
import { Draft } from './draft.ts'
import { keyOf, type OldPair } from './old-file.ts'
import { isNothing, pairsOf, textOf } from './values.ts'

const trimmed = (url: string): string => url.replace(/\/$/, '')

/** Where a service runs and who chooses: `base_url`, `instances`, `strategy` and its `routing`. */
export function placeInstances(context: Context, defaultUrl: string): void {
  const { draft, find } = context
  const base = find('base_url')
  const listed = find('instances')
  const routing = routingOf(context)
  const strategy = find('strategy')
  const isRouted = routing.has(['by_model'])
  const isNamed = strategy !== undefined && !isNothing(strategy.value)
  const isModelRouter = isNamed ? textOf(strategy.value) === 'model_router' : isRouted
  const mapped = isModelRouter ? urlsOf(routing.finish()) : []
  const entries = isSeq(listed?.value) && listed.value.items.length > 0 ? listed.value : undefined

  if (!isNamed && !isModelRouter && entries && base) {
    draft.put(['base_url'], base.value, base)
    draft.leave(listed!, 'without a strategy the old gateway sent everything to base_url')
  } else if (entries || mapped.length > 0) {
    const list = migrateEntries(context, entries, mapped)
    if (base) placeBase(context, base, list, isModelRouter)
    draft.put(['instances'], list, listed)
  } else {
    if (base && !isNothing(base.value)) draft.put(['base_url'], base.value, base)
    else draft.put(['base_url'], defaultUrl, base)
    if (listed && (isNothing(listed.value) || isSeq(listed.value))) draft.drop(listed)
    else if (listed) draft.leave(listed, 'expected a list')
  }
  if (isNamed) draft.put(['strategy'], strategy.value, strategy)
  else if (isModelRouter) draft.put(['strategy'], 'model_router', strategy)
  const given = find('routing')
  if (given && !isNamed && !isModelRouter) draft.leave(given, 'without a strategy nothing reads it')
  else if (routing.isEmpty) draft.takeComments(routing)
  else draft.put(['routing'], routing.finish(), given)
}

/** Options of the strategy, those that stood directly in the service included. */
function routingOf({ id, find, pairs, around }: Context): Draft {
  const old = find('routing')?.value
  const routing = new Draft(['services', id, 'routing'], around.remarks, isMap(old) ? old : undefined)
  for (const pair of pairsOf(old)) {
    if (keyOf(pair) === 'algorithm') routing.leave(pair, 'the load balancer is a weighted round robin')
    else routing.put([keyOf(pair)], pair.value, pair)
  }
  for (const pair of pairs.filter((each) => keyOf(each) === 'model_key' || keyOf(each) === 'by_model'))
    routing.put([keyOf(pair)], pair.value, pair)
  return routing
}

const urlsOf = (routing: YAMLMap): string[] =>
  pairsOf(routing.get('by_model', true))
    .map(({ value }) => textOf(value))
    .filter((url) => url !== undefined && /^https?:/.test(url)) as string[]

/** The instances, with those that only a mapping names. */
function migrateEntries({ id, around }: Context, entries: YAMLSeq | undefined, mapped: readonly string[]): YAMLSeq {
  const list = new YAMLSeq()
  list.commentBefore = entries?.commentBefore ?? null
  list.comment = entries?.comment ?? null
  for (const [index, item] of (entries?.items ?? []).entries()) {
    const draft = new Draft(['services', id, 'instances', index], around.remarks, isMap(item) ? item : undefined)
    if (isScalar(item)) draft.put(['url'], item)
    for (const pair of pairsOf(item)) {
      const key = keyOf(pair)
      if (key === 'models') draft.leave(pair, 'which model is where is told by routing.by_model, or by the instances themselves')
      else if (Object.hasOwn(InstanceConfig.properties, key) || around.sections.has(key)) draft.put([key], pair.value, pair)
      else draft.leave(pair, 'an instance has no such key')
    }
    list.add(draft.finish())
  }
  for (const url of new Set(mapped)) if (!hasUrl(list, url)) list.add(entry(url))
  return list
}

const entry = (url: string): YAMLMap => {
  const map = new YAMLMap()
  map.set('url', new Scalar(url))
  return map
}

const isAt = (item: YAMLMap, url: string): boolean => trimmed(textOf(item.get('url', true)) ?? '') === trimmed(url)

const hasUrl = (list: YAMLSeq, url: string): boolean => list.items.some((item) => isMap(item) && isAt(item, url))

/**
 * A service has either `base_url` or `instances`. What the mapping says nothing of went to `base_url`: so that is the only
 * instance with a weight. Of other strategies it was what is left when there is nothing else.
 */
function placeBase({ draft, find }: Context, base: OldPair, list: YAMLSeq, isModelRouter: boolean): void {
  const url = textOf(base.value)
  if (url === undefined) draft.leave(base, 'expected a URL')
  else if (isModelRouter) {
    if (!hasUrl(list, url)) list.items.unshift(entry(url))
    for (const item of list.items) if (isMap(item) && !isAt(item, url) && !item.has('weight')) item.set('weight', new Scalar(0))
    draft.drop(base)
    draft.remark(base, 'is one of the instances now, and the only one for requests that "by_model" says nothing of')
  } else if (hasUrl(list, url)) draft.drop(base)
  else {
    const fallback = find('fallback_url')?.value
    if (fallback && !isNothing(fallback)) draft.leave(base, 'a service has either "base_url" or "instances"')
    else {
      draft.put(['fallback_url'], base.value, base)
      draft.remark(base, 'is the fallback_url now: where requests go when no instance could be started')
    }
  }
}
