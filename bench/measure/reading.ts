import type { Running } from '../contestants/contestant.ts'
import { type Load, type LoadResult, load } from './load.ts'
import { usageOf, watchMemory } from './processes.ts'

/** What a load generator saw of a contestant, and what that cost the latter. */
export interface Reading extends LoadResult {
  /** CPU time per request, in microseconds; NaN if nobody was in between. */
  readonly cpuUs: number
  /** Share of the time in which it was working: with less than 0.9 something else was the limit. */
  readonly busy: number
  readonly peakRssMiB: number
}

/** Loads one contestant and watches it meanwhile. */
export async function readingOf(running: Running, path: string, what: Omit<Load, 'url'>): Promise<Reading> {
  const { base, child, headers } = running
  const full = { ...what, url: `${base}${path}`, headers: { ...what.headers, ...headers } }
  if (!child) return { ...(await load(full)), cpuUs: Number.NaN, busy: Number.NaN, peakRssMiB: Number.NaN }
  const before = usageOf(child.pid).cpuUs
  const peak = watchMemory(child.pid)
  const result = await load(full)
  const usedUs = usageOf(child.pid).cpuUs - before
  return { ...result, cpuUs: usedUs / result.requests, busy: usedUs / (what.seconds * 1e6), peakRssMiB: peak() }
}
