import { setTimeout as sleep } from 'node:timers/promises'
import type { Hestia, Instance } from 'hestia'
import { type Around, become, type Machine, recordOf } from './machine.ts'
import { putToSleep, sleepDueAt } from './sleep.ts'

/** What a timer can take; more would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1
/** How long the end of the gateway is held up for machines to fall asleep, in milliseconds. */
const LAST_ROUND_MS = 10_000

/** Puts machines to sleep on which nothing runs any more, for one generation, as long as that is the one in force. */
export class NightWatch {
  readonly #hestia: Hestia
  readonly #machines: ReadonlyMap<string, Machine>
  readonly #around: Around
  readonly #timers = new Map<string, NodeJS.Timeout>()

  constructor(hestia: Hestia, machines: ReadonlyMap<string, Machine>, around: Around) {
    this.#hestia = hestia
    this.#machines = machines
    this.#around = around
  }

  /** An instance is to be started there. */
  occupy(instance: Instance, machine: string): void {
    this.#around.kept.users.set(instance, machine)
    recordOf(this.#around.kept, machine).quietSince = undefined
  }

  /** Some instance is cold, for that reason: its machine may be at rest since now. */
  look(reason: string): void {
    const { kept } = this.#around
    const left = new Set<string>()
    for (const [instance, machine] of kept.users) {
      if (instance.state !== 'cold') continue
      kept.users.delete(instance)
      left.add(machine)
    }
    for (const machine of left) {
      // Perhaps it was the machine that ended: no command is sent before it has been looked at.
      if (reason === 'crashed')
        become(recordOf(kept, machine), 'unknown', 'what ran there has ended by itself', this.#around.events)
      this.#rest(machine)
    }
  }

  /** The same for an instance that was started by another gateway, or before this plugin was on. */
  left(instance: Instance): void {
    const { machine } = instance.settings
    if (machine !== undefined && this.#machines.has(machine) && !this.#around.kept.users.has(instance)) this.#rest(machine)
  }

  /** Sets the timers of all machines, as for a new configuration. */
  takeOver(): void {
    for (const name of this.#machines.keys()) this.arm(name)
  }

  arm(name: string): void {
    clearTimeout(this.#timers.get(name))
    const machine = this.#machines.get(name)
    const dueAt = machine && sleepDueAt(machine, recordOf(this.#around.kept, name))
    if (dueAt === undefined) return
    const leftMs = Math.min(LONGEST_TIMER_MS, Math.max(0, Math.ceil(dueAt - performance.now())))
    this.#timers.set(name, setTimeout(() => this.#fire(machine!), leftMs).unref())
  }

  /** Does nothing any more. */
  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }

  /** The gateway ends, and has stopped what ran: machines that were to be put to sleep anyway are so now. */
  async lastRound(): Promise<void> {
    const due = [...this.#machines.values()].filter((machine) => {
      const record = recordOf(this.#around.kept, machine.name)
      return sleepDueAt(machine, record) !== undefined && record.sleepFailures === 0 && !this.#isInUse(machine.name)
    })
    const asleep = Promise.all(due.map((machine) => putToSleep(machine, this.#around)))
    await Promise.race([asleep, sleep(LAST_ROUND_MS, undefined, { ref: false })])
  }

  #rest(machine: string): void {
    if (this.#isInUse(machine)) return
    const record = recordOf(this.#around.kept, machine)
    record.quietSince ??= performance.now()
    this.arm(machine)
  }

  #fire(machine: Machine): void {
    const { kept } = this.#around
    const record = recordOf(kept, machine.name)
    const dueAt = sleepDueAt(machine, record)
    // Who is being woken for nobody any more is put to sleep when it is up.
    if (dueAt === undefined || record.waking || this.#isInUse(machine.name)) return
    if (dueAt > performance.now()) {
      this.arm(machine.name)
      return
    }
    void putToSleep(machine, this.#around).then(() => kept.current === this.#hestia.generation && this.arm(machine.name))
  }

  /** Whether anything on the machine is not cold. */
  #isInUse(machine: string): boolean {
    for (const name of this.#around.kept.users.values()) if (name === machine) return true
    for (const { all } of this.#hestia.services)
      if (all.some(({ settings, state }) => settings.machine === machine && state !== 'cold')) return true
    return false
  }
}
