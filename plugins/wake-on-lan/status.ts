import type { Hestia } from 'hestia'
import type { MachineStatus } from '../../schemas/wake-on-lan.ts'
import { type Kept, type Machine, recordOf } from './machine.ts'

/** All machines of the configuration: what is known of each, and what runs there. */
export function statusOf({ config, services }: Hestia, machines: ReadonlyMap<string, Machine>, kept: Kept): MachineStatus[] {
  const instances = [...services].flatMap(({ all }) => all)
  return Object.entries(config.machines).map(([name, { role, address, capabilities }]) => {
    const { state, since, lastWake, lastError } = recordOf(kept, name)
    const machine = machines.get(name)
    return {
      name,
      role,
      address,
      capabilities: { ...capabilities },
      state,
      since: since === undefined ? null : new Date(since).toISOString(),
      available: isAvailable(kept, name),
      wakes: machine !== undefined,
      sleeps: machine?.settings.sleep !== undefined,
      lastWakeMs: lastWake ? Math.round(lastWake.durationMs) : null,
      lastWokenAt: lastWake ? new Date(lastWake.at).toISOString() : null,
      lastError: lastError ?? null,
      services: instances
        .filter(({ settings }) => settings.machine === name)
        .map(({ service, name: instance, state }) => ({ service: service.id, instance, state })),
    }
  })
}

/** False for a while after it did not wake. */
export const isAvailable = ({ machines }: Kept, name: string): boolean =>
  (machines.get(name)?.unavailableUntil ?? 0) <= performance.now()
