type Json = Record<string, unknown>

const isMapping = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const isSingle = (value: unknown): value is Json & { const: unknown } => isMapping(value) && Object.hasOwn(value, 'const')

const isNull = (value: unknown): boolean => isMapping(value) && value.type === 'null'

/**
 * Says what TypeBox spells out in the shorter words of JSON Schema: a choice of constants is an `enum`, and what may be null
 * besides has two types.
 */
export function tidy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(tidy)
  if (!isMapping(value)) return value
  const { anyOf, ...rest } = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, tidy(item)]))
  if (!Array.isArray(anyOf)) return anyOf === undefined ? rest : { anyOf, ...rest }
  if (anyOf.length > 0 && anyOf.every(isSingle)) {
    const types = [...new Set(anyOf.map(({ const: constant }) => typeof constant))]
    return { ...(types.length === 1 ? { type: types[0] } : {}), enum: anyOf.map((one) => one.const), ...rest }
  }
  const [one, ...others] = anyOf.filter((choice) => !isNull(choice)) as Json[]
  const isNullable = anyOf.some(isNull) && others.length === 0 && one
  if (isNullable && typeof one.type === 'string' && !one.enum) return { ...one, ...rest, type: [one.type, 'null'] }
  return { anyOf, ...rest }
}
