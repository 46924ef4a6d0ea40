import type { IncomingMessage, ServerResponse } from 'node:http'
import { setImmediate as yieldToTraffic } from 'node:timers/promises'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from '../config/index.ts'
import { messageOf } from '../errors.ts'
import { Hestia, type PluginStatus, type Surface } from '../hestia.ts'
import { HookLists } from '../hooks.ts'
import { hostNames, routerUrl } from '../http/address.ts'
import { tellAnswered } from '../http/answered.ts'
import { decorateCaller } from '../http/caller.ts'
import { answerBadUrl, answerErrors } from '../http/error-handler.ts'
import { decorateHeaderEdits } from '../http/header-edits.ts'
import { answerNotFound } from '../http/not-found.ts'
import { onceClosed } from '../http/once-closed.ts'
import { requestId } from '../http/request-id.ts'
import { requestLog } from '../http/request-log.ts'
import { keepRouteTable } from '../http/route-table.ts'
import { decorateTrace } from '../http/trace-context.ts'
import { serializerCompiler, takeEmptyJson, validatorCompiler } from '../http/validation.ts'
import { keepPagesAway } from '../http/web-origin.ts'
import type { Holding, Pool } from '../pool.ts'
import type { PluginModule } from './plugin-modules.ts'

/** What a generation is built from. */
export interface GenerationParts {
  readonly number: number
  readonly config: Config
  readonly modules: readonly PluginModule[]
  readonly surface: Surface
  readonly pool: Pool
  readonly log: Logger
}

/** How long a build may keep traffic waiting at a stretch, in milliseconds. */
const LONGEST_BLOCK_MS = 2

/** How long a plugin's set-up may take, in milliseconds. */
const SETUP_TIMEOUT_MS = 5000

/** A name that no service can have for its own (RFC 2606, 2). */
const PROBE_HOST = 'hestia.invalid'

/** How long plugins may take to close what they opened, in milliseconds. */
const DISPOSE_TIMEOUT_MS = 5000

/** Why a build was thrown away: the phase, and the plugin to blame if one is known. */
export class BuildError extends Error {
  readonly phase: 'setup' | 'ready' | 'probe'
  readonly plugin: string | undefined

  constructor(phase: 'setup' | 'ready' | 'probe', plugin: string | undefined, cause: unknown) {
    super(messageOf(cause), { cause })
    this.name = 'BuildError'
    this.phase = phase
    this.plugin = plugin
  }
}

/**
 * One complete build of the gateway from one configuration; immutable once built. It never listens: requests are handed to
 * `serve`, and it lives until the last of them has ended.
 */
export class Generation {
  readonly number: number
  readonly config: Config
  readonly hooks: HookLists
  readonly modules: readonly PluginModule[]
  readonly app: FastifyInstance
  readonly plugins: PluginStatus[] = []
  readonly #holding: Holding
  readonly #controller = new AbortController()
  #open = 0
  readonly #waiting = new Set<() => void>()
  readonly #closed = (): void => {
    if (--this.#open > 0) return
    for (const tell of this.#waiting) tell()
  }

  private constructor(parts: GenerationParts) {
    this.number = parts.number
    this.config = parts.config
    this.modules = parts.modules
    const starters = parts.modules.flatMap(({ name, definition: { starter } }) => (starter ? [[name, starter] as const] : []))
    this.hooks = new HookLists(parts.surface.events, new Map(starters))
    this.#holding = parts.pool.hold()
    this.app = makeApp(parts.config, parts.log)
    const hestia = new Hestia({
      generation: parts.number,
      config: parts.config,
      signal: this.#controller.signal,
      surface: parts.surface,
      hooks: this.hooks,
      holding: this.#holding,
      log: parts.log,
    })
    this.app.decorate('hestia', hestia)
  }

  /**
   * Sets all plugins up on a new app and asks it one question. Yields between plugins, so that a build doesn't stall traffic.
   * @throws {BuildError} after everything that was set up has been undone.
   */
  static async build(parts: GenerationParts): Promise<Generation> {
    const generation = new Generation(parts)
    try {
      let yieldedAt = performance.now()
      for (const module of parts.modules) {
        await generation.#setUp(module)
        if (performance.now() - yieldedAt < LONGEST_BLOCK_MS) continue
        await yieldToTraffic()
        yieldedAt = performance.now()
      }
      await generation.#settle('ready', () => generation.app.ready())
      await generation.#settle('probe', () => generation.#probe())
      return generation
    } catch (error) {
      await generation.#dispose().catch(() => undefined)
      throw error
    }
  }

  async #setUp(module: PluginModule): Promise<void> {
    const { name } = module
    const beganAt = performance.now()
    try {
      this.app.hestia.enter(name)
      // A copy: plugins from elsewhere may write into their options.
      await this.app.register(module.plugin, structuredClone(this.config.plugins.get(name) ?? {}))
    } catch (thrown) {
      throw new BuildError('setup', name, thrown)
    }
    this.plugins.push({
      name,
      version: module.definition.version,
      source: module.source,
      state: 'on',
      setupMs: performance.now() - beganAt,
      loadedAt: module.loadedAt,
    })
  }

