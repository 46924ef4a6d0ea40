import { messageOf } from './errors.ts'
import type { Events } from './events.ts'
import { type Problem, ProblemError } from './problem.ts'
import { readStrategy, type Strategy } from './strategy.ts'

/** Loads a strategy file; throws `ProblemError`. */
export type LoadStrategy = (file: string) => Promise<{ readonly exported: unknown; readonly version: string }>

/** A strategy that works, and the file it came from. */
export interface LoadedStrategy {
  readonly file: string
  readonly strategy: Strategy
  readonly version: string
  /** Milliseconds since the epoch. */
  readonly loadedAt: number
}

/** A file that was refused, and why; what it held before goes on working. */
export interface FailedStrategy {
  readonly file: string
  readonly problems: readonly Problem[]
}

/** Says what would be wrong with the running configuration if this strategy took the place of its name. */
export type CheckStrategy = (strategy: Strategy) => Promise<readonly Problem[]>

/** The last good version of each strategy file. Of two files with one name the first stays and the second is refused. */
export class Strategies {
  readonly #byFile = new Map<string, LoadedStrategy>()
  readonly #failed = new Map<string, FailedStrategy>()
  readonly #load: LoadStrategy
  readonly #events: Events
  readonly #forget: (file: string) => void
  readonly #isShipped: (file: string) => boolean
  readonly #show: (file: string) => string
  /** The files that exist. */
  #files: ReadonlySet<string> = new Set()
  /** Last versions of strategies whose files are gone, by name. */
  readonly #gone = new Map<string, Strategy>()
  #byName: ReadonlyMap<string, LoadedStrategy> = new Map()

  constructor(options: {
    load: LoadStrategy
    /** The file is not used any more. */
    forget: (file: string) => void
    events: Events
    /** Shipped strategies give way to a user's of the same name. */
    isShipped: (file: string) => boolean
    show: (file: string) => string
  }) {
    this.#load = options.load
    this.#forget = options.forget
    this.#events = options.events
    this.#isShipped = options.isShipped
    this.#show = options.show
  }

  get(name: string): Strategy | undefined {
    return this.#byName.get(name)?.strategy
  }

  /**
   * By name, for the check of a configuration: also those whose files are gone, since a configuration in force that names one
   * must not hold up every other change. Requests don't reach them.
   */
  known(): ReadonlyMap<string, Strategy> {
    return new Map([...this.#gone, ...[...this.#byName].map(([name, { strategy }]) => [name, strategy] as const)])
  }

  /** With their files as they are shown to people. */
  loaded(): readonly LoadedStrategy[] {
    return [...this.#byName.values()].map((loaded) => ({ ...loaded, file: this.#show(loaded.file) }))
  }

  failed(): readonly FailedStrategy[] {
    return [...this.#failed.values()]
  }

  /**
   * Brings the table in line with the files that exist now, in their order; each replaced in one step when it has been
   * loaded. Answers what changed; broken files are reported as events.
   */
  async sync(files: readonly string[], check: CheckStrategy): Promise<string[]> {
    const changes: string[] = []
    this.#files = new Set(files)
    for (const file of files) {
      const change = await this.#syncFile(file, check)
      if (change) changes.push(change)
    }
    // Only now, so that a strategy whose file was renamed is there all along.
    for (const file of this.#byFile.keys()) if (!this.#files.has(file)) changes.push(this.#remove(file))
    for (const file of this.#failed.keys()) if (!this.#files.has(file)) this.#recover(file)
    return changes
  }

  async #syncFile(file: string, check: CheckStrategy): Promise<string | undefined> {
    try {
      const { exported, version } = await this.#load(file)
      const before = this.#byFile.get(file)
      if (before?.version === version) {
        this.#recover(file)
        return undefined
      }
      const strategy = this.#read(file, exported)
      const problems = await check(strategy)
      if (problems.length > 0) throw new ProblemError(problems)
      this.#failed.delete(file)
      this.#byFile.set(file, { file, strategy, version, loadedAt: Date.now() })
      this.#index()
      this.#events.emit('strategy.loaded', { strategy: strategy.name, file: this.#show(file) })
      return `strategy ${strategy.name} ${before ? 'changed' : 'added'}`
    } catch (thrown) {
      const problems = thrown instanceof ProblemError ? thrown.problems : [{ file: this.#show(file), message: messageOf(thrown) }]
      this.#failed.set(file, { file, problems })
      this.#events.emit('strategy.failed', { file: this.#show(file), problems })
      return undefined
    }
  }

  #recover(file: string): void {
    if (this.#failed.delete(file)) this.#events.emit('strategy.recovered', { file: this.#show(file) })
  }

  #read(file: string, exported: unknown): Strategy {
    const strategy = readStrategy(exported)
    const holder = this.#byName.get(strategy.name)
    const isRival = holder && holder.file !== file && this.#files.has(holder.file)
    if (isRival && this.#isShipped(holder.file) === this.#isShipped(file)) {
      throw new Error(`the name "${strategy.name}" belongs to ${this.#show(holder.file)} already; rename one of the two`)
    }
    return strategy
  }

  #remove(file: string): string {
    const { strategy } = this.#byFile.get(file)!
    this.#byFile.delete(file)
    this.#gone.set(strategy.name, strategy)
    this.#forget(file)
    this.#index()
    this.#events.emit('strategy.removed', { strategy: strategy.name, file: this.#show(file) })
    return `strategy ${strategy.name} removed`
  }

  #index(): void {
    const loaded = [...this.#byFile.values()]
    const inOrder = [
      ...loaded.filter(({ file }) => this.#isShipped(file)),
      ...loaded.filter(({ file }) => !this.#isShipped(file)),
    ]
    this.#byName = new Map(inOrder.map((entry) => [entry.strategy.name, entry]))
  }
}
