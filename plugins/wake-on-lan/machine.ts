import type { Config, Events, Instance } from 'hestia'
import type { MachineState, WakeOnLanMachine } from '../../schemas/wake-on-lan.ts'

/** A machine that can be woken, as one configuration has it. */
export interface Machine {
  readonly name: string
  readonly mac: string
  readonly address: string
  readonly settings: WakeOnLanMachine
}

/** What is known of a machine over generations; plain data. Moments are on the monotonic clock unless said otherwise. */
export interface MachineRecord {
  readonly name: string
  state: MachineState
  /** Milliseconds since the epoch; undefined while nothing is known. */
  since: number | undefined
  /** The wake-up under way, which all who need the machine share. */
  waking: Promise<void> | undefined
  /** It is being put to sleep; never rejects. */
  sleeping: Promise<void> | undefined
  /** How many starts wait for it. */
  wanted: number
  /** Since when nothing runs there; undefined while something does, or when it sleeps already. */
  quietSince: number | undefined
  /** Tries in a row to put it to sleep that went wrong. */
  sleepFailures: number
  unavailableUntil: number
  lastWake: { readonly durationMs: number; readonly at: number } | undefined
  lastError: string | undefined
}

/** What outlives generations. */
export interface Kept {
  readonly machines: Map<string, MachineRecord>
  /** Instances that were started on a machine and are not cold yet, whatever the configuration says of them by now. */
  readonly users: Map<Instance, string>
  /** The generation in force, which alone puts machines to sleep. */
  current: number
  /** Aborted when nobody has this plugin any more. */
  readonly over: AbortController
}

/** What machines need of the gateway. */
export interface Around {
  readonly kept: Kept
  readonly events: Events
  /** Where commands run. */
  readonly folder: string
}

export const newKept = (generation: number): Kept => ({
  machines: new Map(),
  users: new Map(),
  current: generation,
  over: new AbortController(),
})

export function recordOf({ machines }: Kept, name: string): MachineRecord {
  let record = machines.get(name)
  if (!record) {
    record = {
      name,
      state: 'unknown',
      since: undefined,
      waking: undefined,
      sleeping: undefined,
      wanted: 0,
      quietSince: undefined,
      sleepFailures: 0,
      unavailableUntil: 0,
      lastWake: undefined,
      lastError: undefined,
    }
    machines.set(name, record)
  }
  return record
}

/** Notes a state and tells of it, if it is another one. */
export function become(record: MachineRecord, state: MachineState, reason: string, events: Events): void {
  const from = record.state
  if (from === state) return
  record.state = state
  record.since = Date.now()
  events.emit('machine.state', { machine: record.name, from, to: state, reason })
}

/** The machines that have an address for magic packets. */
export const machinesOf = (config: Config): ReadonlyMap<string, Machine> =>
  new Map(
    Object.entries(config.machines).flatMap(([name, { mac, address, sections }]) => {
      const settings = sections['wake-on-lan'] as WakeOnLanMachine | undefined
      return mac === undefined || !settings ? [] : [[name, { name, mac, address, settings }] as const]
    }),
  )
