import { dirname, resolve } from 'node:path'
import { definePlugin, type Instance, offerOutput } from 'hestia'
import { CommandOptions, CommandServiceOptions } from '../../schemas/command.ts'
import { bringDown, bringUp } from './actions.ts'
import { type CommandRecord, createKept, type Kept, sectionOf } from './kept.ts'
import { stillRuns } from './still-runs.ts'

/** Brings services up and down by commands: systemctl, docker compose, ssh, whatever ends with an exit code. */
export default definePlugin({
  name: 'command',
  options: CommandOptions,
  service: CommandServiceOptions,
  starter: { reportsReadiness: false, stillRuns },
  setup(app, options) {
    const { config, events } = app.hestia
    const kept = app.hestia.keep('command@1', () => createKept(events), release)
    const recordFor = (instance: Instance, { cwd = '.', stop }: CommandServiceOptions): CommandRecord => {
      const { machine } = instance.settings
      const address = machine === undefined ? undefined : config.machines[machine]?.address
      return { cwd: resolve(dirname(config.file), cwd), address: address ?? null, stop: stop ?? null }
    }

    app.hestia.hook('beforeStart', (event) => {
      const section = sectionOf(event.instance)
      return section && bringUp(event, section, recordFor(event.instance, section), kept)
    })

    app.hestia.hook('onIdle', {
      timeout: Number.POSITIVE_INFINITY, // by timeout_ms and kill_grace_ms, which are the service's own settings
      handler: (event) => bringDown(event, kept, options),
    })

    // Switched off by a reload, or the end of it all: only the first brings down what still runs.
    app.addHook('onClose', () => {
      kept.gatewayEnds = !app.hestia.ready
    })

    offerOutput(app, (instance, lines) => {
      const all = kept.lines.get(instance)
      return all || sectionOf(instance) ? (all?.slice(-lines) ?? []) : undefined
    })
  },
})

/** The last generation with this plugin is over. If the gateway goes on without it, nobody else would bring down what runs. */
async function release(kept: Kept): Promise<void> {
  if (kept.gatewayEnds) return
  const started = [...kept.started]
  await Promise.all(
    started.map(async ([instance, section]) => {
      const { service, name } = instance
      const down = bringDown({ instance, reason: 'removed' }, kept, section).catch(({ message: error }: Error) =>
        kept.events.emit('hook.failed', { hook: 'onIdle', plugin: 'command', service: service.id, instance: name, error }),
      )
      await Promise.all([down, instance.stop('removed')])
    }),
  )
}
