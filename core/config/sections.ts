import { type TObject, type TSchema, Type } from '@sinclair/typebox'
import { InstanceConfig, ServiceConfig } from '../../schemas/service.ts'
import type { PluginDefinition } from '../plugin.ts'
import { findFaults, type Path } from './check.ts'
import { fillDefaults } from './defaults.ts'
import { deepFreeze } from './freeze.ts'
import type { ProblemList } from './problem-list.ts'
import { type Mapping, overlay } from './settle.ts'
import type { Section } from './types.ts'

/** A kind of section that services may have: that of one plugin. */
export interface SectionKind {
  readonly name: string
  readonly schema: TObject
  /** True for plugins that bring instances up and down. */
  readonly starter: boolean
  /** What the plugin's options say where the section doesn't. */
  readonly inherited: Section
  /** The section of a service that doesn't name it; absent when the defaults alone don't satisfy the schema. */
  readonly unnamed: Section | undefined
}

/** A section with its defaults: each layer over the one before, all over the plugin's options; not checked yet. */
export function completeSection({ schema, inherited }: Pick<SectionKind, 'schema' | 'inherited'>, ...layers: unknown[]): Section {
  const merged = layers.reduce((base, layer) => overlay(schema, base, layer), inherited as unknown)
  return fillDefaults(schema, merged) as Section
}

/** What the options of a plugin say of keys that a schema has too. */
export const inheritedBy = ({ properties }: TObject, options: Section): Section =>
  Object.fromEntries(Object.entries(options).filter(([key]) => Object.hasOwn(properties, key)))

/** The section of a plugin that is on; `options` are its valid, complete options. */
export function sectionKind({ name, service: schema, starter }: PluginDefinition, options: Section): SectionKind | undefined {
  if (!schema) return undefined
  const inherited = inheritedBy(schema, options)
  const unnamed = completeSection({ schema, inherited })
  const valid = findFaults(schema, unnamed).length === 0
  return { name, schema, starter: starter !== undefined, inherited, unnamed: valid ? deepFreeze(unnamed) : undefined }
}

/** One schema of all that a service may hold, core and sections; what it requires counts for nothing, only where types are. */
export function serviceSchema(kinds: Iterable<Pick<SectionKind, 'name' | 'schema'>>): TObject {
  const sections: Record<string, TSchema> = Object.fromEntries([...kinds].map(({ name, schema }) => [name, schema]))
  const instance = Type.Object({ ...InstanceConfig.properties, ...sections })
  return Type.Object({ ...ServiceConfig.properties, instances: Type.Array(instance), ...sections })
}

/** One place where a service runs, as the file gives it. */
export interface Entry {
  readonly path: Path
  readonly value: Mapping
}

function reaches(value: unknown, path: Path): boolean {
  const [key, ...rest] = path
  if (key === undefined) return true
  return typeof value === 'object' && value !== null && key in value && reaches((value as Mapping)[key], rest)
}

/** The sections of a service and of each of its entries. */
export interface Sections {
  readonly service: Readonly<Record<string, Section>>
  readonly entries: readonly Readonly<Record<string, Section>>[]
  readonly named: readonly string[]
}

/** Completes and checks every section of one service; those of an entry go over those of the service. */
export function resolveSections(
  service: Entry,
  entries: readonly Entry[],
  kinds: Iterable<SectionKind>,
  problems: ProblemList,
): Sections {
  const shared: Record<string, Section> = {}
  const overrides: Record<string, Section>[] = entries.map(() => ({}))
  const named: string[] = []
  for (const kind of kinds) {
    const { name, schema, unnamed } = kind
    const own = service.value[name]
    const overriding = entries.filter((entry) => entry.value[name] !== undefined)
    if (own !== undefined || overriding.length > 0) named.push(name)
    const section = own === undefined ? unnamed : completeSection(kind, own)
    const faults = own === undefined ? [] : findFaults(schema, section)
    if (section !== undefined && faults.length === 0) shared[name] = section
    // What the service leaves open its entries may fill in, if all of them do.
    else if (overriding.length < entries.length || entries.length === 0)
      problems.addFaults(faults, ({ path }) => [...service.path, name, ...path])
    for (const [index, entry] of entries.entries()) {
      const over = entry.value[name]
      if (over === undefined) continue
      const complete = completeSection(kind, own, over)
      problems.addFaults(findFaults(schema, complete), ({ path, kind: fault }) => {
        const inherited = fault !== 'missing' && !reaches(over, path) && reaches(own, path)
        return [...(inherited ? service.path : entry.path), name, ...path]
      })
      Object.assign(overrides[index] ?? {}, { [name]: complete })
    }
  }
  return { service: shared, entries: overrides.map((over) => ({ ...shared, ...over })), named }
}
