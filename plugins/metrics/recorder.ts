import type { EventOf, FinishedRequest, Services } from 'hestia'
import { observe } from './histogram.ts'
import { type InstanceTally, newInstanceTally, OTHER, type ServiceTally, type Tally } from './tally.ts'

type Counted =
  | 'request.finished'
  | 'request.routed'
  | 'request.admitted'
  | 'instance.state'
  | 'instance.attempt'
  | 'instance.ready'
  | 'instance.stopped'
  | 'exclusive.decided'
  | 'machine.woken'
  | 'machine.wake_failed'
  | 'auth.denied'
  | 'reload.applied'
  | 'reload.rejected'
  | 'events.dropped'
  | 'service.removed'
  | 'service.changed'

/** Kinds of decisions that are told apart for one service: strategies may be renamed as often as one likes. */
const MAX_DECISIONS = 100

/** Counts events into a tally: a look-up by name or two and plain arithmetic for each. */
export class Recorder {
  readonly #handlers: { readonly [T in Counted]: (event: EventOf<T>) => void } = {
    'request.finished': (event) => this.#request(event),
    'request.routed': (event) => this.#decision(event),
    'request.admitted': (event) => this.#admitted(event),
    'instance.state': (event) => this.#state(event),
    'instance.attempt': ({ service, instance, attempt }) => {
      if (attempt > 1) this.#instance(service, instance).retries++
    },
    'instance.ready': (event) => this.#ready(event),
    'instance.stopped': ({ service, instance, reason }) => count(this.#instance(service, instance).stops, reason),
    'exclusive.decided': ({ service, instance, action }) => count(this.#instance(service, instance).decided, action),
    'machine.woken': ({ machine }) => {
      this.#wakes(machine).woken++
    },
    'machine.wake_failed': ({ machine }) => {
      this.#wakes(machine).failed++
    },
    'auth.denied': ({ code, untold }) => count(this.#tally.denied, code, 1 + untold),
    'reload.applied': () => {
      this.#tally.reloads.applied++
    },
    'reload.rejected': () => {
      this.#tally.reloads.rejected++
    },
    'events.dropped': ({ consumer, count: dropped }) => count(this.#tally.dropped, consumer, dropped),
    'service.removed': ({ service }) => {
      this.#tally.services.delete(service)
    },
    'service.changed': () => this.prune(),
  }
  readonly #tally: Tally
  readonly #services: Services
  readonly #maxServices: number

  constructor(tally: Tally, services: Services, maxServices: number) {
    this.#tally = tally
    this.#services = services
    this.#maxServices = maxServices
  }

  /** What is counted; everything else needn't be listened to. */
  get types(): readonly Counted[] {
    return Object.keys(this.#handlers) as Counted[]
  }

  record(event: EventOf<Counted>): void {
    const count = this.#handlers[event.type] as (event: EventOf<Counted>) => void
    count(event)
  }

  /** Forgets services and instances that are no longer configured. */
  prune(): void {
    for (const [id, { instances }] of this.#tally.services) {
      const service = this.#services.get(id)
      if (!service && id !== OTHER) this.#tally.services.delete(id)
      if (!service) continue
      const names = new Set(service.all.map(({ name }) => name))
      for (const name of instances.keys()) if (!names.has(name)) instances.delete(name)
    }
  }

  #request(event: FinishedRequest): void {
    const tally = this.#instance(event.service, event.instance)
    observe(tally.requests[Math.trunc(event.status / 100)] ?? tally.requests[0]!, event.totalMs)
    if (event.upstreamMs !== undefined) observe(tally.firstByte, event.upstreamMs)
    if (event.queueMs > 0) observe(tally.queueWait, event.queueMs)
    tally.bytesIn += event.bytesIn
    tally.bytesOut += event.bytesOut
    if (event.coldStart) tally.cold++
    if (event.aborted) tally.aborted++
  }

  #decision({ service, reason, strategy }: EventOf<'request.routed'>): void {
    const { decisions } = this.#service(service)
    const known = decisions.find((decision) => decision.reason === reason && decision.strategy === strategy)
    if (known) known.count++
    else if (decisions.length < MAX_DECISIONS) decisions.push({ reason, strategy, count: 1 })
  }

  #ready({ service, instance, durationMs, waitedMs }: EventOf<'instance.ready'>): void {
    const tally = this.#instance(service, instance)
    observe(tally.boot, durationMs - waitedMs)
    if (waitedMs > 0) observe(tally.turn, waitedMs)
    tally.readyAt = performance.now()
  }

  #admitted({ service, instance, coldStart }: EventOf<'request.admitted'>): void {
    const tally = this.#instance(service, instance)
    if (!coldStart || tally.readyAt === undefined) return
    observe(tally.added, performance.now() - tally.readyAt)
    tally.readyAt = undefined
  }

  #state({ service, instance, from, to }: EventOf<'instance.state'>): void {
    if (from !== 'starting') return
    const { starts } = this.#instance(service, instance)
    if (to === 'hot') starts.ready++
    else if (to === 'cold') starts.failed++
    else starts.aborted++
  }

  #wakes(machine: string): { woken: number; failed: number } {
    const { wakes } = this.#tally
    const known = wakes.get(machine) ?? { woken: 0, failed: 0 }
    wakes.set(machine, known)
    return known
  }

  #service(id: string | undefined): ServiceTally {
    const { services } = this.#tally
    const known = id === undefined ? undefined : services.get(id)
    if (known) return known
    const name = id === undefined || !this.#services.get(id) || services.size >= this.#maxServices ? OTHER : id
    const made = services.get(name) ?? { instances: new Map(), decisions: [] }
    services.set(name, made)
    return made
  }

  /** Without an instance, under the empty name: the service is known, but not where the request would have gone. */
  #instance(id: string | undefined, name = ''): InstanceTally {
    const { instances } = this.#service(id)
    const known = instances.get(name)
    if (known) return known
    const isKnown = id !== undefined && this.#services.get(id)?.all.some((instance) => instance.name === name)
    const own = isKnown ? name : ''
    const made = instances.get(own) ?? newInstanceTally()
    instances.set(own, made)
    return made
  }
}

function count(counts: Record<string, number>, name: string, by = 1): void {
  counts[name] = (counts[name] ?? 0) + by
}
