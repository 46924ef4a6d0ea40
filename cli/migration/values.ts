import { isMap, isScalar, Scalar } from 'yaml'
import type { OldPair } from './old-file.ts'

/** What a node holds; texts that spell a number count as one, as they did in the old gateway. */
export function numberOf(node: unknown): number | undefined {
  if (!isScalar(node) || node.value === '' || typeof node.value === 'boolean' || node.value === null) return undefined
  const value = Number(node.value)
  return Number.isFinite(value) ? value : undefined
}

export const textOf = (node: unknown): string | undefined =>
  isScalar(node) && typeof node.value === 'string' ? node.value : undefined

export const truthOf = (node: unknown): boolean =>
  isScalar(node) && (node.value === true || /^(?:true|1|yes|on)$/i.test(String(node.value)))

export const isNothing = (node: unknown): boolean => node === null || (isScalar(node) && node.value === null)

/** What a table has under a key of a file, which may be called anything. */
export const own = <T>(table: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined

/** The pairs of a mapping; none of anything else. */
export const pairsOf = (node: unknown): OldPair[] => (isMap(node) ? (node.items as OldPair[]) : [])

/** A value in the place of another, with the comment that stood behind that. */
export function instead<T>(node: unknown, value: T): Scalar<T> {
  const made = new Scalar(value)
  if (isScalar(node) && node.comment) made.comment = node.comment
  return made
}
