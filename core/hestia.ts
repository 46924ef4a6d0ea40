import type { FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from './config/index.ts'
import type { Events } from './events.ts'
import type { HookLists, HookName, Hooks, Registration } from './hooks.ts'
import type { Caller } from './http/caller.ts'
import type { RequestView } from './http/request-view.ts'
import type { Tunnels } from './http/tunnel.ts'
import type { Instance } from './instances/instance.ts'
import type { Service } from './instances/service.ts'
import type { Services } from './instances/services.ts'
import { levelOf } from './log/logger.ts'
import type { Holding } from './pool.ts'
import type { Problem } from './problem.ts'
import { type Decision, route } from './routing.ts'
import type { Strategies } from './strategies.ts'

/** What one plugin of one generation looks like from outside. */
export interface PluginStatus {
  readonly name: string
  readonly version: string | undefined
  /** File or package it came from. */
  readonly source: string
  readonly state: 'on' | 'failed'
  /** How long its set-up took, in milliseconds. */
  readonly setupMs: number
  readonly loadedAt: number
  /** Why the newest version was refused, while this one goes on working. */
  readonly problems?: readonly Problem[]
}

/** What a reload did. */
export interface ReloadResult {
  readonly generation: number
  readonly changes: readonly string[]
}

/** The gateway around all generations, as far as plugins may see it. */
export interface Surface {
  readonly events: Events
  readonly services: Services
  readonly strategies: Strategies
  readonly tunnels: Tunnels
  /** Reads files and configuration again. @throws {ProblemError} when they are refused; the old ones keep serving. */
  reload(): Promise<ReloadResult>
  /** Plugins of the current generation, and those whose newest version was refused. */
  plugins(): readonly PluginStatus[]
  /** What is wrong with the configuration file as it is now, while the last good one is in force. */
  readonly problems: readonly Problem[]
  /** Whether the gateway takes requests; false while it starts and while it ends. */
  readonly ready: boolean
  /** Who makes a request by the configuration in force; null where nobody asks. */
  identify(request: FastifyRequest): Caller | null
}

const NONE: ReadonlySet<Instance> = new Set()

/** The core's API for plugins, as `app.hestia`: what one generation may use. */
export class Hestia {
  /** Number of this generation, counting from 1. */
  readonly generation: number
  /** The configuration of this generation; frozen. */
  readonly config: Config
  /** Aborted when this generation has drained, just before its `onClose` hooks. */
  readonly signal: AbortSignal
  readonly #surface: Surface
  readonly #hooks: HookLists
  readonly #holding: Holding
  readonly #log: Logger
  #plugin = 'core'

  constructor(parts: {
    generation: number
    config: Config
    signal: AbortSignal
    surface: Surface
    hooks: HookLists
    holding: Holding
    log: Logger
  }) {
    this.generation = parts.generation
    this.config = parts.config
    this.signal = parts.signal
    this.#surface = parts.surface
    this.#hooks = parts.hooks
    this.#holding = parts.holding
    this.#log = parts.log
  }

  /** Everything that happens, as one typed stream. It outlives this generation: unsubscribe in an `onClose` hook. */
  get events(): Events {
    return this.#surface.events
  }

  get services(): Services {
    return this.#surface.services
  }

  get strategies(): Strategies {
    return this.#surface.strategies
  }

  /** Upgraded connections; they outlive generations. */
  get tunnels(): Tunnels {
    return this.#surface.tunnels
  }

  get ready(): boolean {
    return this.#surface.ready
  }

  /** A logger for the plugin that is being set up, with its level of `log.levels`; take it once, in `setup`. */
  get log(): Logger {
    return this.#log.child({ plugin: this.#plugin }, { level: levelOf(this.config.log, this.#plugin) })
  }

  /** Adds a handler to one of the four hooks; only while the plugin is being set up. */
  hook<N extends HookName>(name: N, registration: Hooks[N] | Registration<N>): void {
    this.#hooks.add(this.#plugin, name, registration)
  }

  /**
   * A value that outlives generations, for plain data and objects of libraries: made once, shared by all generations that
   * ask for it, disposed of after the last of them. Put a version of its shape into the key: `queue@1`.
   */
  keep<T>(key: string, create: () => T, dispose?: (value: T) => void | Promise<void>): T {
    return this.#holding.keep(key, create, dispose)
  }

  /** Where a request goes and why; see {@link route}. Tells the world as `request.routed`. */
  route(request: RequestView, service: Service | undefined, exclude: ReadonlySet<Instance> = NONE): Decision | Promise<Decision> {
    const decision = route({
      hooks: this.#hooks,
      request,
      service,
      exclude,
      maxBodyBytes: this.config.server.max_body_bytes,
    })
    return decision instanceof Promise ? decision.then((late) => this.#tell(request, late)) : this.#tell(request, decision)
  }

  /** Reads files and configuration again. @throws {ProblemError} when they are refused. */
  reload(): Promise<ReloadResult> {
    return this.#surface.reload()
  }

  /** Who makes a request by the configuration in force, which may be newer than this one; null where nobody asks. */
  identify(request: FastifyRequest): Caller | null {
    return this.#surface.identify(request)
  }

  /** State of all plugins. */
  plugins(): readonly PluginStatus[] {
    return this.#surface.plugins()
  }

  /** What is wrong with the configuration file as it is now, while the last good one is in force. */
  get problems(): readonly Problem[] {
    return this.#surface.problems
  }

  /** The handlers of each hook in the order in which they run. */
  hooks(): ReturnType<HookLists['describe']> {
    return this.#hooks.describe()
  }

  /** For the host alone: in whose name the calls that follow are made. */
  enter(plugin: string): void {
    this.#plugin = plugin
  }

  #tell(request: RequestView, decision: Decision): Decision {
    if (!this.events.wants('request.routed')) return decision
    const { instance, reason, plugin, strategy } = decision
    this.events.tell({
      type: 'request.routed',
      at: Date.now(),
      requestId: request.id,
      service: instance.service.id,
      instance: instance.name,
      reason,
      plugin,
      strategy,
    })
    return decision
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The core's API. */
    hestia: Hestia
  }
}
