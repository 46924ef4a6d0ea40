import type { Config, ResolvedService } from '../config/index.ts'
import { HestiaError } from '../errors.ts'
import type { Instance } from './instance.ts'
import type { Surroundings } from './lifecycle.ts'
import { Service } from './service.ts'
import type { StopReason } from './state.ts'

/** All services. Outside every generation: a reload changes settings here and touches nothing that did not change. */
export class Services implements Iterable<Service> {
  readonly #services = new Map<string, Service>()
  /** Removed from the configuration, but not over yet; picked up again if they come back. */
  readonly #leaving = new Map<string, Service>()
  /** The same of single instances; these don't come back. */
  readonly #leavingInstances = new Set<Instance>()
  readonly #around: Surroundings<Instance>

  constructor(around: Surroundings<Instance>) {
    this.#around = around
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

  get size(): number {
    return this.#services.size
  }

  [Symbol.iterator](): IterableIterator<Service> {
    return this.#services.values()
  }

  /** Brings the services in line with a configuration, in one tick: the swap of a reload. `same` tells unchanged ones. */
  reconcile(config: Config, same: (a: ResolvedService, b: ResolvedService) => boolean): void {
    const { events } = this.#around
    for (const [id, service] of this.#services) {
      if (config.services[id]) continue
      this.#services.delete(id)
      this.#leaving.set(id, service)
      service.close(removed(id))
      events.emit('service.removed', { service: id })
    }
    for (const [id, settings] of Object.entries(config.services)) {
      const service = this.#services.get(id) ?? this.#comeBack(id)
      if (!service) {
        this.#services.set(id, new Service(settings, this.#around))
        events.emit('service.added', { service: id })
      } else if (!same(service.config, settings)) {
        for (const instance of service.update(settings)) {
          this.#leavingInstances.add(instance)
          instance.close(removed(instance.id))
        }
        events.emit('service.changed', { service: id })
      }
    }
    for (const [id, service] of this.#leaving) if (service.all.every(isOver)) this.#leaving.delete(id)
    for (const instance of this.#leavingInstances) if (isOver(instance)) this.#leavingInstances.delete(instance)
  }

  #comeBack(id: string): Service | undefined {
    const service = this.#leaving.get(id)
    if (!service) return undefined
    this.#leaving.delete(id)
    service.reopen()
    this.#services.set(id, service)
    this.#around.events.emit('service.added', { service: id })
    return service
  }

  /** Refuses new requests for good. */
  close(error: HestiaError): void {
    for (const service of this.#services.values()) service.close(error)
  }

  /** Stops every instance, also those of services that are being removed. */
  async stopAll(reason: StopReason): Promise<void> {
    const all = [...this.#services.values(), ...this.#leaving.values()].flatMap((service) => [...service.all])
    await Promise.all([...all, ...this.#leavingInstances].map((instance) => instance.stop(reason)))
  }
}

const isOver = (instance: Instance): boolean => instance.state === 'cold' && instance.inFlight === 0

const removed = (what: string): HestiaError => new HestiaError('service_removed', { message: `${what} is no longer configured.` })
