import { Type } from '@sinclair/typebox'
import { InstanceConfig, type ServiceConfig as Service, ServiceConfig } from '../../schemas/service.ts'
import { findFaults, type Path } from './check.ts'
import { fillDefaults } from './defaults.ts'
import { checkInstances, listEntries, nameOf, resolveFallback } from './instances.ts'
import type { ProblemList } from './problem-list.ts'
import { resolveSections } from './sections.ts'
import { isMapping, type Mapping, settle } from './settle.ts'
import { suggest } from './suggest.ts'
import type { Surroundings } from './surroundings.ts'
import type { ResolvedInstance, ResolvedService } from './types.ts'
import { checkUpstream } from './upstream.ts'

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
const ID_RULE = 'the name of a service begins with a letter or digit and has only letters, digits, ".", "_" and "-"'

const SERVICE_KEYS = Object.keys(ServiceConfig.properties)
const INSTANCE_KEYS = Object.keys(InstanceConfig.properties)
const FreeMapping = Type.Record(Type.String(), Type.Unknown())

const pick = (value: Mapping, keys: readonly string[]): Mapping =>
  Object.fromEntries(Object.entries(value).filter(([key]) => keys.includes(key)))

function refuseUnknown(
  value: Mapping,
  path: Path,
  coreKeys: readonly string[],
  { kinds, problems, explainUnknown }: Surroundings,
): void {
  for (const key of Object.keys(value)) {
    if (!coreKeys.includes(key) && !kinds.has(key))
      problems.add([...path, key], explainUnknown(key, [...coreKeys, ...kinds.keys()]), 'key')
  }
}

/** The part of a service that the core itself reads, with its defaults; undefined when something is wrong with it. */
function checkCore(settled: Mapping, path: Path, problems: ProblemList): Service | undefined {
  const { instances, ...rest } = pick(settled, SERVICE_KEYS)
  const entries = Array.isArray(instances)
    ? instances.map((entry) => (isMapping(entry) ? pick(entry, INSTANCE_KEYS) : entry))
    : instances
  const core = fillDefaults(ServiceConfig, entries === undefined ? rest : { ...rest, instances: entries })
  const faults = findFaults(ServiceConfig, core)
  problems.addFaults(faults, (fault) => [...path, ...fault.path])
  return faults.length === 0 ? (core as Service) : undefined
}

function resolveRouting(raw: unknown, name: unknown, path: Path, { strategies, problems }: Surroundings): Mapping {
  const strategy = typeof name === 'string' ? strategies.get(name) : undefined
  if (typeof name === 'string' && strategy === undefined) {
    const hint = strategies.size === 0 ? '; there are none' : suggest(name, strategies.keys())
    problems.add([...path, 'strategy'], 'expected the name of a strategy', 'value', { found: name, hint })
  }
  const place = [...path, 'routing']
  if (name === undefined && raw !== undefined)
    problems.add(place, 'these are options of a strategy, but the service has none; add "strategy: <name>"', 'key')
  const schema = strategy?.routing ?? FreeMapping
  const routing = fillDefaults(schema, settle(schema, raw ?? {}, place, problems.note))
  problems.addFaults(findFaults(schema, routing), (fault) => [...place, ...fault.path])
  return routing as Mapping
}

/**
 * Checks one service and fills in its defaults.
 * @returns undefined when so much is wrong with it that nothing can be made of it; the problems say what.
 */
export function resolveService(id: string, raw: unknown, around: Surroundings): ResolvedService | undefined {
  const { problems, kinds, machines, server, startersOf } = around
  const path = ['services', id]
  const problemsBefore = problems.size
  if (!ID.test(id)) problems.add(path, ID_RULE, 'key')
  if (raw !== null && !isMapping(raw)) {
    problems.add(path, 'expected a mapping', 'value', { found: raw })
    return undefined
  }
  const { routing: rawRouting, ...rest } = raw ?? {}
  const settled = settle(around.schema, rest, path, problems.note) as Mapping
  const entries = listEntries(settled, path, problems)
  refuseUnknown(rest, path, SERVICE_KEYS, around)
  if (Array.isArray(settled.instances)) for (const entry of entries) refuseUnknown(entry.value, entry.path, INSTANCE_KEYS, around)
  const core = checkCore(settled, path, problems)
  const routing = resolveRouting(rawRouting, settled.strategy, path, around)
  checkInstances(entries, machines, server, problems)
  checkUpstream(settled.fallback_url, [...path, 'fallback_url'], server, problems)
  const sections = resolveSections({ path, value: settled }, entries, kinds.values(), problems)
  if (!core) return undefined
  const instances = entries.map(({ value }, index): ResolvedInstance => {
    const instance = fillDefaults(InstanceConfig, pick(value, INSTANCE_KEYS)) as InstanceConfig
    return { ...instance, name: nameOf(value) ?? id, sections: sections.entries[index] ?? {} }
  })
  if (problems.size === problemsBefore) {
    const strategy = around.strategies.get(core.strategy ?? '')
    for (const sentence of strategy?.check?.({ id, instances, routing }) ?? []) problems.add([...path, 'routing'], sentence)
  }
  const own = sections.named.filter((name) => kinds.get(name)?.starter)
  return {
    id,
    instances,
    fallback: resolveFallback(core.fallback_url, [...path, 'fallback_url'], instances, sections.service, around),
    hosts: (core.hosts ?? []).map((host) => host.toLowerCase()),
    tags: core.tags,
    requires: core.requires,
    models: core.models,
    aliases: core.aliases,
    warmup_ms: core.warmup_ms,
    start: core.start,
    strategy: core.strategy,
    routing,
    sections: sections.service,
    named: sections.named,
    starters: [...new Set([...own, ...instances.flatMap(({ machine }) => (machine === undefined ? [] : startersOf(machine)))])],
  }
}
