import { type Instance, pause } from 'hestia'
import type { HealthOptions } from '../../schemas/health.ts'
import { type Probe, probeOnce } from './probe.ts'

/** Whether an instance has to be probed: it runs, and is unhealthy or to be probed all the time. */
export const isWatched = (instance: Instance, { active }: HealthOptions): boolean =>
  instance.state === 'hot' && (active || !instance.healthy)

/**
 * Probes an instance that runs, and marks it healthy or unhealthy after enough probes in a row that say so. Ends when it has
 * no longer to be probed.
 * @throws the signal's reason when it is aborted.
 */
export async function watchHealth(
  instance: Instance,
  optionsOf: () => HealthOptions,
  probeOf: (instance: Instance, options: HealthOptions) => Probe,
  signal: AbortSignal,
): Promise<void> {
  let [good, bad] = [0, 0]
  for (;;) {
    await pause(optionsOf().interval_ms, signal)
    const options = optionsOf()
    if (!isWatched(instance, options)) return
    const probe = probeOf(instance, options)
    const seen = await probeOnce(probe, signal)
    if (!isWatched(instance, options)) return
    ;[good, bad] = seen === undefined ? [good + 1, 0] : [0, bad + 1]
    if (!instance.healthy && good >= options.healthy_after) {
      instance.setHealth(true, `${good} good probe(s) of ${probe.url.href}`)
    } else if (instance.healthy && bad >= options.unhealthy_after) {
      instance.setHealth(false, `${bad} bad probe(s) of ${probe.url.href}: ${seen}`)
    }
  }
}
