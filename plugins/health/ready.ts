import { setTimeout as sleep } from 'node:timers/promises'
import { type Probe, probeOnce } from './probe.ts'

/** First pause between two probes, the factor by which it grows, and the longest one, in milliseconds. */
const FIRST_PAUSE_MS = 10
const GROWTH = 1.5
const LONGEST_PAUSE_MS = 250

/**
 * Probes until all is well: at once, then after short pauses that grow, so that fast starters are seen at once and slow ones
 * not bothered. `note` hears of every kind of failure once: refused, then 503 is a sign of life.
 * @throws the signal's reason when it is aborted.
 */
export async function untilReady(probe: Probe, signal: AbortSignal, note: (seen: string) => void): Promise<void> {
  const known = new Set<string>()
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * GROWTH)) {
    const seen = await probeOnce(probe, signal)
    if (seen === undefined) return
    if (!known.has(seen)) note(`${probe.url.href} answers: ${seen}`)
    known.add(seen)
    await pause(pauseMs, signal)
  }
}

/** @throws the signal's reason when it is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
  signal.throwIfAborted()
}
