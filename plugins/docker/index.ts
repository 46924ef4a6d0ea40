import { dirname } from 'node:path'
import { definePlugin, type Instance, offerOutput } from 'hestia'
import { DockerOptions, DockerServiceOptions } from '../../schemas/docker.ts'
import { bringDown, bringUp, stillRuns } from './actions.ts'
import { locate } from './container.ts'
import { Engine } from './engine.ts'
import { createKept, type Kept, recordOf, sectionOf } from './kept.ts'
import { readLog } from './logs.ts'
import { oneContainer } from './rule.ts'
import { targetOf } from './target.ts'
import { unwatch } from './watch.ts'

/** Runs services as containers of a Docker daemon, by its Engine API: existing ones, or ones that are made of an image. */
export default definePlugin({
  name: 'docker',
  options: DockerOptions,
  service: DockerServiceOptions,
  starter: {
    reportsReadiness: (section) => (section as unknown as DockerServiceOptions).healthcheck === 'required',
    stillRuns,
  },
  check: oneContainer,
  setup(app, options) {
    const { config, events } = app.hestia
    const folder = dirname(config.file)
    const kept = app.hestia.keep('docker@1', () => createKept(events), release)

    app.hestia.hook('beforeStart', (event) => {
      const section = sectionOf(event.instance)
      return section && bringUp(event, section, folder, kept)
    })

    app.hestia.hook('onIdle', {
      timeout: Number.POSITIVE_INFINITY, // by stop_grace_ms and timeout_ms, which are the service's own settings
      handler: ({ instance }) => bringDown(instance, kept, options),
    })

    // Switched off by a reload, or the end of it all: only the first brings down what still runs.
    app.addHook('onClose', () => {
      kept.gatewayEnds = !app.hestia.ready
    })

    const logOf = async (instance: Instance, section: DockerServiceOptions, lines: number) => {
      const { target } = recordOf(instance) ?? { target: targetOf(section, folder) }
      const engine = await Engine.open(kept.pools, target, section.timeout_ms)
      const container = await locate(engine, instance, section)
      return container ? readLog(engine, container, Math.min(lines, section.log_lines)) : []
    }
    offerOutput(app, (instance, lines) => {
      const section = sectionOf(instance)
      // What can't be read now is no reason to show nothing of the others.
      return section && logOf(instance, section, lines).catch(() => [])
    })
  },
})

/** The last generation with this plugin is over. If the gateway goes on without it, nobody else would stop what runs. */
async function release(kept: Kept): Promise<void> {
  if (!kept.gatewayEnds) {
    const started = [...kept.started]
    await Promise.all(
      started.map(async ([instance, section]) => {
        const { service, name } = instance
        const down = bringDown(instance, kept, section).catch(({ message: error }: Error) =>
          kept.events.emit('hook.failed', { hook: 'onIdle', plugin: 'docker', service: service.id, instance: name, error }),
        )
        await Promise.all([down, instance.stop('removed')])
      }),
    )
  }
  for (const instance of [...kept.watches.keys()]) unwatch(instance, kept)
  await Promise.all([...kept.pools.values()].map((pool) => pool.destroy()))
}
