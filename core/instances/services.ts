import type { Config, ResolvedService } from '../config/index.ts'
import { HestiaError } from '../errors.ts'
import { strangerOf } from './adoption.ts'
import type { Instance } from './instance.ts'
import type { Surroundings } from './lifecycle.ts'
import type { InstanceRecord } from './record.ts'
import { Service } from './service.ts'
import type { StopReason } from './state.ts'

/** All services. Outside every generation: a reload changes settings here and touches nothing that did not change. */
export class Services implements Iterable<Service> {
  readonly #services = new Map<string, Service>()
  /** Removed from the configuration; picked up again if they come back before they are gone. */
  readonly #removed = new Map<string, Service>()
  /** Instances that are being removed, with the promise that ends when they are gone. */
  readonly #leaving = new Map<Instance, Promise<void>>()
  /** What an earlier gateway left, until the next swap. */
  #left: readonly InstanceRecord[] = []
  readonly #around: Surroundings<Instance>

  constructor(around: Omit<Surroundings<Instance>, 'vacated'>) {
    this.#around = { ...around, hooks: () => around.hooks(), vacated: (url) => this.#vacated(url) }
  }

  get(id: string): Service | undefined {
    return this.#services.get(id)
  }

  /** @throws {HestiaError} `unknown_service` */
  require(id: string): Service {
    const service = this.#services.get(id)
    if (service) return service
    const known = [...this.#services.keys()].join(', ') || 'none'
    throw new HestiaError('unknown_service', { message: `There is no service "${id}"; configured are: ${known}.` })
  }

  /** An instance by the names that events have for it. */
  instance(service: string, name: string): Instance | undefined {
    return this.get(service)?.all.find((instance) => instance.name === name)
  }

  get size(): number {
    return this.#services.size
  }

  [Symbol.iterator](): IterableIterator<Service> {
    return this.#services.values()
  }

  /**
   * Hands over what an earlier gateway left. It is taken over in the tick of the next swap: before anybody can ask for it, and by
   * the plugins of that generation.
   */
  inherit(records: readonly InstanceRecord[]): void {
    this.#left = records
  }

  /** Brings the services in line with a configuration, in one tick: the swap of a reload. `same` tells unchanged ones. */
  reconcile(config: Config, same: (a: ResolvedService, b: ResolvedService) => boolean): void {
    const { events } = this.#around
    const { drain_timeout_ms } = config.server
    for (const [id, service] of this.#services) {
      if (config.services[id]) continue
      this.#services.delete(id)
      this.#removed.set(id, service)
      for (const instance of service.all) this.#remove(instance, drain_timeout_ms)
      events.emit('service.removed', { service: id })
    }
    for (const [id, settings] of Object.entries(config.services)) {
      const service = this.#services.get(id) ?? this.#comeBack(id)
      if (!service) {
        this.#services.set(id, new Service(settings, this.#around))
        events.emit('service.added', { service: id })
      } else if (!same(service.config, settings)) {
        for (const instance of service.update(settings)) this.#remove(instance, drain_timeout_ms)
        events.emit('service.changed', { service: id })
      }
    }
    for (const record of this.#left) this.#takeOver(record, drain_timeout_ms)
    this.#left = []
    for (const [id, service] of this.#removed)
      if (!service.all.some((instance) => this.#leaving.has(instance))) this.#removed.delete(id)
  }

  /** Takes nobody any more and goes when nothing is in flight; open streams don't hold it up for longer than requests may take. */
  #remove(instance: Instance, drainTimeoutMs: number): void {
    const what = instance.name === 'default' ? instance.service.id : instance.id
    instance.close(new HestiaError('service_removed', { message: `${what} is no longer configured.` }))
    const gone = instance.gone(drainTimeoutMs).then(() => {
      if (this.#leaving.get(instance) === gone) this.#leaving.delete(instance)
    })
    this.#leaving.set(instance, gone)
  }

  #takeOver(record: InstanceRecord, drainTimeoutMs: number): void {
    const present = this.#services.get(record.service)?.all.find(({ name }) => name === record.instance)
    const instance = present ?? new Service(strangerOf(record), this.#around).all[0]!
    instance.adopt(record, present ? 'shutdown' : 'removed')
    if (!present && instance.state !== 'cold') this.#remove(instance, drainTimeoutMs)
  }

  #comeBack(id: string): Service | undefined {
    const service = this.#removed.get(id)
    if (!service) return undefined
    this.#removed.delete(id)
    for (const instance of service.all) this.#leaving.delete(instance)
    service.reopen()
    this.#services.set(id, service)
    this.#around.events.emit('service.added', { service: id })
    return service
  }

  /** Refuses new requests for good. */
  close(error: HestiaError): void {
    for (const service of this.#services.values()) service.close(error)
  }

  /** Stops every instance, also those that are being removed. */
  async stopAll(reason: StopReason): Promise<void> {
    const all = [...this.#services.values()].flatMap((service) => [...service.all])
    await Promise.all([...all, ...this.#leaving.keys()].map((instance) => instance.stop(reason)))
  }

  /** What was renamed comes back under another name at the same place: there it must have ended first. */
  #vacated(url: string): Promise<void> | undefined {
    const origin = originOf(url)
    const leaving = [...this.#leaving].filter(([instance]) => originOf(instance.url) === origin)
    return leaving.length === 0 ? undefined : Promise.all(leaving.map(([, gone]) => gone)).then(() => undefined)
  }
}

const originOf = (url: string): string => new URL(url).origin
