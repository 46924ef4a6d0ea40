import { pause, pauseAfter } from 'hestia'
import { type Probe, probeOnce } from './probe.ts'

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
