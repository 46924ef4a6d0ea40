import type { ResolvedInstance, ResolvedService } from '../config/index.ts'
import type { HestiaError } from '../errors.ts'
import { Instance } from './instance.ts'
import type { Owner, Surroundings } from './lifecycle.ts'
import type { InstanceState } from './state.ts'

/** A named backend and its instances. It outlives generations; its settings are those of the newest configuration. */
export class Service implements Owner<Instance> {
  readonly id: string
  #config: ResolvedService
  #instances: readonly Instance[] = []
  #fallback: Instance | undefined
  readonly #around: Surroundings<Instance>

  constructor(config: ResolvedService, around: Surroundings<Instance>) {
    this.id = config.id
    this.#config = config
    this.#around = around
    this.update(config)
  }

  get config(): ResolvedService {
    return this.#config
  }

  get instances(): readonly Instance[] {
    return this.#instances
  }

  /** Where requests go when starting failed; one of the instances, or one that is nothing but a fallback. */
  get fallback(): Instance | undefined {
    return this.#fallback
  }

  /** All instances, a separate fallback included. */
  get all(): readonly Instance[] {
    const fallback = this.#fallback
    return fallback && !this.#instances.includes(fallback) ? [...this.#instances, fallback] : this.#instances
  }

  /** `hot` when any instance is, else the liveliest state of them. */
  get state(): InstanceState {
    const states = new Set(this.#instances.map((instance) => instance.state))
    for (const state of ['hot', 'starting', 'stopping'] as const) if (states.has(state)) return state
    return 'cold'
  }

  get readiness(): 'ready' | 'not_ready' {
    return this.state === 'hot' ? 'ready' : 'not_ready'
  }

  get waiting(): number {
    return this.all.reduce((sum, instance) => sum + instance.waiting, 0)
  }

  /**
   * Takes a new configuration. Instances that stay keep their state.
   * @returns those that are no longer configured.
   */
  update(config: ResolvedService): readonly Instance[] {
    const known = new Map(this.all.map((instance) => [instance.name, instance]))
    const take = (settings: ResolvedInstance): Instance => {
      const instance = known.get(settings.name)
      if (!instance) return new Instance(this, settings, this.#around)
      known.delete(settings.name)
      instance.update(settings)
      return instance
    }
    this.#config = config
    this.#instances = config.instances.map(take)
    const fallback = config.fallback
    this.#fallback = fallback
      ? (this.#instances.find((instance) => instance.name === fallback.name) ?? take(fallback))
      : undefined
    return [...known.values()]
  }

  close(error: HestiaError): void {
    for (const instance of this.all) instance.close(error)
  }

  reopen(): void {
    for (const instance of this.all) instance.reopen()
  }
}
