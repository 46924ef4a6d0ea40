import { readdir } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as typebox from '@sinclair/typebox'
import * as typeboxValue from '@sinclair/typebox/value'
import * as fastifyPlugin from 'fastify-plugin'
import type { Logger } from 'pino'
import type { Config } from './config/index.ts'
import { HestiaError, messageOf } from './errors.ts'
import { Events } from './events.ts'
import { ModuleLoader } from './files/loader.ts'
import { Watcher } from './files/watcher.ts'
import type { PluginStatus, ReloadResult, Surface } from './hestia.ts'
import { Host } from './http/host.ts'
import { Tunnels } from './http/tunnel.ts'
import * as hestia from './index.ts'
import { Services } from './instances/services.ts'
import { EventLog } from './log/event-log.ts'
import { makeLogger } from './log/logger.ts'
import { Pool } from './pool.ts'
import type { Problem } from './problem.ts'
import { Builder } from './reload/builder.ts'
import { PluginModules } from './reload/plugin-modules.ts'
import { Reloader } from './reload/reloader.ts'
import { Strategies } from './strategies.ts'

/** Where Hestia itself lies: its own plugins and strategies are beside its core. */
const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..')

/** What user files get when they import these names: the running modules, not copies. */
const SHARED: ReadonlyMap<string, object> = new Map<string, object>([
  ['hestia', hestia],
  ['@sinclair/typebox', typebox],
  ['@sinclair/typebox/value', typeboxValue],
  ['fastify-plugin', fastifyPlugin],
])

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
  readonly #loader: ModuleLoader
  readonly #watcher: Watcher
  readonly #base: string
  readonly #file: string
  #log: Logger | undefined
  #eventLog: EventLog | undefined
  #ready = false
  #stopping: Promise<void> | undefined

  private constructor({ configFile, env = process.env }: GatewayOptions) {
    this.#file = resolve(configFile)
    this.#base = dirname(this.#file)
    const show = (file: string): string => shortPath(file, this.#base)
    const { events, pool } = this
    this.#loader = new ModuleLoader({ shared: SHARED, root: ROOT, displayPath: show })
    this.services = new Services({ events, hooks: () => this.#reloader.current.hooks })
    this.strategies = new Strategies({
      load: (file) => this.#loader.load(file),
      forget: (file) => this.#loader.forget(file),
      events,
      isShipped: (file) => !isBelow(join(this.#base, 'strategies'), file),
      show,
    })
    this.host = new Host(() => this.#reloader.current)
    const modules = new PluginModules({
      loader: this.#loader,
      folders: this.#folders('plugins'),
      base: this.#base,
      root: ROOT,
      show,
    })
    const builder = new Builder({
      file: this.#file,
      env,
      modules,
      surface: this,
      pool,
      log: (config) => this.#logger(config),
      show,
    })
    const { host, services, strategies } = this
    const strategyFiles = async () => (await Promise.all(this.#folders('strategies').map(listScripts))).flat()
    const onSwap = ({ config }: { config: Config }) => {
      this.#eventLog?.follow(config.log)
    }
    this.#reloader = new Reloader({ builder, host, services, strategies, events, strategyFiles, show, onSwap })
    this.#watcher = new Watcher((files) => this.#changed(files), {
      onError: (error) => this.#log?.warn({ err: error }, 'watching files failed'),
    })
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
    this.#loader.invalidate(changed)
    try {
      return await this.#reloader.reload()
    } finally {
      await this.#watch()
    }
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
    await this.#watcher.close()
    await this.host.close()
    await this.#reloader.close()
    await this.#loader.close()
  }

  #changed(files: ReadonlySet<string>): void {
    if (this.#stopping || !this.#ready) return
    // What was refused has been told as an event; there is nobody else to tell.
    this.#reload(files).catch(() => undefined)
  }

  #watch(): Promise<void> {
    const folders = [...this.#folders('plugins'), ...this.#folders('strategies')]
    const known = this.#loader.readings()
    return this.#watcher.watch({ folders, files: [this.#file, ...known.keys()], known })
  }

  /** The user's folder of that name, then the shipped one. */
  #folders(name: string): string[] {
    return [...new Set([join(this.#base, name), join(ROOT, name)])]
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

async function listScripts(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new Error(`the folder ${folder} cannot be read: ${messageOf(error)}`, { cause: error })
  })
  return entries
    .filter(({ name }) => /\.(?:ts|js|mjs)$/.test(name) && !name.endsWith('.d.ts') && !name.startsWith('.'))
    .map(({ name }) => join(folder, name))
    .sort()
}

const isBelow = (folder: string, file: string): boolean => !relative(folder, file).startsWith('..')

/** A path as people would type it from where the configuration lies. */
function shortPath(file: string, base: string): string {
  if (!isAbsolute(file)) return file
  for (const folder of [base, ROOT]) if (isBelow(folder, file)) return relative(folder, file)
  return file
}
