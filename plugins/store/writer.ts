import { asError, type Events, HestiaError } from 'hestia'
import type { Command, Driver, Value } from './driver.ts'

/** Lines of one transaction at most, so that none holds up for long who wants to read. */
const BATCH = 1000
/** Pause before the next try while the database fails, in milliseconds; doubles from the first to the second. */
const RETRY_MS = [1000, 10_000] as const

/** What outlives generations: the handle, and what is still to be written. */
export interface Kept {
  driver: Driver | undefined
  /** Set by the first who opens it; everybody waits for the same. */
  opening: Promise<void> | undefined
  /** Rows of the timeline in the order in which they came; bounded. */
  readonly lines: (readonly Value[])[]
  /** By key, of each the last counts; bounded by what there is. */
  readonly latest: Map<string, readonly Command[]>
  dropped: number
  failure: { error: string; readonly since: number; readonly droppedBefore: number; retryMs: number } | undefined
  flushing: Promise<void> | undefined
  timer: NodeJS.Timeout | undefined
  closed: boolean
}

export const newKept = (): Kept => ({
  driver: undefined,
  opening: undefined,
  lines: [],
  latest: new Map(),
  dropped: 0,
  failure: undefined,
  flushing: undefined,
  timer: undefined,
  closed: false,
})

export interface WriterParts {
  readonly file: string
  readonly flushMs: number
  readonly buffer: number
  readonly events: Events
  /** What writes lines; one command for many costs a tenth of many. */
  readonly insert: (lines: readonly (readonly Value[])[]) => Command
  /** A handle on the database, its schema up to date. */
  readonly open: () => Promise<Driver>
  /** False where opening anew would mean to begin with nothing. */
  readonly canReopen: boolean
}

/**
 * Gathers what is to be written, and writes it in the background, one transaction each time. Nobody waits for it. While the
 * database fails it holds what it may hold, drops the rest, and tries again by itself.
 */
export class Writer {
  readonly #kept: Kept
  readonly #parts: WriterParts

  constructor(kept: Kept, parts: WriterParts) {
    this.#kept = kept
    this.#parts = parts
  }

  /** @throws {Error} with what to do, when the database cannot be used. */
  async open(): Promise<void> {
    this.#kept.opening ??= this.#parts.open().then((driver) => {
      this.#kept.driver = driver
    })
    await this.#kept.opening
  }

  /** Adds one more line, if there is room. */
  append(line: readonly Value[]): void {
    if (this.#kept.lines.length >= this.#parts.buffer) this.#kept.dropped++
    else this.#kept.lines.push(line)
    this.#schedule(this.#parts.flushMs)
  }

  /** Replaces what is to be written under that key. */
  put(key: string, ...commands: readonly Command[]): void {
    this.#kept.latest.set(key, commands)
    this.#schedule(this.#parts.flushMs)
  }

  /** Writes all that there is. Never rejects: what fails is tried again, see `health`. */
  flush(): Promise<void> {
    const kept = this.#kept
    clearTimeout(kept.timer)
    kept.timer = undefined
    kept.flushing ??= this.#flush().finally(() => {
      kept.flushing = undefined
      if (this.#queued > 0) this.#schedule(this.#parts.flushMs)
    })
    return kept.flushing
  }

  /**
   * Does something with the database now, after all that was to be written before.
   * @throws {HestiaError} `store_unavailable`
   */
  async use<T>(work: (driver: Driver) => Promise<T>): Promise<T> {
    if (!this.#kept.failure && this.#queued > 0) await this.flush()
    const { driver, failure } = this.#kept
    if (!driver || failure) throw this.#unavailable(failure?.error ?? 'it is closed')
    try {
      return await work(driver)
    } catch (thrown) {
      // What fails here is the database: what is asked of it never comes from outside.
      this.#failed(thrown)
      throw this.#unavailable(asError(thrown).message, thrown)
    }
  }

  get health(): { ok: boolean; error?: string; dropped: number; queued: number } {
    const { failure, dropped } = this.#kept
    return { ok: !failure, ...(failure ? { error: failure.error } : {}), dropped, queued: this.#queued }
  }

  /**
   * Writes what is left and gives the handle back.
   * @returns how much could not be written.
   */
  async close(): Promise<number> {
    const kept = this.#kept
    await kept.opening?.catch(() => undefined)
    await kept.flushing
    if (kept.opening && this.#queued > 0) await this.flush()
    kept.closed = true
    clearTimeout(kept.timer)
    await kept.driver?.close().catch(() => undefined)
    kept.driver = undefined
    return kept.lines.length
  }

  get #queued(): number {
    return this.#kept.lines.length + this.#kept.latest.size
  }

  #schedule(ms: number): void {
    if (this.#kept.closed || this.#kept.timer || this.#kept.flushing) return
    this.#kept.timer = setTimeout(() => void this.flush(), ms).unref()
  }

  async #flush(): Promise<void> {
    const kept = this.#kept
    try {
      if (!kept.driver || (kept.failure && this.#parts.canReopen)) await this.#reopen()
      while (this.#queued > 0) {
        const latest = [...kept.latest]
        const lines = kept.lines.slice(0, BATCH)
        const inserts = lines.length > 0 ? [this.#parts.insert(lines)] : []
        await kept.driver!.transaction([...inserts, ...latest.flatMap(([, commands]) => commands)])
        for (const [key, commands] of latest) if (kept.latest.get(key) === commands) kept.latest.delete(key)
        kept.lines.splice(0, lines.length)
      }
      this.#worked()
    } catch (thrown) {
      this.#failed(thrown)
    }
  }

  async #reopen(): Promise<void> {
    const { driver } = this.#kept
    this.#kept.driver = undefined
    await driver?.close().catch(() => undefined)
    this.#kept.driver = await this.#parts.open()
  }

  #worked(): void {
    const { failure, dropped } = this.#kept
    if (!failure) return
    this.#kept.failure = undefined
    this.#parts.events.emit('store.recovered', {
      file: this.#parts.file,
      failedForMs: Date.now() - failure.since,
      dropped: dropped - failure.droppedBefore,
    })
  }

  #failed(thrown: unknown): void {
    const kept = this.#kept
    const { message: error } = asError(thrown)
    if (kept.failure) {
      kept.failure.error = error
      kept.failure.retryMs = Math.min(RETRY_MS[1], kept.failure.retryMs * 2)
    } else {
      kept.failure = { error, since: Date.now(), droppedBefore: kept.dropped, retryMs: RETRY_MS[0] }
      this.#parts.events.emit('store.failed', { file: this.#parts.file, error })
    }
    clearTimeout(kept.timer)
    kept.timer = undefined
    if (!kept.closed) kept.timer = setTimeout(() => void this.flush(), kept.failure.retryMs).unref()
  }

  #unavailable(error: string, cause?: unknown): HestiaError {
    return new HestiaError('store_unavailable', {
      message: `The database ${this.#parts.file} cannot be used now: ${error}.`,
      retryAfterMs: this.#kept.failure?.retryMs ?? RETRY_MS[0],
      cause,
    })
  }
}
