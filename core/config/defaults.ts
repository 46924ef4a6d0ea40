import { KindGuard, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { childSchema } from './schema.ts'
import { isMapping, type Mapping } from './settle.ts'

function fillMapping(schema: TSchema, value: Mapping, keys: readonly string[]): Mapping {
  const filled: Record<string, unknown> = { ...value }
  for (const key of keys) {
    const item = fillDefaults(childSchema(schema, key), value[key])
    if (item !== undefined) filled[key] = item
  }
  return filled
}

/**
 * A copy of a value with the defaults of its schema; what doesn't fit the schema stays as it is. TypeBox's own
 * `Value.Default` leaves out mappings with free keys and makes a mapping of a list that stands where one is expected.
 */
export function fillDefaults(schema: TSchema, value: unknown): unknown {
  if (value === undefined) return schema.default === undefined ? undefined : fillDefaults(schema, Value.Clone(schema.default))
  if (KindGuard.IsObject(schema)) return isMapping(value) ? fillMapping(schema, value, Object.keys(schema.properties)) : value
  if (KindGuard.IsRecord(schema)) return isMapping(value) ? fillMapping(schema, value, Object.keys(value)) : value
  if (KindGuard.IsArray(schema)) return Array.isArray(value) ? value.map((item) => fillDefaults(schema.items, item)) : value
  const nested = typeof value === 'object' && (KindGuard.IsUnion(schema) || KindGuard.IsIntersect(schema))
  return nested ? Value.Default(schema, Value.Clone(value)) : value
}
