import { dirname } from 'node:path'
import { definePlugin } from 'hestia'
import { MachineList, WakeOnLanMachine, WakeOnLanOptions } from '../../schemas/wake-on-lan.ts'
import { type Around, type Kept, machinesOf, newKept, recordOf } from './machine.ts'
import { NightWatch } from './night-watch.ts'
import { wakeable } from './rule.ts'
import { isAvailable, statusOf } from './status.ts'
import { bringUp } from './wake.ts'

/**
 * Wakes a machine before anything is started on it, and puts it to sleep when nothing on it runs any more. The unit is the machine:
 * all that starts there shares one wake-up, and the last to stop is waited for.
 */
export default definePlugin({
  name: 'wake-on-lan',
  options: WakeOnLanOptions,
  machine: WakeOnLanMachine,
  starter: { reportsReadiness: false, ofMachine: ({ mac }) => mac !== undefined },
  check: wakeable,
  setup(app) {
    const { hestia } = app
    const { config, events, generation, services } = hestia
    const kept = hestia.keep<Kept>(
      'wake-on-lan@1',
      () => newKept(generation),
      ({ over }) => over.abort(new Error('machines are no longer looked after')),
    )
    const around: Around = { kept, events, folder: dirname(config.file) }
    const machines = machinesOf(config)
    const watch = new NightWatch(hestia, machines, around)

    hestia.hook('beforeStart', {
      order: 'pre',
      handler: ({ instance, progress, untimed }) => {
        const machine = machines.get(instance.settings.machine ?? '')
        if (!machine) return undefined
        watch.occupy(instance, machine.name)
        const record = recordOf(kept, machine.name)
        record.wanted++
        progress(`needs machine ${machine.name}, which is ${record.state}`)
        return untimed(bringUp(machine, around)).finally(() => {
          record.wanted--
        })
      },
    })

    const unsubscribe = events.subscribe(
      (event) => {
        if (event.type === 'reload.applied') {
          if (event.generation === generation) {
            kept.current = generation
            watch.takeOver()
          } else watch.stop()
        } else if (kept.current !== generation) {
          return
        } else if (event.type === 'machine.state') {
          if (event.to === 'up' || event.to === 'off') watch.arm(event.machine)
        } else if (event.to === 'cold') {
          const instance = services.get(event.service)?.all.find(({ name }) => name === event.instance)
          if (instance) watch.left(instance)
          watch.look(event.reason)
        }
      },
      ['reload.applied', 'machine.state', 'instance.state'],
    )
    app.addHook('onClose', async () => {
      unsubscribe()
      watch.stop()
      const isEnd = !hestia.ready && kept.current === generation
      if (isEnd && config.shutdown === 'stop') await watch.lastRound()
    })

    app.decorate('machineAvailable', (machine: string) => isAvailable(kept, machine))

    app.get(
      '/v1/machines',
      {
        schema: {
          summary: 'All machines: whether they are up, and what runs on them',
          tags: ['machines'],
          response: { 200: MachineList },
        },
        config: { permission: 'read' },
      },
      () => statusOf(hestia, machines, kept),
    )
  },
})
