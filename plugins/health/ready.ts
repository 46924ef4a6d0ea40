import { setTimeout as sleep } from 'node:timers/promises'
import { type Probe, probeOnce } from './probe.ts'

/** Shortest and longest pause between two probes, in milliseconds. */
const SHORTEST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 250

/** A pause is this part of the time waited so far: what probing adds to a boot is small beside the boot itself. */
const PART = 0.04

/** The pause after `waitedMs` of waiting. */
export const pauseAfter = (waitedMs: number): number => Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, waitedMs * PART))

/**
 * Probes until all is well: at once, then after short pauses that grow, so that fast starters are seen at once and slow ones
 * not bothered. `note` hears of every kind of failure once: refused, then 503 is a sign of life.
 * @throws the signal's reason when it is aborted.
 */
export async function untilReady(probe: Probe, signal: AbortSignal, note: (seen: string) => void): Promise<void> {
  const known = new Set<string>()
  const beganAt = performance.now()
  for (;;) {
    const seen = await probeOnce(probe, signal)
    if (seen === undefined) return
    if (!known.has(seen)) note(`${probe.url.href} answers: ${seen}`)
    known.add(seen)
    await pause(pauseAfter(performance.now() - beganAt), signal)
  }
}

/** @throws the signal's reason when it is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
  signal.throwIfAborted()
}
