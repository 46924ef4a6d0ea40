import { KindGuard, type TSchema } from '@sinclair/typebox'

const CUT = 60

/** A value in a message: short, and on one line. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'a mapping'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > CUT ? `${text.slice(0, CUT)}...` : text
}

function range(least?: number, most?: number): string {
  if (least !== undefined && most !== undefined) return ` from ${least} to ${most}`
  if (least !== undefined) return ` of at least ${least}`
  return most === undefined ? '' : ` of at most ${most}`
}

function describeString({ minLength, maxLength, pattern, format }: TSchema): string {
  if (format) return `a text in the format ${format}`
  if (pattern) return `a text that matches ${pattern}`
  if (minLength === 1 && maxLength === undefined) return 'a text that is not empty'
  const length = range(minLength, maxLength)
  return length ? `a text with a length${length}` : 'a text'
}

function describeArray({ items, minItems, maxItems, uniqueItems }: TSchema): string {
  const length = minItems === 1 && maxItems === undefined ? ' that is not empty' : range(minItems, maxItems)
  return `a list${length}${items ? `, each ${describe(items)}` : ''}${uniqueItems ? ', none twice' : ''}`
}

const either = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`

/** What a schema accepts, in words that fit behind "expected"; a `title` of the schema says it better. */
export function describe(schema: TSchema): string {
  if (schema.title) return schema.title
  if (KindGuard.IsLiteral(schema)) return JSON.stringify(schema.const)
  if (KindGuard.IsUnion(schema)) return either([...new Set(schema.anyOf.map(describe))])
  if (KindGuard.IsInteger(schema)) return `a whole number${range(schema.minimum, schema.maximum)}`
  if (KindGuard.IsNumber(schema)) return `a number${range(schema.minimum, schema.maximum)}`
  if (KindGuard.IsBoolean(schema)) return 'true or false'
  if (KindGuard.IsNull(schema)) return 'null'
  if (KindGuard.IsString(schema)) return describeString(schema)
  if (KindGuard.IsArray(schema)) return describeArray(schema)
  if (KindGuard.IsTuple(schema)) return `a list of ${schema.maxItems}`
  if (KindGuard.IsObject(schema) || KindGuard.IsRecord(schema) || KindGuard.IsIntersect(schema)) return 'a mapping'
  return 'another value'
}
