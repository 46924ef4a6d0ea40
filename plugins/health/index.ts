import { dirname, resolve } from 'node:path'
import { definePlugin, type Instance, messageOf, pause } from 'hestia'
import { HealthOptions } from '../../schemas/health.ts'
import { statusMatcher } from '../../schemas/status-list.ts'
import type { Probe } from './probe.ts'
import { untilReady } from './ready.ts'
import { missingReadiness } from './rule.ts'
import { isWatched, watchHealth } from './watch.ts'

/** What of the section `proxy` matters to a probe too. */
interface Tls {
  readonly ca_file?: string
  readonly reject_unauthorized?: boolean
}

/**
 * Says when an instance that is being started is ready, and when one that failed is well again. One that is well it leaves
 * alone, unless `active` is on.
 */
export default definePlugin({
  name: 'health',
  options: HealthOptions,
  service: HealthOptions,
  check: missingReadiness,
  setup(app, defaults) {
    const { hestia } = app
    const { log } = hestia
    const watches = new Map<Instance, AbortController>()
    // While a reload passes, the newest configuration may be one in which this plugin is off.
    const optionsOf = (instance: Instance): HealthOptions => instance.section<HealthOptions>('health') ?? defaults
    const probeOf = (instance: Instance, options: HealthOptions) => makeProbe(instance, options, dirname(hestia.config.file))

    hestia.hook('beforeStart', {
      order: 'post',
      handler: ({ instance, signal, progress, adopting }) => {
        // Nobody starts what is nothing but a fallback; the forwarded request itself tells whether it is there.
        if (!instance.service.instances.includes(instance)) return undefined
        const options = optionsOf(instance)
        const { warmup_ms = 0 } = instance.service.config
        if (options.url !== undefined || options.tcp) return untilReady(probeOf(instance, options), signal, progress)
        return warmup_ms > 0 && adopting !== 'hot' ? pause(warmup_ms, signal) : undefined
      },
    })

    const watch = (instance: Instance): void => {
      if (watches.has(instance) || !isWatched(instance, optionsOf(instance))) return
      const controller = new AbortController()
      watches.set(instance, controller)
      const { signal } = controller
      watchHealth(instance, () => optionsOf(instance), probeOf, signal)
        .catch((thrown: unknown) => {
          if (!signal.aborted) log.error(`the probes of ${instance.id} ended: ${messageOf(thrown)}`)
        })
        .finally(() => {
          watches.delete(instance)
          if (!signal.aborted) watch(instance)
        })
    }

    for (const service of hestia.services) for (const instance of service.all) watch(instance)
    const unsubscribe = hestia.events.subscribe(
      (event) => {
        for (const instance of hestia.services.get(event.service)?.all ?? [])
          if (instance.name === event.instance) watch(instance)
      },
      ['instance.ready', 'instance.adopted', 'instance.health'],
    )
    app.addHook('onClose', () => {
      unsubscribe()
      for (const controller of watches.values()) controller.abort(new Error('the generation has ended'))
    })
  },
})

/** What to ask an instance; without anything configured, whether it takes connections. Files are relative to `folder`. */
function makeProbe(instance: Instance, { url, status, timeout_ms }: HealthOptions, folder: string): Probe {
  const tls = instance.section<{ readonly tls?: Tls }>('proxy')?.tls
  const absolute = url?.startsWith('/') ? instance.url.replace(/\/$/, '') + url : (url ?? instance.url)
  return {
    url: new URL(absolute),
    accepts: url === undefined ? undefined : statusMatcher(status),
    timeoutMs: timeout_ms,
    caFile: tls?.ca_file === undefined ? undefined : resolve(folder, tls.ca_file),
    rejectUnauthorized: tls?.reject_unauthorized ?? true,
  }
}
