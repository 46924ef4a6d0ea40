import { dirname, resolve } from 'node:path'
import { definePlugin, messageOf, type Store } from 'hestia'
import { StoreOptions } from '../../schemas/store.ts'
import { Activities, insertActivities } from './activities.ts'
import type { LastId } from './activity-id.ts'
import { instancesOf } from './instances.ts'
import { keysOf } from './keys.ts'
import { migrate } from './migrate.ts'
import { SCHEMA_VERSION } from './migrations.ts'
import { machineStatus, mirror } from './mirror.ts'
import { MEMORY, openSqlite } from './sqlite.ts'
import { Tracker } from './tracker.ts'
import { newKept, Writer } from './writer.ts'

/** How often old activities are looked for, besides with every so many new ones. */
const PURGE_EVERY_MS = 3_600_000

/**
 * The database: what happened, how each instance was last seen, keys, and a copy of the configuration. Opened before the
 * gateway serves, and refused then if anything is wrong with it; from then on nobody waits for it, whatever becomes of it.
 */
export default definePlugin({
  name: 'store',
  options: StoreOptions,
  async setup(app, options) {
    const { hestia } = app
    const { events, generation, config, log } = hestia
    const file = options.file === MEMORY ? MEMORY : resolve(dirname(config.file), options.file)

    const open = async () => {
      const driver = await openSqlite(file)
      try {
        const lost = await migrate(driver)
        if (lost.length > 0)
          log.warn({ file, tables: lost }, `tables were missing in the database and are empty now: ${lost.join(', ')}`)
        return driver
      } catch (thrown) {
        await driver.close()
        throw thrown
      }
    }
    const { flush_ms: flushMs, buffer } = options
    const parts = { file, flushMs, buffer, events, insert: insertActivities, open, canReopen: file !== MEMORY }
    const kept = hestia.keep(`store@${SCHEMA_VERSION}:${file}`, newKept, async (last) => {
      const lost = await new Writer(last, parts).close()
      if (lost > 0) log.error({ file, lost }, `${lost} activities could not be written to the database ${file}`)
    })
    const writer = new Writer(kept, parts)
    try {
      await writer.open()
    } catch (thrown) {
      throw new Error(`the database ${file} cannot be used: ${messageOf(thrown)}`, { cause: thrown })
    }

    const lastId = hestia.keep<LastId>('store.last-id@1', () => ({ at: 0, sequence: 0 }))
    const activities = new Activities(writer, lastId, options)
    const instances = instancesOf(writer)
    const store: Store = {
      activities: activities.offer,
      instances,
      keys: keysOf(writer),
      flush: () => writer.flush(),
      health: () => writer.health,
    }
    app.decorate('store', store)

    // Only the generation in force writes how things are; one that drains, or was refused in the end, doesn't.
    const tracker = new Tracker(hestia.services, store)
    // What ran when the gateway before this one ended is taken over in the tick in which this one begins.
    if (generation === 1) hestia.services.inherit(await instances.load())
    const takeOver = (): void => {
      writer.put('configuration', ...mirror(config, Date.now()))
      tracker.start()
      activities.purge()
    }
    const note = (machine: string, status: 'available' | 'unavailable'): void => {
      if (tracker.running) writer.put(`machine ${machine}`, machineStatus(machine, status, Date.now()))
    }
    const purge = setInterval(() => tracker.running && activities.purge(), PURGE_EVERY_MS).unref()
    const unsubscribe = events.subscribe(
      (event) => {
        if (event.type === 'instance.state') {
          if (tracker.running) tracker.changed(event)
        } else if (event.type === 'instance.progress') {
          if (tracker.running) tracker.progressed(event.service, event.instance)
        } else if (event.type === 'instance.not_adopted') {
          tracker.forget(event.service, event.instance)
        } else if (event.type === 'machine.wake_failed') {
          note(event.machine, 'unavailable')
        } else if (event.type === 'machine.state') {
          if (event.to === 'up') note(event.machine, 'available')
        } else if (event.type === 'reload.applied') {
          if (event.generation === generation) takeOver()
          else tracker.stop()
          // It may be another file by now, without all that was there.
        } else if (event.file === file && tracker.running) takeOver()
      },
      [
        'instance.state',
        'instance.progress',
        'instance.not_adopted',
        'machine.state',
        'machine.wake_failed',
        'reload.applied',
        'store.recovered',
      ],
    )
    app.addHook('onClose', () => {
      unsubscribe()
      clearInterval(purge)
      if (tracker.running) tracker.look()
      tracker.stop()
    })
  },
})
