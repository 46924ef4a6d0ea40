import { KindGuard, type TSchema, Type } from '@sinclair/typebox'

const ANYTHING = Type.Unknown()

function recordValue({ patternProperties, additionalProperties }: TSchema, key: string): TSchema | undefined {
  for (const [pattern, schema] of Object.entries((patternProperties ?? {}) as Record<string, TSchema>)) {
    if (new RegExp(pattern).test(key)) return schema
  }
  return typeof additionalProperties === 'object' ? additionalProperties : undefined
}

function find(schema: TSchema, key: string | number): TSchema | undefined {
  if (KindGuard.IsObject(schema))
    return Object.hasOwn(schema.properties, key) ? schema.properties[key] : recordValue(schema, String(key))
  if (KindGuard.IsRecord(schema)) return recordValue(schema, String(key))
  if (KindGuard.IsArray(schema)) return schema.items
  if (KindGuard.IsTuple(schema)) return schema.items?.[Number(key)]
  if (KindGuard.IsIntersect(schema)) return schema.allOf.map((part) => find(part, key)).find((part) => part !== undefined)
  if (!KindGuard.IsUnion(schema)) return undefined
  const parts = schema.anyOf.map((part) => find(part, key)).filter((part) => part !== undefined)
  return parts.length > 1 ? Type.Union(parts) : parts[0]
}

/** The schema of what stands under a key (or at an index); that of anything when the schema doesn't say. */
export const childSchema = (schema: TSchema, key: string | number): TSchema => find(schema, key) ?? ANYTHING

/** True when the schema takes a mapping and nothing else. */
export const takesMapping = (schema: TSchema): boolean => KindGuard.IsObject(schema) || KindGuard.IsRecord(schema)

/** The list among what a schema accepts. */
export function listSchema(schema: TSchema): TSchema | undefined {
  if (KindGuard.IsArray(schema)) return schema
  return KindGuard.IsUnion(schema) ? schema.anyOf.find((part) => KindGuard.IsArray(part)) : undefined
}

/** A place in a schema that holds one value or a list: what a variable of the environment can set. */
export interface Leaf {
  readonly path: readonly string[]
  readonly schema: TSchema
}

const isOpen = (schema: TSchema): boolean =>
  KindGuard.IsRecord(schema) || KindGuard.IsUnknown(schema) || KindGuard.IsAny(schema) || KindGuard.IsNever(schema)

/** All such places, in the order of the schema; mappings with free keys have none. */
export function leavesOf(schema: TSchema, path: readonly string[] = []): Leaf[] {
  if (KindGuard.IsObject(schema))
    return Object.entries(schema.properties).flatMap(([key, child]) => leavesOf(child, [...path, key]))
  if (KindGuard.IsIntersect(schema)) return schema.allOf.flatMap((part) => leavesOf(part, path))
  if (KindGuard.IsUnion(schema) && schema.anyOf.every((part) => KindGuard.IsObject(part) || isOpen(part))) return []
  return isOpen(schema) || path.length === 0 ? [] : [{ path, schema }]
}
