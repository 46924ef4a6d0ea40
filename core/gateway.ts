import type { FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from './config/index.ts'
import { CoreWatch } from './core-watch.ts'
import { HestiaError } from './errors.ts'
import { Events } from './events.ts'
import { Watcher } from './files/watcher.ts'
import type { PluginStatus, ReloadResult, Surface } from './hestia.ts'
import type { Caller } from './http/caller.ts'
import { Host } from './http/host.ts'
import { Tunnels } from './http/tunnel.ts'
import { Services } from './instances/services.ts'
import { EventLog } from './log/event-log.ts'
import { makeLogger } from './log/logger.ts'
import { Pool } from './pool.ts'
import type { Problem } from './problem.ts'
import { Builder } from './reload/builder.ts'
import { Planner } from './reload/planner.ts'
import { Reloader } from './reload/reloader.ts'
import { Sources } from './sources.ts'
import type { Strategies } from './strategies.ts'

export interface GatewayOptions {
  /** The configuration; `plugins/` and `strategies/` beside it are the user's. */
  readonly configFile: string
  readonly env?: Readonly<Record<string, string | undefined>>
}

/**
 * The whole gateway: what lives outside every generation, put together. State (services, kept values, strategies, tunnels, the
 * socket) stands here and outlives code; code is in generations and is replaced whole.
 */
export class Gateway implements Surface {
  readonly events = new Events()
  readonly pool = new Pool()
  readonly tunnels = new Tunnels()
  readonly services: Services
  readonly strategies: Strategies
  readonly host: Host
  readonly #reloader: Reloader
  readonly #sources: Sources
  readonly #watcher: Watcher
  readonly #coreWatch: CoreWatch
  #log: Logger | undefined
  #eventLog: EventLog | undefined
  #ready = false
  /** What was last said of how open it is, so that a reload that changes nothing of it says nothing. */
  #openness = ''
  #stopping: Promise<void> | undefined

  private constructor({ configFile, env = process.env }: GatewayOptions) {
    this.#sources = new Sources(configFile)
    const { file, modules, show, strategyFiles } = this.#sources
    const { events, pool } = this
    this.services = new Services({ events, hooks: () => this.#reloader.current.hooks })
    this.strategies = this.#sources.strategies(events)
    this.host = new Host(() => this.#reloader.current)
    const planner = new Planner({ file, env, modules, show })
    const builder = new Builder({ file, surface: this, pool, log: (config) => this.#logger(config), show })
    const { host, services, strategies } = this
    const onSwap = ({ config }: { config: Config }) => {
      this.#eventLog?.follow(config.log)
    }
    this.#reloader = new Reloader({ planner, builder, host, services, strategies, events, strategyFiles, show, onSwap })
    const onError = (error: unknown) => this.#log?.warn({ err: error }, 'watching files failed')
    this.#watcher = new Watcher((files) => this.#changed(files), { onError })
    const tellOutdated = (files: readonly string[]) => events.emit('reload.restart_needed', { files: files.map(show) })
    this.#coreWatch = new CoreWatch(this.#sources.core(), tellOutdated, onError)
  }

  /**
   * Starts a gateway.
   * @throws {ProblemError} when the configuration or a plugin is not valid; nothing is left running.
   */
  static async start(options: GatewayOptions): Promise<Gateway> {
    const gateway = new Gateway(options)
    try {
      // Watching begins before the first look, so that no change between the two is missed.
      await gateway.#watch()
      await gateway.#reloader.reload()
      await gateway.#watch()
      gateway.#ready = true
      gateway.events.emit('server.listening', { address: gateway.host.url })
      gateway.#warnIfOpen()
      void gateway.#coreWatch.watch()
      return gateway
    } catch (error) {
      await gateway.#close()
      throw error
    }
  }

  get url(): string {
    return this.host.url
  }

  get ready(): boolean {
    return this.#ready
  }

  get generation(): number {
    return this.#reloader.current.number
  }

  get config(): Config {
    return this.#reloader.current.config
  }

  get log(): Logger {
    if (!this.#log) throw new Error('there is no logger before the first configuration')
    return this.#log
  }

  /** Generations that are not over: the current one, and those that still serve requests they accepted. */
  get generations(): number {
    return this.#reloader.draining + 1
  }

  get problems(): readonly Problem[] {
    return this.#reloader.problems
  }

  reload(): Promise<ReloadResult> {
    return this.#reload()
  }

  /** `changed`: what is known to differ on disk; without it everything is looked at. */
  async #reload(changed?: ReadonlySet<string>): Promise<ReloadResult> {
    if (this.#stopping) throw new HestiaError('shutting_down')
    this.#sources.loader.invalidate(changed)
    try {
      const result = await this.#reloader.reload()
      this.#warnIfOpen()
      return result
    } finally {
      await this.#watch()
    }
  }

  /** Says so when nobody asks who makes a request. */
  #warnIfOpen(): void {
    if (this.#stopping) return
    const address = this.host.url
    const isOpen = !this.#reloader.current.app.hasDecorator('authenticates')
    const openness = isOpen ? address : ''
    if (isOpen && openness !== this.#openness) this.events.emit('server.open', { address, exposed: !isLoopback(address) })
    this.#openness = openness
  }

  identify(request: FastifyRequest): Caller | null {
    return this.#reloader.current.app.identify?.(request) ?? null
  }

  plugins(): readonly PluginStatus[] {
    const refused = new Map(this.#reloader.refused.map(({ plugin, problems }) => [plugin, problems]))
    return this.#reloader.current.plugins.map((status) => {
      const problems = refused.get(status.name)
      return problems ? { ...status, state: 'failed', problems } : status
    })
  }

  /**
   * Ends the gateway: takes no new requests, lets those under way end (bounded by `server.drain_timeout_ms`), then stops the
   * services, unless `shutdown: leave`. Aborting `hurry` ends the wait.
   */
  stop(signal = 'stop', hurry?: AbortSignal): Promise<void> {
    this.#stopping ??= this.#stop(signal, hurry)
    return this.#stopping
  }

  async #stop(signal: string, hurry: AbortSignal | undefined): Promise<void> {
    this.#ready = false
    this.events.emit('server.stopping', { signal })
    this.host.stopListening()
    this.services.close(new HestiaError('shutting_down'))
    // A reload that was under way may have opened a new listener, and services.
    await this.#reloader.settled()
    this.host.stopListening()
    this.services.close(new HestiaError('shutting_down'))
    const { config } = this.#reloader.current
    await this.#reloader.drain(config.server.drain_timeout_ms, hurry)
    this.tunnels.closeAll()
    if (config.shutdown === 'stop') await this.services.stopAll('shutdown')
    await this.#close()
  }

  async #close(): Promise<void> {
    await Promise.all([this.#watcher.close(), this.#coreWatch.close()])
    await this.host.close()
    await this.#reloader.close()
    await this.#sources.loader.close()
    this.#eventLog?.close()
  }

  #changed(files: ReadonlySet<string>): void {
    if (this.#stopping || !this.#ready) return
    // What was refused has been told as an event; there is nobody else to tell.
    this.#reload(files).catch(() => undefined)
  }

  #watch(): Promise<void> {
    const { file, loader } = this.#sources
    const folders = [...this.#sources.folders('plugins'), ...this.#sources.folders('strategies')]
    const known = loader.readings()
    return this.#watcher.watch({ folders, files: [file, ...known.keys()], known })
  }

  #logger(config: Config): Logger {
    if (!this.#log) {
      const made = makeLogger(config.log)
      this.#log = made.log
      this.#eventLog = new EventLog(this.events, made)
      this.#eventLog.follow(config.log)
    }
    return this.#log
  }
}

/** RFC 1122, 3.2.1.3; RFC 4291, 2.5.3. */
const isLoopback = (url: string): boolean => /^(?:127(?:\.\d+){3}|\[::1\])$/.test(new URL(url).hostname)
