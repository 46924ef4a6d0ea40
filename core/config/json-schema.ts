import { KindGuard, type TObject, type TSchema } from '@sinclair/typebox'
import { MachineConfig, RootConfig } from '../../schemas/config.ts'
import { InstanceConfig, ServiceConfig } from '../../schemas/service.ts'
import type { PluginDefinition } from '../plugin.ts'
import type { Strategy } from '../strategy.ts'
import { DEFAULTS_KEY } from './plugin-list.ts'

/** JSON Schema of draft 07, which editors know best; what follows `$ref` is in `definitions`. */
export type JsonSchema = Readonly<Record<string, unknown>> | boolean

/** A text that `${...}` in it makes something else of; the loader checks what. */
const REFERENCE = { $ref: '#/definitions/reference' }

const DEFINITIONS = {
  reference: {
    type: 'string',
    pattern: '\\$\\{',
    description: 'A value from the environment or from a file: `${NAME}`, `${NAME:-default}`, `${file:/path}`.',
  },
}

const COPIED = ['title', 'description', 'default', 'examples'] as const
const BOUNDS = [
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'pattern',
  'minItems',
  'maxItems',
  'uniqueItems',
  'const',
  'enum',
] as const

const pick = (schema: TSchema, keys: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(keys.filter((key) => schema[key] !== undefined).map((key) => [key, schema[key]]))

/** Keys that a mapping must have: those that nothing fills in. */
const requiredOf = ({ required = [], properties }: TObject): string[] =>
  required.filter((key) => properties[key]?.default === undefined)

const withRequired = (keys: readonly string[]): object => (keys.length > 0 ? { required: keys } : {})

const convertAll = (schemas: Readonly<Record<string, TSchema>>): Record<string, JsonSchema> =>
  Object.fromEntries(Object.entries(schemas).map(([key, schema]) => [key, convert(schema)]))

/** A mapping with fixed keys; the loader reads an empty one where nothing stands behind a key. */
const objectOf = (schema: TObject, properties: Readonly<Record<string, JsonSchema>>): Record<string, unknown> => ({
  type: ['object', 'null'],
  properties,
  ...(schema.additionalProperties === false ? { additionalProperties: false } : {}),
})

/** The alternatives of a schema, each without its texts. */
function alternatives(schema: TSchema): JsonSchema[] {
  if (KindGuard.IsUnion(schema)) {
    const literals = schema.anyOf.filter((part) => KindGuard.IsLiteral(part)).map((part) => part.const as unknown)
    const others = schema.anyOf.filter((part) => !KindGuard.IsLiteral(part)).flatMap(alternatives)
    return [...(literals.length > 0 ? [{ enum: literals }] : []), ...others]
  }
  if (KindGuard.IsObject(schema))
    return [{ ...objectOf(schema, convertAll(schema.properties)), ...withRequired(requiredOf(schema)) }]
  if (KindGuard.IsRecord(schema)) {
    const values = Object.entries(schema.patternProperties as Record<string, TSchema>)
    const patternProperties = Object.fromEntries(values.map(([pattern, value]) => [pattern, convert(value)]))
    return [
      {
        type: ['object', 'null'],
        patternProperties,
        ...(schema.additionalProperties === false ? { additionalProperties: false } : {}),
      },
    ]
  }
  if (KindGuard.IsArray(schema)) return [{ type: 'array', ...pick(schema, BOUNDS), items: convert(schema.items) }]
  if (KindGuard.IsTuple(schema)) return [{ type: 'array', ...pick(schema, BOUNDS), items: (schema.items ?? []).map(convert) }]
  if (KindGuard.IsIntersect(schema)) return [{ allOf: schema.allOf.map(convert) }]
  return [pick(schema, ['type', ...BOUNDS])]
}

/** Whether a text could stand for what the schema accepts, as it can for all but mappings. */
const takesText = (schema: TSchema): boolean => {
  if (KindGuard.IsUnion(schema)) return schema.anyOf.some(takesText)
  return !KindGuard.IsObject(schema) && !KindGuard.IsRecord(schema) && !KindGuard.IsIntersect(schema)
}

/** Whether any text is accepted as it is. */
const takesAnyText = (schema: TSchema): boolean =>
  KindGuard.IsUnknown(schema) ||
  KindGuard.IsAny(schema) ||
  (KindGuard.IsString(schema) && schema.pattern === undefined && schema.format === undefined && schema.maxLength === undefined)

/** A schema of TypeBox as what the file may say at its place. */
function convert(schema: TSchema): JsonSchema {
  const texts = pick(schema, COPIED)
  const parts = alternatives(schema)
  const all = takesText(schema) && !takesAnyText(schema) ? [...parts, REFERENCE] : parts
  return all.length === 1 ? { ...(all[0] as object), ...texts } : { ...texts, anyOf: all }
}

/** Nothing need stand in a section that plugin options, or an entry of `instances`, may complete. */
const looseSection = (schema: TObject): JsonSchema => ({
  ...objectOf(schema, convertAll(schema.properties)),
  ...pick(schema, COPIED),
})

/** `then` and `otherwise` hold as `condition` does or doesn't. */
const when = (condition: JsonSchema, then: JsonSchema, otherwise?: JsonSchema): Record<string, JsonSchema> =>
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
  Object.fromEntries([['if', condition], ['then', then], ...(otherwise === undefined ? [] : [['else', otherwise] as const])])

const ON: JsonSchema = { anyOf: [{ type: ['boolean', 'null'] }, REFERENCE] }

function pluginEntry({ options, service, machine, name }: PluginDefinition, isStandard: boolean): JsonSchema {
  const closed = options === undefined && (service !== undefined || machine !== undefined)
  const mapping = options
    ? { ...objectOf(options, convertAll(options.properties)), ...withRequired(requiredOf(options)) }
    : { type: ['object', 'null'], ...(closed ? { additionalProperties: false } : {}) }
  const description = isStandard
    ? `The plugin \`${name}\` is on unless it is \`false\`; a mapping holds its options.`
    : `The plugin \`${name}\` comes on when it is listed; a mapping holds its options.`
  // `true` where something is required would be refused.
  const needs = options !== undefined && requiredOf(options).length > 0
  return { description, anyOf: [mapping, ...(needs ? [{ const: false }, REFERENCE] : (ON as { anyOf: JsonSchema[] }).anyOf)] }
}

/** What a service looks like, for who begins with one. */
const EXAMPLE = {
  base_url: 'http://127.0.0.1:11434',
  process: { command: ['ollama', 'serve'] },
  health: { url: '/api/tags' },
  idle: { timeout_ms: 300_000 },
}

const sectionName = (plugin: string): string => `section-${plugin}`

function serviceEntry(plugins: readonly PluginDefinition[], strategies: readonly Strategy[]): JsonSchema {
  const sections = plugins.flatMap(({ name, service, options }) => (service ? [{ name, schema: service, options }] : []))
  const loose = Object.fromEntries(sections.map(({ name }) => [name, { $ref: `#/definitions/${sectionName(name)}` }]))
  const needed = sections.flatMap(({ name, schema, options }) => {
    const keys = requiredOf(schema).filter((key) => options?.properties[key] === undefined)
    return keys.length > 0 ? [[name, { required: keys }] as const] : []
  })
  const instance = { ...objectOf(InstanceConfig, { ...convertAll(InstanceConfig.properties), ...loose }), required: ['url'] }
  const { instances, strategy, ...core } = ServiceConfig.properties
  const names = strategies.map(({ name }) => name).toSorted()
  const routings = strategies.flatMap(({ name, routing }) => {
    if (!routing) return []
    const isIts = { properties: { strategy: { const: name } }, required: ['strategy'] }
    return [when(isIts, { properties: { routing: convert(routing) } })]
  })
  return {
    ...objectOf(ServiceConfig, {
      ...convertAll(core),
      instances: { ...pick(instances, COPIED), type: 'array', minItems: 1, items: instance },
      // Those that are not known yet are for `hestia check` to find.
      strategy: { ...pick(strategy, COPIED), anyOf: [{ enum: names }, { type: 'string', minLength: 1 }] },
      ...loose,
    }),
    ...when(
      { required: ['instances'] },
      { properties: { base_url: false, machine: false } },
      { required: ['base_url'], properties: Object.fromEntries(needed) },
    ),
    ...(routings.length > 0 ? { allOf: routings } : {}),
    examples: [EXAMPLE],
  }
}

/**
 * One schema of the whole file for editors: the core, and all that these plugins and strategies add. It takes whatever the loader
 * takes, but for what only the environment completes; the loader knows more, as whether a name means something.
 * @param standard names of the plugins that are on without being listed
 */
export function configSchema(
  { plugins, strategies }: { readonly plugins: readonly PluginDefinition[]; readonly strategies: readonly Strategy[] },
  standard: readonly string[],
): JsonSchema {
  const sorted = plugins.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const machineKeys = Object.assign({}, ...sorted.map(({ machine }) => (machine ? convertAll(machine.properties) : {}))) as object
  const machine = {
    ...objectOf(MachineConfig, { ...convertAll(MachineConfig.properties), ...machineKeys }),
    ...withRequired(requiredOf(MachineConfig)),
  }
  const { machines: _machines, plugins: _plugins, services: _services, ...root } = RootConfig.properties
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: "Hestia's configuration",
    type: 'object',
    additionalProperties: false,
    properties: {
      ...convertAll(root),
      machines: {
        description: 'Computers that instances run on, by name.',
        type: ['object', 'null'],
        additionalProperties: machine,
      },
      plugins: {
        description:
          'What this build is made of: listed is on, `false` is off, a mapping holds options. Also packages and paths.',
        type: ['object', 'null'],
        properties: {
          [DEFAULTS_KEY]: {
            description: '`false`: nothing is on but what is listed here.',
            default: true,
            anyOf: [{ type: 'boolean' }, REFERENCE],
          },
          ...Object.fromEntries(sorted.map((plugin) => [plugin.name, pluginEntry(plugin, standard.includes(plugin.name))])),
        },
        additionalProperties: { anyOf: [{ type: ['object', 'boolean', 'null'] }, REFERENCE] },
      },
      services: {
        description: 'HTTP services by name, each reached at `/services/<name>/`.',
        type: ['object', 'null'],
        propertyNames: { pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' },
        additionalProperties: serviceEntry(sorted, strategies),
      },
    },
    definitions: {
      ...DEFINITIONS,
      ...Object.fromEntries(sorted.flatMap(({ name, service }) => (service ? [[sectionName(name), looseSection(service)]] : []))),
    },
  }
}
