/** Upper bounds in milliseconds: from an answer out of memory to a model that is loaded from a slow disk. */
export const BOUNDS_MS: readonly number[] = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000,
]

/** Durations, counted by size. Plain data, as it outlives the code that counts. */
export interface Histogram {
  count: number
  sumMs: number
  /** As many as there are bounds; what is beyond the last is in `count` alone. Not cumulative. */
  readonly buckets: number[]
}

export const newHistogram = (): Histogram => ({ count: 0, sumMs: 0, buckets: BOUNDS_MS.map(() => 0) })

export function observe(histogram: Histogram, ms: number): void {
  histogram.count++
  histogram.sumMs += ms
  for (let i = 0; i < BOUNDS_MS.length; i++) {
    if (ms > BOUNDS_MS[i]!) continue
    histogram.buckets[i]!++
    return
  }
}

export function merged(histograms: Iterable<Histogram>): Histogram {
  const all = newHistogram()
  for (const { count, sumMs, buckets } of histograms) {
    all.count += count
    all.sumMs += sumMs
    for (const [i, value] of buckets.entries()) all.buckets[i]! += value
  }
  return all
}

/**
 * The duration that a share of all did not exceed, in milliseconds, interpolated within its bucket as Prometheus' function
 * `histogram_quantile` does; the last bound stands for all beyond it.
 */
export function quantile({ count, buckets }: Histogram, share: number): number | undefined {
  if (count === 0) return undefined
  const rank = share * count
  let below = 0
  for (const [i, inside] of buckets.entries()) {
    if (inside > 0 && below + inside >= rank) {
      const lower = i === 0 ? 0 : BOUNDS_MS[i - 1]!
      return lower + (BOUNDS_MS[i]! - lower) * Math.max(0, (rank - below) / inside)
    }
    below += inside
  }
  return BOUNDS_MS.at(-1)
}