  async #settle(phase: 'ready' | 'probe', work: () => PromiseLike<unknown>): Promise<void> {
    try {
      this.app.hestia.enter('core')
      await work()
    } catch (thrown) {
      throw new BuildError(phase, undefined, thrown)
    }
  }

  /** A hook that fails on every request is found here, not by the first client. */
  async #probe(): Promise<void> {
    const answer = await this.app.inject({
      method: 'GET',
      url: '/__health',
      headers: { host: PROBE_HOST, 'x-request-id': `probe-${this.number}` },
    })
    if (answer.statusCode >= 500)
      throw new Error(`a probe request to /__health was answered ${answer.statusCode}: ${answer.body}`)
  }

  /** Serves a request; the generation stays alive until its response is closed. */
  serve(request: IncomingMessage, response: ServerResponse): void {
    this.#open++
    onceClosed(response, this.#closed)
    this.app.routing(request, response)
  }

  /** Keeps the generation alive until the returned function is called; for what is no ordinary response. */
  lease(): () => void {
    this.#open++
    let held = true
    return () => {
      if (held) this.#closed()
      held = false
    }
  }

  /** How many responses are not closed yet. */
  get open(): number {
    return this.#open
  }

  /**
   * Waits until the last response is closed, but no longer than `timeoutMs`; then closes the app and gives up what was kept.
   * Clients are never cut.
   * @returns whether all had ended.
   */
  async retire(timeoutMs: number, hurry?: AbortSignal): Promise<boolean> {
    const drained = await this.drain(timeoutMs, hurry)
    await this.#dispose()
    return drained
  }

  /** Waits until the last response is closed, but no longer than `timeoutMs` or until `hurry` is aborted. */
  async drain(timeoutMs: number, hurry?: AbortSignal): Promise<boolean> {
    if (this.#open === 0) return true
    if (hurry?.aborted) return false
    const { promise, resolve } = deferred<boolean>()
    const tell = () => resolve(true)
    const giveUp = () => resolve(false)
    this.#waiting.add(tell)
    hurry?.addEventListener('abort', giveUp)
    const timer = setTimeout(giveUp, timeoutMs).unref()
    const drained = await promise
    // What is left behind here would hold the whole generation.
    clearTimeout(timer)
    hurry?.removeEventListener('abort', giveUp)
    this.#waiting.delete(tell)
    return drained
  }

  async #dispose(): Promise<void> {
    this.#controller.abort()
    try {
      await within(DISPOSE_TIMEOUT_MS, 'closing the plugins of a generation', this.app.close())
    } finally {
      await within(DISPOSE_TIMEOUT_MS, 'giving up what a generation kept', this.#holding.release())
    }
  }
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/** @throws when `work` takes longer; it is not waited for any more. */
async function within(timeoutMs: number, what: string, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = deferred<string>()
  const timer = setTimeout(resolve, timeoutMs, 'late')
  try {
    if ((await Promise.race([work, promise])) === 'late') throw new Error(`${what} took longer than ${timeoutMs} ms`)
  } finally {
    clearTimeout(timer)
  }
}

function makeApp(config: Config, log: Logger): FastifyInstance {
  const hosts = hostNames(config)
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    childLoggerFactory: (_logger, bindings) => requestLog(log, bindings),
    genReqId: requestId,
    requestIdHeader: false,
    pluginTimeout: SETUP_TIMEOUT_MS,
    frameworkErrors: (error, request, reply) => answerBadUrl(error, request, reply),
    rewriteUrl: (request) => routerUrl(request, hosts),
    return503OnClosing: false,
    routerOptions: { maxParamLength: 1000 },
  }) as unknown as FastifyInstance
  app.setValidatorCompiler(validatorCompiler as never)
  app.setSerializerCompiler(serializerCompiler)
  takeEmptyJson(app)
  keepRouteTable(app)
  decorateHeaderEdits(app)
  decorateCaller(app)
  decorateTrace(app)
  // Answers that bypass Fastify (hijacked ones) set the header themselves.
  app.addHook('onSend', (request, reply, _payload, done) => {
    reply.header('x-request-id', request.id)
    done()
  })
  tellAnswered(app, PROBE_HOST)
  answerErrors(app)
  keepPagesAway(app, config.server.trusted_hosts)
  answerNotFound(app)
  return app
}
