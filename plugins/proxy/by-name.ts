/**
 * Looks up what is noted for some names of headers, in lower case; others are mostly told by their length, for less than a
 * spelling in lower case costs.
 */
export function byName<T>(entries: readonly (readonly [name: string, value: T])[]): (name: string) => T | undefined {
  const values = new Map(entries)
  const lengths = new Set(entries.map(([name]) => name.length))
  const has = Array.from({ length: Math.max(...lengths) + 1 }, (_, length) => lengths.has(length))
  return (name) => (has[name.length] ? values.get(name.toLowerCase()) : undefined)
}
