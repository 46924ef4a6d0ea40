import { setImmediate as tick } from 'node:timers/promises'
import { Value } from '@sinclair/typebox/value'
import Fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import type { Config, ResolvedInstance, ResolvedService, Section } from '../../core/config/types.ts'
import { Events, type HestiaEvent } from '../../core/events.ts'
import { Hestia, type Surface } from '../../core/hestia.ts'
import { HookLists } from '../../core/hooks.ts'
import { RequestView } from '../../core/http/request-view.ts'
import type { Instance } from '../../core/instances/instance.ts'
import type { Service } from '../../core/instances/service.ts'
import { Services } from '../../core/instances/services.ts'
import { type HestiaPlugin, readPlugin } from '../../core/plugin.ts'
import { Pool } from '../../core/pool.ts'
import type { Strategy } from '../../core/strategy.ts'
import type { StartPolicy } from '../../schemas/service.ts'

/** A service as a test gives it; what is left out has its default. */
export interface GivenService extends Partial<Omit<ResolvedService, 'instances' | 'start'>> {
  readonly instances?: readonly (Partial<ResolvedInstance> & { readonly name: string })[]
  readonly start?: Partial<StartPolicy>
}

/** One generation: its app with the plugins on it, and what ends it. */
export interface TestGeneration {
  readonly app: FastifyInstance
  readonly hooks: HookLists
  retire(): Promise<void>
}

/** What plugins live in, without listener and files: real services, hooks, events and pool, and generations of plugins on them. */
export class PluginWorld {
  readonly events = new Events()
  readonly pool = new Pool()
  readonly seen: HestiaEvent[] = []
  readonly strategies = new Map<string, Strategy>()
  readonly services: Services
  #current: TestGeneration | undefined
  #number = 0

  constructor() {
    this.events.subscribe((event) => this.seen.push(event))
    this.services = new Services({ events: this.events, hooks: () => this.current.hooks })
  }

  get current(): TestGeneration {
    return this.#current!
  }

  /** Builds a generation and makes it the current one; sections are completed by the plugins' schemas. */
  async generation(
    plugins: readonly (HestiaPlugin | readonly [HestiaPlugin, Record<string, unknown>])[],
    services: Record<string, GivenService>,
  ): Promise<TestGeneration> {
    const parts = plugins.map((entry) => {
      const [plugin, given] = typeof entry === 'function' ? [entry, {}] : entry
      const { definition } = readPlugin('given', plugin)
      return { plugin, definition, options: definition.options ? Value.Default(definition.options, { ...given }) : {} }
    })
    const sectionsOf: SectionsOf = (given = {}) =>
      Object.fromEntries(
        parts.flatMap(({ definition: { name, service }, options }) =>
          service ? [[name, Value.Default(service, { ...(options as object), ...(given[name] as object) }) as Section]] : [],
        ),
      )
    const config: Config = {
      file: '/nowhere/hestia_config.yml',
      server: { max_body_bytes: 10_485_760 } as never,
      log: { level: 'silent', levels: {} } as never,
      shutdown: 'stop',
      machines: {},
      routingRules: [],
      plugins: new Map(),
      services: Object.fromEntries(Object.entries(services).map(([id, given]) => [id, resolve(id, given, sectionsOf)])),
    }
    const hooks = new HookLists(this.events)
    const holding = this.pool.hold()
    const controller = new AbortController()
    const app = Fastify()
    const surface = {
      events: this.events,
      services: this.services,
      strategies: this.strategies,
      ready: true,
    } as unknown as Surface
    const log = pino({ level: 'silent' })
    const hestia = new Hestia({ generation: ++this.#number, config, signal: controller.signal, surface, hooks, holding, log })
    app.decorate('hestia', hestia)
    for (const { plugin, definition, options } of parts) {
      hestia.enter(definition.name)
      await app.register(plugin, options as object)
    }
    await app.ready()
    const retire = async () => {
      controller.abort()
      await app.close()
      await holding.release()
    }
    this.#current = { app, hooks, retire }
    this.services.reconcile(config, (a, b) => JSON.stringify(a) === JSON.stringify(b))
    return this.#current
  }

  service(id = 'svc'): Service {
    return this.services.require(id)
  }

  instance(name?: string, id = 'svc'): Instance {
    const found = this.service(id).all.find((instance) => name === undefined || instance.name === name)
    if (!found) throw new Error(`there is no instance ${name} of ${id}`)
    return found
  }

  /** Stops everything and retires the current generation. */
  async end(): Promise<void> {
    await this.services.stopAll('shutdown')
    await this.current.retire()
    await tick()
  }
}

type SectionsOf = (given?: Readonly<Record<string, unknown>>) => Record<string, Section>

function resolve(id: string, given: GivenService, sectionsOf: SectionsOf): ResolvedService {
  const { instances = [{ name: 'one' }], start, sections, ...rest } = given
  return {
    id,
    fallback: null,
    hosts: [],
    tags: [],
    requires: {},
    models: undefined,
    aliases: {},
    warmup_ms: undefined,
    start: {
      attempts: 1,
      delay_ms: 0,
      timeout_ms: 10_000,
      cooldown_ms: 10_000,
      abandon: 'finish',
      linger_ms: 0,
      ...start,
    },
    strategy: undefined,
    routing: {},
    named: Object.keys(sections ?? {}),
    starters: [],
    ...rest,
    sections: sectionsOf(sections),
    instances: instances.map((instance) => ({
      url: `http://${instance.name}.test`,
      weight: 1,
      ...instance,
      sections: sectionsOf({ ...sections, ...instance.sections }),
    })),
  }
}

/** A request as plugins see it. */
export function view(
  parts: { target?: string; headers?: Record<string, string>; body?: unknown; signal?: AbortSignal } = {},
): RequestView {
  const { target = '/', headers = {}, body, signal = new AbortController().signal } = parts
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  return new RequestView({
    id: 'r',
    method: bytes ? 'POST' : 'GET',
    target,
    headers: bytes ? { 'content-type': 'application/json', ...headers } : headers,
    clientAddress: '127.0.0.1',
    body: bytes,
    signal: () => signal,
  })
}
