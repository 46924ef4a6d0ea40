import type { HestiaEvent, Instance, InstanceRecord, Services, Store } from 'hestia'

/** How often instances are looked at, in milliseconds: what starters record is told by no event. */
const LOOK_MS = 100
/** An idle clock that went on by less than this is not worth writing, in milliseconds. */
const IDLE_STEP_MS = 1000

type StateEvent = Extract<HestiaEvent, { type: 'instance.state' }>

/** Keeps the records of all instances up to date, and writes only what differs from what was last written. */
export class Tracker {
  readonly #services: Services
  readonly #instances: Store['instances']
  readonly #saved = new Map<string, InstanceRecord & { readonly text: string }>()
  #timer: NodeJS.Timeout | undefined

  constructor(services: Services, instances: Store['instances']) {
    this.#services = services
    this.#instances = instances
  }

  /** Looks at everything from now on; what is written already counts for nothing. */
  start(): void {
    this.#saved.clear()
    this.look()
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  get running(): boolean {
    return this.#timer !== undefined
  }

  look(): void {
    for (const service of this.#services) for (const instance of service.all) this.#see(instance)
  }

  /** Takes a change of state at once, also of an instance that is no longer configured. */
  changed({ service, instance: name, to, at }: StateEvent): void {
    const instance = this.#services.get(service)?.all.find((one) => one.name === name)
    const before = this.#saved.get(keyOf(service, name))
    const data = instance?.data ?? (to === 'cold' ? {} : (before?.data ?? {}))
    const idleSince = instance ? idleSinceOf(instance) : (before?.idleSince ?? at)
    this.#save({ service, instance: name, state: to, data, idleSince, since: at })
  }

  #see(instance: Instance): void {
    const { state, data, name } = instance
    const service = instance.service.id
    const before = this.#saved.get(keyOf(service, name))
    // It may be running all the same: what the gateway before this one wrote counts until somebody has looked after it.
    if (!before && state === 'cold') return
    const idleSince = idleSinceOf(instance)
    const isSame = before?.state === state && Math.abs(before.idleSince - idleSince) < IDLE_STEP_MS
    if (isSame && before.text === JSON.stringify(data)) return
    this.#save({ service, instance: name, state, data, idleSince, since: before?.state === state ? before.since : Date.now() })
  }

  #save(record: InstanceRecord): void {
    const text = JSON.stringify(record.data)
    this.#saved.set(keyOf(record.service, record.instance), { ...record, text })
    this.#instances.save(record)
  }
}

const keyOf = (service: string, instance: string): string => JSON.stringify([service, instance])

/** On the clock of the wall, in milliseconds since the epoch. */
const idleSinceOf = ({ inFlight, idleSince }: Instance): number =>
  Math.round(Date.now() - (inFlight > 0 ? 0 : performance.now() - idleSince))
