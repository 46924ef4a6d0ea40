import { KindGuard, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { Path } from './check.ts'
import { childSchema, listSchema, takesMapping } from './schema.ts'
import { type Origin, Substituted } from './substitute.ts'

/** A mapping of the file. */
export type Mapping = Readonly<Record<string, unknown>>

export const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Substituted)

/** Told of every value that came from outside the file, and where it went. */
export type Note = (path: Path, origin: Origin) => void

function parseList(schema: TSchema, text: string): unknown {
  if (text.trimStart().startsWith('[')) {
    try {
      return JSON.parse(text)
    } catch {
      return text
    }
  }
  const parts = text.split(',').map((part) => part.trim())
  return parts.filter((part) => part !== '').map((part) => convertText(childSchema(schema, 0), part))
}

/**
 * What a text stands for where a schema is: itself where a text is accepted, else the number, boolean or null that it
 * spells, or a list in JSON or with commas. A text that spells nothing of that is returned as it is, to be refused.
 */
export function convertText(schema: TSchema, text: string): unknown {
  if (Value.Check(schema, text)) return text
  const list = listSchema(schema)
  if (list !== undefined) return parseList(list, text)
  const converted = Value.Convert(schema, text)
  // TypeBox makes 1 of "true" and of "1e3", and 12 of "12.7".
  return typeof converted === 'number' && Number(text) !== converted ? text : converted
}

/**
 * Copies a value of the file, gives every `Substituted` in it the type that the schema wants, and reads an empty mapping
 * where a key of one has nothing behind it.
 */
export function settle(schema: TSchema, value: unknown, path: Path, note: Note): unknown {
  if (value instanceof Substituted) {
    note(path, value.origin)
    return convertText(schema, value.text)
  }
  if (value === null && takesMapping(schema)) return {}
  if (Array.isArray(value)) return value.map((item, index) => settle(childSchema(schema, index), item, [...path, index], note))
  if (!isMapping(value)) return value
  const entries = Object.entries(value).map(
    ([key, item]) => [key, settle(childSchema(schema, key), item, [...path, key], note)] as const,
  )
  return Object.fromEntries(entries)
}

/** `own` over `base`, key by key; mappings with fixed keys are merged, everything else is replaced whole. */
export function overlay(schema: TSchema, base: unknown, own: unknown): unknown {
  if (own === undefined) return base
  if (!KindGuard.IsObject(schema) || !isMapping(base) || !isMapping(own)) return own
  const merged = Object.entries(own).map(([key, value]) => [key, overlay(childSchema(schema, key), base[key], value)] as const)
  return { ...base, ...Object.fromEntries(merged) }
}
