import {
  type Choice,
  definePlugin,
  HestiaError,
  type Instance,
  type InstanceView,
  messageOf,
  type RequestView,
  type ResolvedService,
  type Service,
  type ServiceView,
  type Strategy,
} from 'hestia'

/** Lets the strategy that a service names pick the instance. The table of strategies is live: a changed file counts at once. */
export default definePlugin({
  name: 'strategies',
  setup(app) {
    const { hestia } = app
    const strategyOf = (service: Service | undefined): Strategy | undefined => {
      const name = service?.config.strategy
      return name === undefined ? undefined : hestia.strategies.get(name)
    }
    const views = new WeakMap<Service, { readonly config: ResolvedService; readonly view: ServiceView }>()
    const viewOf = (service: Service): ServiceView => {
      const known = views.get(service)
      if (known?.config === service.config) return known.view
      const view = makeView(service)
      views.set(service, { config: service.config, view })
      return view
    }

    hestia.hook('resolveUpstream', {
      readsBody: (service) => strategyOf(service)?.reads?.includes('body') ?? false,
      handler: ({ request, service, exclude }) => {
        const strategy = strategyOf(service)
        if (!service || !strategy) return undefined
        if (service.config.starters.length === 0 && !request.passive) lookAfter(service)
        const first = pick(strategy, service, request, viewOf(service))
        if (!first || !exclude.has(first.instance)) return first
        // What a mapping says holds: elsewhere nobody has what the request asks for.
        if (first.reason === 'mapping')
          throw new HestiaError('no_instance', { message: `Instance ${first.instance.name} alone can take it.` })
        const second = pick(
          strategy,
          service,
          request,
          makeView(service, (instance) => !exclude.has(instance)),
        )
        return second && !exclude.has(second.instance) ? second : undefined
      },
    })
  },
})

type Picked = { readonly instance: Instance; readonly reason: 'mapping' | 'strategy'; readonly strategy: string }

/** @throws {HestiaError} `routing_failed`, when the strategy throws or answers what is no instance. */
function pick(strategy: Strategy, service: Service, request: RequestView, view: ServiceView): Picked | undefined {
  const choice = ask(strategy, service, () => strategy.select(request, view))
  if (!choice) return undefined
  const withReason = typeof choice === 'object' && 'instance' in choice ? choice : undefined
  const instance = Shown.instanceOf(withReason?.instance ?? choice)
  if (!instance || !service.all.includes(instance)) throw failed(strategy, service, 'it answered none of the instances')
  return { instance, reason: withReason?.reason === 'mapping' ? 'mapping' : 'strategy', strategy: strategy.name }
}

/**
 * What no starter brings up is there already, or will be, and being started means being probed: done ahead, a strategy sees what
 * is really up. Nobody waits for it, and what goes wrong with it is an event of its own.
 */
function lookAfter({ instances }: Service): void {
  for (const instance of instances) {
    if (instance.state === 'cold' && !instance.cooling) instance.start('strategies').catch(() => undefined)
  }
}

/** What a strategy gets to see of an instance: always as it is now, with nothing on it that could be called or changed. */
class Shown implements InstanceView {
  readonly #instance: Instance

  constructor(instance: Instance) {
    this.#instance = instance
    Object.freeze(this)
  }

  static instanceOf(view: unknown): Instance | undefined {
    return typeof view === 'object' && view !== null && #instance in view ? view.#instance : undefined
  }

  get name(): string {
    return this.#instance.name
  }

  get url(): string {
    return this.#instance.url
  }

  get machine(): string | undefined {
    return this.#instance.settings.machine
  }

  get region(): string | undefined {
    return this.#instance.settings.region
  }

  get weight(): number {
    return this.#instance.settings.weight
  }

  get state(): InstanceView['state'] {
    return this.#instance.state
  }

  get healthy(): boolean {
    return this.#instance.usable
  }

  get inFlight(): number {
    return this.#instance.inFlight
  }
}

const makeView = ({ id, config, instances }: Service, filter: (instance: Instance) => boolean = () => true): ServiceView =>
  Object.freeze({
    id,
    routing: config.routing,
    instances: Object.freeze(instances.filter(filter).map((instance) => new Shown(instance))),
  })

function ask(strategy: Strategy, service: Service, select: () => Choice): Choice {
  let choice: unknown
  try {
    choice = select()
  } catch (thrown) {
    throw failed(strategy, service, messageOf(thrown), thrown)
  }
  if (!(choice instanceof Promise)) return choice as Choice
  // Nobody hears of what becomes of it, and an unheard rejection would end the gateway.
  choice.catch(() => undefined)
  throw failed(strategy, service, '"select" must answer at once, not with a promise')
}

const failed = (strategy: Strategy, { id }: Service, why: string, cause?: unknown): HestiaError =>
  new HestiaError('routing_failed', {
    message: `Strategy ${strategy.name} could not choose an instance of service ${id}: ${why}.`,
    cause,
    fields: { service: id, strategy: strategy.name },
  })
