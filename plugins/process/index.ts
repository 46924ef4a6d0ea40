import { definePlugin, offerOutput } from 'hestia'
import { ProcessOptions, ProcessServiceOptions } from '../../schemas/process.ts'
import { bringDown, release } from './bring-down.ts'
import { cookiePrefix } from './cookie.ts'
import { launch } from './launch.ts'
import { handOver, search } from './leftovers.ts'
import { stillRuns } from './record.ts'
import { catchUp, createKept, sectionOf } from './running.ts'

/** Runs services as processes of this machine: starts them, sees them die, ends them with everything they started. */
export default definePlugin({
  name: 'process',
  options: ProcessOptions,
  service: ProcessServiceOptions,
  starter: { reportsReadiness: false, stillRuns },
  setup(app, options) {
    const { events, config, services, generation, log } = app.hestia
    const kept = app.hestia.keep('process@2', () => createKept(search(cookiePrefix(config.file))), release)
    const handedOver = (): Promise<void> => (kept.handedOver ??= handOver(kept, services, options))
    const around = { kept, events, configFile: config.file, handedOver }
    const unsubscribe = events.subscribe(
      (event) => {
        if (event.generation === generation) void handedOver()
      },
      ['reload.applied'],
    )

    app.hestia.hook('beforeStart', (event) => {
      const section = sectionOf(event.instance)
      return section && launch(event, section, around)
    })

    app.hestia.hook('onIdle', {
      timeout: Number.POSITIVE_INFINITY, // by grace and kill, which are the service's own settings
      handler: async ({ instance }) => {
        const killed = await bringDown(instance, kept, options)
        if (killed.length > 0)
          log.warn({ service: instance.service.id, instance: instance.name, pids: killed }, 'had to be killed')
      },
    })

    // Switched off by a reload, or the end of it all: only the first ends what still runs.
    app.addHook('onClose', () => {
      unsubscribe()
      kept.gatewayEnds = !app.hestia.ready
    })

    offerOutput(app, (instance, lines) => {
      if (!sectionOf(instance) && !kept.lines.has(instance)) return undefined
      const run = kept.running.get(instance)
      if (run) catchUp(run)
      return kept.lines.get(instance)?.slice(-lines) ?? []
    })
  },
})
