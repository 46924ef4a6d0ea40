import { isDeepStrictEqual } from 'node:util'
import { sameConfig } from '../config/index.ts'
import { messageOf } from '../errors.ts'
import type { Events } from '../events.ts'
import type { ReloadResult } from '../hestia.ts'
import type { Host } from '../http/host.ts'
import type { Services } from '../instances/services.ts'
import { type Problem, ProblemError } from '../problem.ts'
import type { Strategies } from '../strategies.ts'
import type { Strategy } from '../strategy.ts'
import type { Builder } from './builder.ts'
import { describeChanges } from './changes.ts'
import type { Generation } from './generation.ts'
import { Lane } from './lane.ts'
import type { Planner, Refusal } from './planner.ts'
import type { PluginModule } from './plugin-modules.ts'

/** This many generations may drain at once; one more ends the wait of the oldest. */
const MAX_DRAINING = 8

export interface ReloaderParts {
  readonly planner: Planner
  readonly builder: Builder
  readonly host: Host
  readonly services: Services
  readonly strategies: Strategies
  readonly events: Events
  /** Strategy files as they exist now. */
  readonly strategyFiles: () => Promise<readonly string[]>
  readonly show: (file: string) => string
  /** Called in the tick of the swap. */
  readonly onSwap: (generation: Generation) => void
}

/**
 * The one mechanism of every change: BUILD what the files say, SWAP in one synchronous step, RETIRE the old. Two lanes, each one
 * run at a time with the last change winning: strategies, replaced in place; plugins and configuration, replaced as a whole.
 */
export class Reloader {
  readonly #parts: ReloaderParts
  readonly #draining = new Map<Generation, AbortController>()
  readonly #retirements = new Set<Promise<void>>()
  readonly #strategyLane = new Lane(() => this.#syncStrategies())
  readonly #configLane = new Lane(() => this.#reloadConfig())
  #current: Generation | undefined
  #lastGood = new Map<string, PluginModule>()
  /** The configuration in force, as text. */
  #text: string | undefined
  #refused: readonly Refusal[] = []
  #problems: readonly Problem[] = []

  constructor(parts: ReloaderParts) {
    this.#parts = parts
  }

