import { type Caller, type Hestia, isAllowed, type ResolvedService, type Service } from 'hestia'
import type { Discovery, ToldModel } from './discovery.ts'

/** A model that clients may name, and the service that a request for it goes to now. */
export interface Entry {
  readonly id: string
  readonly service: Service
  /** What it stands for, if it is another name. */
  readonly aliasOf: string | undefined
  /** Seconds since 1970, if the service told. */
  readonly created: number | undefined
}

/** Ollama's name of a model without a tag means this one. */
const DEFAULT_TAG = ':latest'

const names = (list: readonly string[], model: string): boolean => list.includes(model) || list.includes(model + DEFAULT_TAG)

const matches = (list: readonly string[], model: string): boolean =>
  list.some((pattern) => pattern.endsWith('*') && model.startsWith(pattern.slice(0, -1)))

/** Whether a service has a model by its configuration. */
export const declares = ({ models = [] }: ResolvedService, model: string): boolean =>
  names(models, model) || matches(models, model)

/** What a model is called at a service itself: another name only where it is an alias there. */
export function ownName(config: ResolvedService, model: string): string {
  return !declares(config, model) && Object.hasOwn(config.aliases, model) ? config.aliases[model]! : model
}

/** Every name under which a service has a model, of the one that a client may name: a permission for any of them is one for it. */
export function namesOf(config: ResolvedService, model: string): readonly string[] {
  const names = new Set([model, ownName(config, model)])
  for (const name of [...names]) names.add(name.endsWith(DEFAULT_TAG) ? name.slice(0, -DEFAULT_TAG.length) : name + DEFAULT_TAG)
  return [...names]
}

/** Whether a caller may use a model of a service. */
export const mayUse = (caller: Caller | null, { id, config }: Service, model: string): boolean =>
  isAllowed(caller, 'use', id, caller ? namesOf(config, model) : undefined)

/**
 * Which service has which model: the one that names it counts more than one with a pattern for it, that more than one with an
 * alias, that more than one that told of it. Among equals see {@link best}.
 */
export class Catalogue {
  readonly #hestia: Hestia
  readonly #discovery: Discovery

  constructor(hestia: Hestia, discovery: Discovery) {
    this.#hestia = hestia
    this.#discovery = discovery
  }

  /** Rather one where the caller may use it than one where it may not. */
  find(model: string, caller: Caller | null): Service | undefined {
    const all = this.services()
    const permitted = caller
      ? this.#find(
          model,
          all.filter((service) => mayUse(caller, service, model)),
        )
      : undefined
    return permitted ?? this.#find(model, all)
  }

  #find(model: string, services: readonly Service[]): Service | undefined {
    const levels: ((service: Service) => boolean)[] = [
      ({ config }) => names(config.models ?? [], model),
      ({ config }) => matches(config.models ?? [], model),
      ({ config }) => Object.hasOwn(config.aliases, model),
      (service) => names(idsOf(this.#discovery.modelsOf(service)), model),
    ]
    for (const has of levels) {
      const found = best(services.filter(has))
      if (found) return found
    }
    return undefined
  }

  /** One model by its name, also one that only a pattern stands for, if the caller may use it. */
  entry(model: string, caller: Caller | null): Entry | undefined {
    const service = this.find(model, caller)
    if (!service || !mayUse(caller, service, model)) return undefined
    const own = ownName(service.config, model)
    const created = this.#discovery.modelsOf(service).find(({ id }) => id === own || id === own + DEFAULT_TAG)?.created
    return { id: model, service, aliasOf: own === model ? undefined : own, created }
  }

  /** All models that the caller may use, each once; patterns have no name of their own and are left out. */
  list(caller: Caller | null): readonly Entry[] {
    const ids = this.services().flatMap((service) => [
      ...(service.config.models ?? []).filter((name) => !name.endsWith('*')),
      ...Object.keys(service.config.aliases),
      ...idsOf(this.#discovery.modelsOf(service)),
    ])
    return [...new Set(ids)].flatMap((id) => this.entry(id, caller) ?? [])
  }

  /** In the order of the configuration. */
  services(): readonly Service[] {
    const { config, services } = this.#hestia
    return Object.keys(config.services).flatMap((id) => services.get(id) ?? [])
  }
}

const idsOf = (models: readonly ToldModel[]): string[] => models.map(({ id }) => id)

/** The first that runs and is well, else the first that starts, else the first that could; else just the first. */
function best(services: readonly Service[]): Service | undefined {
  const wellIn = (state: string) => (service: Service) =>
    service.instances.some((instance) => instance.state === state && instance.healthy)
  const couldRun = ({ instances }: Service) => instances.some(({ state, cooling }) => state !== 'hot' && !cooling)
  return services.find(wellIn('hot')) ?? services.find(wellIn('starting')) ?? services.find(couldRun) ?? services[0]
}
