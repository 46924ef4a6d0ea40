const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
] as const

/** A duration for people: `340 ms`, `2.4 s`, `12 min`, `3 h`. */
export function duration(ms: number): string {
  for (const [unit, length] of UNITS) if (ms >= length * (unit === 'min' ? 2 : 1)) return `${Math.round(ms / length)} ${unit}`
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
}