  /** The generation that takes new requests. */
  get current(): Generation {
    if (!this.#current) throw new Error('no generation has been built yet')
    return this.#current
  }

  /** Plugins that run in an older version than their file's. */
  get refused(): readonly Refusal[] {
    return this.#refused
  }

  /** What is wrong with the configuration file as it is now. */
  get problems(): readonly Problem[] {
    return this.#problems
  }

  /** Generations that still serve requests they accepted. */
  get draining(): number {
    return this.#draining.size
  }

  /**
   * Looks at everything anew.
   * @throws {ProblemError} when the configuration is refused; the old one keeps serving.
   */
  async reload(): Promise<ReloadResult> {
    const strategies = await this.#strategyLane.request()
    const changes = await this.#configLane.request()
    return { generation: this.current.number, changes: [...strategies, ...changes] }
  }

  /** Waits until no reload runs any more. */
  async settled(): Promise<void> {
    await Promise.all([this.#strategyLane.idle(), this.#configLane.idle()])
  }

  /** Waits until no generation serves anybody any more, but no longer than `timeoutMs` or until `hurry` is aborted. */
  async drain(timeoutMs: number, hurry?: AbortSignal): Promise<void> {
    const all = [...this.#draining.keys(), ...(this.#current ? [this.#current] : [])]
    await Promise.all(all.map((generation) => generation.drain(timeoutMs, hurry)))
  }

  /** Ends all generations. */
  async close(): Promise<void> {
    await this.settled()
    for (const hurry of this.#draining.values()) hurry.abort()
    if (this.#current) this.#retire(this.#current, 0)
    await Promise.all(this.#retirements)
  }

  async #syncStrategies(): Promise<string[]> {
    return this.#parts.strategies.sync(await this.#parts.strategyFiles(), (strategy) => this.#checkStrategy(strategy))
  }

  /** What would be wrong with the configuration in force if this strategy took the place of its name. */
  async #checkStrategy(strategy: Strategy): Promise<readonly Problem[]> {
    const { planner, strategies } = this.#parts
    const before = strategies.get(strategy.name)
    const asksNothingNew = !strategy.check && isDeepStrictEqual(before?.routing, strategy.routing)
    if (this.#text === undefined || asksNothingNew) return []
    try {
      await planner.plan(this.#text, this.#lastGood, new Map([...strategies.known(), [strategy.name, strategy]]))
      return []
    } catch (thrown) {
      const problems = thrown instanceof ProblemError ? thrown.problems : [{ file: 'strategy', message: messageOf(thrown) }]
      return problems.map((problem) => this.#shown(problem))
    }
  }

  async #reloadConfig(): Promise<string[]> {
    let text: string | undefined
    try {
      text = this.#parts.planner.read()
      const changes = await this.#buildAndSwap(text)
      this.#text = text
      const wasRefused = this.#problems.length > 0
      this.#problems = []
      if (wasRefused) this.#parts.events.emit('reload.recovered', { phase: 'config' })
      return changes
    } catch (thrown) {
      // A broken configuration holds nobody's code up: changed plugins are taken with the configuration in force.
      if (this.#text !== undefined && this.#text !== text) await this.#buildAndSwap(this.#text).catch(() => undefined)
      throw this.#reject(thrown)
    }
  }

  async #buildAndSwap(text: string): Promise<string[]> {
    const beganAt = performance.now()
    const { planner, builder, host, strategies } = this.#parts
    const old = this.#current
    const plan = await planner.plan(text, this.#lastGood, strategies.known())
    if (old && sameConfig(old.config, plan.config) && sameModules(old.modules, plan.modules)) {
      this.#noteRefused(plan.refused)
      return []
    }
    const { generation, refused } = await builder.build((old?.number ?? 0) + 1, plan, this.#lastGood)
    let listener: Awaited<ReturnType<Host['prepare']>>
    try {
      listener = await host.prepare(plan.config.server)
    } catch (thrown) {
      await generation.retire(0)
      throw new ProblemError([{ file: this.#parts.show(plan.config.file), path: 'server', message: messageOf(thrown) }], thrown)
    }
    this.#noteRefused([...plan.refused, ...refused])
    const changes = describeChanges(old, generation)
    this.#swap(generation)
    listener.commit()
    this.#parts.events.emit('reload.applied', { generation: generation.number, changes, durationMs: performance.now() - beganAt })
    return changes
  }

  /** Assignments only: nothing here may fail or wait. */
  #swap(generation: Generation): void {
    const old = this.#current
    this.#current = generation
    this.#lastGood = new Map(generation.modules.map((module) => [module.name, module]))
    this.#parts.services.reconcile(generation.config, isDeepStrictEqual)
    this.#parts.onSwap(generation)
    if (old) this.#retire(old, old.config.server.drain_timeout_ms)
  }

  #retire(generation: Generation, timeoutMs: number): void {
    const beganAt = performance.now()
    const hurry = new AbortController()
    this.#draining.set(generation, hurry)
    if (this.#draining.size > MAX_DRAINING) [...this.#draining.values()][0]!.abort()
    const retirement = generation
      .retire(timeoutMs, hurry.signal)
      .catch((thrown: unknown) => {
        this.#parts.events.emit('hook.failed', { hook: 'onClose', plugin: 'unknown', error: messageOf(thrown) })
        return false
      })
      .then((drained) => {
        this.#draining.delete(generation)
        this.#retirements.delete(retirement)
        const durationMs = performance.now() - beganAt
        this.#parts.events.emit('generation.retired', { generation: generation.number, drained, durationMs })
      })
    this.#retirements.add(retirement)
  }

  /** Tells of refusals that are new or over; the same broken file is told once, not with every other save. */
  #noteRefused(refused: readonly Refusal[]): void {
    const before = this.#refused
    this.#refused = refused
    for (const refusal of refused) {
      if (before.some((known) => isDeepStrictEqual(known, refusal))) continue
      this.#parts.events.emit('reload.rejected', { phase: 'plugin', ...refusal })
    }
    for (const { plugin } of before) {
      if (!refused.some((known) => known.plugin === plugin))
        this.#parts.events.emit('reload.recovered', { phase: 'plugin', plugin })
    }
  }

  #shown(problem: Problem): Problem {
    return { ...problem, file: this.#parts.show(problem.file) }
  }

  #reject(thrown: unknown): ProblemError {
    const problems =
      thrown instanceof ProblemError
        ? thrown.problems.map((problem) => this.#shown(problem))
        : [{ file: 'hestia', message: messageOf(thrown) }]
    // Who cannot even start is told by what `reload` throws; nothing serves on.
    const isNews = this.#current !== undefined && !isDeepStrictEqual(problems, this.#problems)
    if (isNews) this.#parts.events.emit('reload.rejected', { phase: 'config', problems })
    this.#problems = problems
    return new ProblemError(problems, thrown)
  }
}

const sameModules = (a: readonly PluginModule[], b: readonly PluginModule[]): boolean =>
  a.length === b.length && a.every((module, index) => module === b[index])
