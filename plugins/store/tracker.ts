import type { HestiaEvent, Instance, InstanceRecord, Services, Store } from 'hestia'

/** How often instances are looked at, in milliseconds: what starters record is told by no event. */
const LOOK_MS = 100
/** An idle clock that went on by less than this is not worth writing, in milliseconds. */
const IDLE_STEP_MS = 1000

type StateEvent = Extract<HestiaEvent, { type: 'instance.state' }>

/** Keeps the records of all instances up to date, and writes only what differs from what was last written. */
export class Tracker {
  readonly #services: Services
  readonly #store: Pick<Store, 'instances' | 'flush'>
  readonly #saved = new Map<string, InstanceRecord & { readonly text: string }>()
  #timer: NodeJS.Timeout | undefined

  constructor(services: Services, store: Pick<Store, 'instances' | 'flush'>) {
    this.#services = services
    this.#store = store
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
    const instance = this.#find(service, name)
    if (!instance && to === 'cold') {
      this.forget(service, name)
      return
    }
    if (instance && wasHot(instance)) {
      this.#see(instance)
      return
    }
    const before = this.#saved.get(keyOf(service, name))
    const data = instance?.data ?? before?.data ?? {}
    const url = instance?.url ?? before?.url
    const idleSince = instance ? idleSinceOf(instance) : (before?.idleSince ?? at)
    this.#save({ service, instance: name, state: to, url, data, idleSince, since: at })
  }

  /** What its starters record may have changed: that is written before much else can happen to the gateway. */
  progressed(service: string, name: string): void {
    const instance = this.#find(service, name)
    const before = this.#saved.get(keyOf(service, name))
    if (!instance || JSON.stringify(instance.data) === before?.text) return
    this.#see(instance)
    void this.#store.flush()
  }

  /** There is nothing to remember of it. */
  forget(service: string, name: string): void {
    this.#saved.delete(keyOf(service, name))
    this.#store.instances.remove(service, name)
  }

  #find(service: string, name: string): Instance | undefined {
    return this.#services.get(service)?.all.find((one) => one.name === name)
  }

  #see(instance: Instance): void {
    const { state, url, data, name } = instance
    const service = instance.service.id
    const before = this.#saved.get(keyOf(service, name))
    // It may be running all the same: what the gateway before this one wrote counts until somebody has looked after it.
    if (!before && state === 'cold') return
    if (wasHot(instance)) {
      if (before?.text !== JSON.stringify(data)) this.#save({ ...instance.found, url, data })
      return
    }
    const idleSince = idleSinceOf(instance)
    const isSame = before?.state === state && Math.abs(before.idleSince - idleSince) < IDLE_STEP_MS
    if (isSame && before.text === JSON.stringify(data)) return
    const since = before?.state === state ? before.since : Date.now()
    this.#save({ service, instance: name, state, url, data, idleSince, since })
  }

  #save(record: InstanceRecord): void {
    const text = JSON.stringify(record.data)
    this.#saved.set(keyOf(record.service, record.instance), { ...record, text })
    this.#store.instances.save(record)
  }
}

/**
 * Whether it is being adopted. Until that is done, what the gateway before this one wrote counts: since when it has been hot and
 * idle would be forgotten if this one were killed now.
 */
const wasHot = (instance: Instance): instance is Instance & { readonly found: InstanceRecord } => instance.found?.state === 'hot'

const keyOf = (service: string, instance: string): string => JSON.stringify([service, instance])

/** On the clock of the wall, in milliseconds since the epoch. */
const idleSinceOf = ({ inFlight, idleSince }: Instance): number =>
  Math.round(Date.now() - (inFlight > 0 ? 0 : performance.now() - idleSince))
