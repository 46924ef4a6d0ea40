import { type TObject, Type } from '@sinclair/typebox'
import { MachineConfig } from '../../schemas/config.ts'
import type { PluginDefinition } from '../plugin.ts'
import { findFaults } from './check.ts'
import { fillDefaults } from './defaults.ts'
import type { PluginTable } from './plugins.ts'
import type { ProblemList } from './problem-list.ts'
import { completeSection, inheritedBy } from './sections.ts'
import { isMapping, type Mapping, settle } from './settle.ts'
import type { ResolvedMachine, Section } from './types.ts'

const CORE_KEYS = Object.keys(MachineConfig.properties)

/** The keys of machines that one plugin reads; no key has two owners. */
export interface MachineKind {
  readonly name: string
  readonly schema: TObject
  /** What the plugin's options say where a machine doesn't. */
  readonly inherited: Section
}

/** What the plugins that are on add to machines; a key that somebody else has already is a problem. */
export function machineKinds(
  plugins: readonly (readonly [PluginDefinition, Section])[],
  table: PluginTable,
  problems: ProblemList,
): MachineKind[] {
  const owners = new Map(CORE_KEYS.map((key) => [key, 'Hestia itself']))
  return plugins.flatMap(([{ name, machine: schema }, options]) => {
    if (!schema) return []
    for (const key of Object.keys(schema.properties)) {
      const owner = owners.get(key)
      if (owner !== undefined)
        problems.add(['plugins', table.keyOf(name)], `its key "${key}" of machines belongs to ${owner} already; rename it`, 'key')
      else owners.set(key, `the plugin "${name}"`)
    }
    return [{ name, schema, inherited: inheritedBy(schema, options) }]
  })
}

/** One schema of all that a machine may hold, for converting texts and naming variables. */
export const machineSchema = (schemas: readonly TObject[]): TObject =>
  Type.Object(Object.assign({}, MachineConfig.properties, ...schemas.map(({ properties }) => properties)))

const pick = (value: Mapping, keys: readonly string[]): Mapping =>
  Object.fromEntries(Object.entries(value).filter(([key]) => keys.includes(key)))

/** Checks all machines and fills in their defaults; those that are wrong are left out, and the problems say why. */
export function resolveMachines(
  machines: Mapping,
  kinds: readonly MachineKind[],
  problems: ProblemList,
  explainUnknown: (key: string, known: readonly string[]) => string,
): ReadonlyMap<string, ResolvedMachine> {
  const schema = machineSchema(kinds.map((kind) => kind.schema))
  const known = Object.keys(schema.properties)
  const resolved = new Map<string, ResolvedMachine>()
  for (const [name, raw] of Object.entries(machines)) {
    const path = ['machines', name]
    const before = problems.size
    const given = settle(schema, raw, path, problems.note)
    if (!isMapping(given)) {
      problems.add(path, 'expected a mapping', 'value', { found: raw })
      continue
    }
    for (const key of Object.keys(given))
      if (!known.includes(key)) problems.add([...path, key], explainUnknown(key, known), 'key')
    const core = fillDefaults(MachineConfig, pick(given, CORE_KEYS)) as MachineConfig
    problems.addFaults(findFaults(MachineConfig, core), (fault) => [...path, ...fault.path])
    const sections: Record<string, Section> = {}
    const named: string[] = []
    for (const kind of kinds) {
      const own = pick(given, Object.keys(kind.schema.properties))
      const isNamed = Object.keys(own).length > 0
      const section = completeSection(kind, own)
      const faults = findFaults(kind.schema, section)
      if (isNamed) named.push(kind.name)
      if (faults.length === 0) sections[kind.name] = section
      else if (isNamed) problems.addFaults(faults, (fault) => [...path, ...fault.path])
    }
    if (problems.size === before) resolved.set(name, { ...core, sections, named })
  }
  return resolved
}
