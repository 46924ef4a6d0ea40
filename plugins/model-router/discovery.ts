import { dirname } from 'node:path'
import { type Hestia, type Instance, type Service, Value } from 'hestia'
import { type ModelRouterOptions, OllamaModels, OpenAIModels } from '../../schemas/model-router.ts'
import { ask } from './ask.ts'

/** A model as a service told of it. */
export interface ToldModel {
  readonly id: string
  /** Seconds since 1970. */
  readonly created: number | undefined
}

/** What an instance told of its models; plain data, as it outlives generations. */
interface Told {
  /** Where it was asked; elsewhere may be something else. */
  readonly url: string
  readonly models: readonly ToldModel[]
  /** `performance.now()` of the question. */
  readonly askedAt: number
  /** Whether it answered, but knows nothing of models, so that it needn't be asked again. */
  readonly silent: boolean
}

/** Knows the models of services that don't have them in the configuration: asks while they run, remembers when they don't. */
export class Discovery {
  readonly #hestia: Hestia
  readonly #options: ModelRouterOptions
  /** By `Instance.id`. */
  readonly #told: Map<string, Told>
  readonly #asking = new Map<Instance, Promise<void>>()

  constructor(hestia: Hestia, options: ModelRouterOptions) {
    this.#hestia = hestia
    this.#options = options
    this.#told = hestia.keep('model-router.told@1', () => new Map())
  }

  /** Whether the models of a service are to be learned from itself. */
  concerns({ id, config }: Service): boolean {
    const { discover } = this.#options
    return config.models === undefined && (typeof discover === 'boolean' ? discover : discover.includes(id))
  }

  /** What the instances of a service have told, together. */
  modelsOf(service: Service): readonly ToldModel[] {
    return this.concerns(service) ? service.instances.flatMap((instance) => this.#of(instance)?.models ?? []) : []
  }

  /** Whether the service was never asked, or gave no answer, so that it may have any model. */
  isUnknown(service: Service): boolean {
    return (
      this.concerns(service) && service.instances.every((instance) => !this.#of(instance)?.silent && !this.#hasTold(instance))
    )
  }

  /** Asks an instance that has just become hot. */
  async greet(instance: Instance): Promise<void> {
    const service = this.#hestia.services.get(instance.service.id)
    if (service?.instances.includes(instance) && this.concerns(service) && !this.#of(instance)?.silent) await this.#ask(instance)
  }

  /** Asks those that run again, but each only every `refresh_ms`. Never rejects. */
  async refresh(): Promise<void> {
    const now = performance.now()
    const due = (instance: Instance) => {
      const told = this.#of(instance)
      return instance.state === 'hot' && !told?.silent && !(told && now - told.askedAt < this.#options.refresh_ms)
    }
    const instances = [...this.#hestia.services]
      .filter((service) => this.concerns(service))
      .flatMap((service) => service.instances)
    await Promise.all(instances.filter(due).map((instance) => this.#ask(instance)))
  }

  /** What an instance answers to another question; undefined when it gives no good answer. */
  async askFor(instance: Instance, path: string): Promise<unknown> {
    const { status, json } = await this.#get(instance, path).catch(() => ({ status: 0, json: undefined }))
    return status === 200 ? json : undefined
  }

  #of(instance: Instance): Told | undefined {
    const told = this.#told.get(instance.id)
    return told?.url === instance.url ? told : undefined
  }

  #hasTold(instance: Instance): boolean {
    return (this.#of(instance)?.models.length ?? 0) > 0
  }

  /** Whoever asks while it is being asked waits for the same answer. */
  #ask(instance: Instance): Promise<void> {
    const asking = this.#asking.get(instance) ?? this.#learn(instance).finally(() => this.#asking.delete(instance))
    this.#asking.set(instance, asking)
    return asking
  }

  async #learn(instance: Instance): Promise<void> {
    const { url, id } = instance
    const askedAt = performance.now()
    const answer = await this.#askModels(instance)
    const known = this.#of(instance)
    const models = answer === undefined || answer === 'silent' ? (known?.models ?? []) : answer
    this.#told.set(id, { url, models, askedAt, silent: answer === 'silent' && models.length === 0 })
  }

  /** Undefined when it gave no answer this time. */
  async #askModels(instance: Instance): Promise<readonly ToldModel[] | 'silent' | undefined> {
    try {
      const first = await this.#get(instance, '/v1/models')
      if (first.status === 200 && Value.Check(OpenAIModels, first.json))
        return first.json.data.map(({ id, created }) => ({ id, created }))
      const second = await this.#get(instance, '/api/tags')
      if (second.status === 200 && Value.Check(OllamaModels, second.json))
        return second.json.models.map(({ name }) => ({ id: name, created: undefined }))
      return saysNothing(first.status) && saysNothing(second.status) ? 'silent' : undefined
    } catch {
      return undefined
    }
  }

  #get(instance: Instance, path: string): ReturnType<typeof ask> {
    return ask(instance, path, { timeoutMs: this.#options.timeout_ms, folder: dirname(this.#hestia.config.file) })
  }
}

/** Whether a status means that there is no list of models; one that is broken or locked up may hold one. */
const saysNothing = (status: number): boolean => status < 500 && status !== 401 && status !== 403
