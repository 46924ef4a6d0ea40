import { isDeepStrictEqual } from 'node:util'
import type { Config } from './types.ts'

/** Freezes plain data all the way down; returns it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const item of value instanceof Map ? value.values() : Object.values(value)) deepFreeze(item)
  return value
}

/** A mapping without a prototype, so that a service called `constructor` is not found unless there is one. */
export const dictionary = <T>(entries: Iterable<readonly [string, T]>): Readonly<Record<string, T>> =>
  Object.assign(Object.create(null), Object.fromEntries(entries))

/** True when two configurations mean the same; the order of plugins counts, as it is the order of their hooks. */
export const sameConfig = (a: Config, b: Config): boolean =>
  isDeepStrictEqual(a, b) && isDeepStrictEqual([...a.plugins.keys()], [...b.plugins.keys()])
