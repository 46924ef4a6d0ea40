import type { TSchema } from '@sinclair/typebox'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import { Value } from '@sinclair/typebox/value'
import { describe } from './describe.ts'
import { suggest } from './suggest.ts'

/** A way through a configuration: keys of mappings and indexes of lists. */
export type Path = readonly (string | number)[]

/** One thing that a schema doesn't accept. */
export interface Fault {
  /** Relative to the checked value. */
  readonly path: Path
  readonly kind: 'unknown' | 'missing' | 'wrong'
  readonly message: string
  /** What was found instead, for `wrong`. */
  readonly found?: unknown
}

const decodeStep = (part: string): string => part.replaceAll('~1', '/').replaceAll('~0', '~')

const parsePointer = (pointer: string): string[] => (pointer === '' ? [] : pointer.slice(1).split('/').map(decodeStep))

const needsQuotes = (schema: TSchema, value: unknown): boolean =>
  schema.type === 'string' && (typeof value === 'number' || typeof value === 'boolean')

/** One error of TypeBox, in our words. */
export function faultOf({ type, schema, path: pointer, value }: ValueError): Fault {
  const path = parsePointer(pointer)
  if (type === ValueErrorType.ObjectAdditionalProperties)
    return { path, kind: 'unknown', message: `unknown key${suggest(path.at(-1) ?? '', Object.keys(schema.properties ?? {}))}` }
  if (type === ValueErrorType.ObjectRequiredProperty)
    return { path, kind: 'missing', message: `is missing; expected ${describe(schema)}` }
  const quotes = needsQuotes(schema, value) ? ' (put it in quotes)' : ''
  return { path, kind: 'wrong', message: `expected ${describe(schema)}${quotes}`, found: value }
}

/** The errors of the alternative that comes nearest, when the value is a mapping or a list; else the union's own. */
function narrow(error: ValueError): ValueError[] {
  if (error.type !== ValueErrorType.Union || typeof error.value !== 'object' || error.value === null) return [error]
  const alternatives = error.errors
    .map((errors) => [...errors].flatMap(narrow))
    .filter((errors) => errors.every(({ path }) => path !== error.path))
    .toSorted((a, b) => a.length - b.length)
  return alternatives[0] ?? [error]
}

/** What is wrong with a value, one fault per path; empty when nothing is. Runs too rarely to be worth compiling schemas. */
export function findFaults(schema: TSchema, value: unknown): Fault[] {
  if (Value.Check(schema, value)) return []
  const faults = new Map<string, Fault>()
  for (const error of [...Value.Errors(schema, value)].flatMap(narrow)) {
    if (!faults.has(error.path)) faults.set(error.path, faultOf(error))
  }
  return [...faults.values()]
}
