import type { Instance } from 'hestia'
import type { HealthOptions } from '../../schemas/health.ts'
import { type Probe, probeOnce } from './probe.ts'
import { pause } from './ready.ts'

/**
 * Probes a hot instance that has been marked unhealthy, until enough probes in a row went well, and marks it healthy again.
 * Ends also when the instance is no longer hot, or healthy for another reason.
 * @throws the signal's reason when it is aborted.
 */
export async function watchRecovery(
  instance: Instance,
  optionsOf: () => HealthOptions,
  probeOf: (instance: Instance, options: HealthOptions) => Probe,
  signal: AbortSignal,
): Promise<void> {
  const isOver = () => instance.state !== 'hot' || instance.healthy
  for (let good = 0; ; ) {
    await pause(optionsOf().interval_ms, signal)
    if (isOver()) return
    const options = optionsOf()
    const probe = probeOf(instance, options)
    const seen = await probeOnce(probe, signal)
    if (isOver()) return
    good = seen === undefined ? good + 1 : 0
    if (good >= options.healthy_after) return instance.setHealth(true, `${good} good probe(s) of ${probe.url.href}`)
  }
}
