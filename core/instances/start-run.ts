import { setTimeout as sleep } from 'node:timers/promises'
import { asError, type HestiaError } from '../errors.ts'
import { Gone, PROBE_MS } from './adoption.ts'
import { Attempt } from './attempt.ts'
import type { Place, StarterData, Surroundings } from './lifecycle.ts'
import type { InstanceRecord } from './record.ts'

/** What a start tells its instance, in the tick in which it happens. */
export interface StartOutcome {
  succeeded(attempt: number): void
  /** Nobody waits for it any more, and it is not to be finished for nobody. */
  unwanted(): void
}

/** One start of an instance, over all its attempts. It belongs to the instance, not to those who wait for it. */
export class StartRun<I extends Place & { readonly url: string; readonly waiting: number; data: Record<string, StarterData> }> {
  readonly beganAt = performance.now()
  /** Ends with nothing when the instance is hot, else with why not; never rejects. */
  readonly ended: Promise<HestiaError | undefined>
  /** Asked for by hand: goes on though nobody waits. */
  pinned = false
  /** What an earlier gateway left, while that is being picked up. */
  found: InstanceRecord | undefined
  readonly #instance: I
  readonly #around: Surroundings<I>
  readonly #outcome: StartOutcome
  readonly #controller = new AbortController()
  #attempt: Attempt | undefined
  #resolve!: (error: HestiaError | undefined) => void
  #linger: NodeJS.Timeout | undefined
  /** How many handlers wait for what must come before the start itself; since when, and for how long before that. */
  #standingBy = 0
  #standingBySince = 0
  #stoodByMs = 0

  constructor(instance: I, around: Surroundings<I>, found: InstanceRecord | undefined, outcome: StartOutcome) {
    this.found = found
    this.#instance = instance
    this.#around = around
    this.#outcome = outcome
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** How long it has waited so far for what must come before the start itself, in milliseconds. */
  get waitedMs(): number {
    return this.#stoodByMs + (this.#standingBy > 0 ? performance.now() - this.#standingBySince : 0)
  }

  /** Aborted when the start is given up; the reason is the error for those who waited. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Picks up what was left, else makes attempts until one succeeds or the policy is at its end; answers the last error. */
  async go(): Promise<Error | undefined> {
    const { events } = this.#around
    const who = { service: this.#instance.service.id, instance: this.#instance.name }
    if (this.found) {
      const { state: was } = this.found
      const error = await this.#try(1, this.found)
      if (!error) return undefined
      this.found = undefined
      events.emit('instance.not_adopted', { ...who, was, reason: error.message, orphaned: false })
      // Nothing is started anew but for somebody.
      if (this.signal.aborted || (this.#instance.waiting === 0 && !this.pinned)) return error
    }
    let hasGone = false
    for (let attempt = 1; ; ) {
      const { attempts, delay_ms } = this.#instance.service.config.start
      const attemptBeganAt = performance.now()
      events.emit('instance.attempt', { ...who, attempt, attempts })
      const error = await this.#try(attempt)
      if (!error) return undefined
      const durationMs = performance.now() - attemptBeganAt
      events.emit('instance.attempt_failed', { ...who, attempt, attempts, error: error.message, durationMs })
      // What somebody else had started was none of ours. Only once, as it may come and go for ever.
      if (error instanceof Gone && !hasGone) {
        hasGone = true
        continue
      }
      if (attempt++ >= attempts) return error
      await sleep(delay_ms, undefined, { signal: this.signal }).catch(() => undefined)
      if (this.signal.aborted) return asError(this.signal.reason)
    }
  }

  /** One attempt; leaves nothing running behind when it fails. */
  async #try(number: number, found?: InstanceRecord): Promise<Error | undefined> {
    const instance = this.#instance
    const isProbe = found !== undefined && Object.keys(instance.data).length === 0
    const { start } = instance.service.config
    const attempt = new Attempt(isProbe ? { ...start, timeout_ms: PROBE_MS } : start, this.signal)
    this.#attempt = attempt
    const progress = (note: string) => {
      attempt.progress(note)
      this.#around.events.emit('instance.progress', { service: instance.service.id, instance: instance.name, note })
    }
    const standBy = async <T>(work: Promise<T>): Promise<T> => {
      if (this.#standingBy++ === 0) this.#standingBySince = performance.now()
      this.reconsider()
      try {
        return await attempt.untimed(work)
      } finally {
        if (--this.#standingBy === 0) this.#stoodByMs += performance.now() - this.#standingBySince
      }
    }
    const untimed = <T>(work: Promise<T>) => attempt.untimed(work)
    const event = { instance, attempt: number, signal: attempt.signal, progress, standBy, untimed }
    try {
      if (found) {
        const left = await this.#findLeft(attempt.signal)
        await this.#around.hooks().beforeStart({ ...event, adopting: found.state }, left)
      } else {
        const leaving = this.#around.vacated(instance.url)
        if (leaving) await standBy(leaving)
        await this.#around.hooks().beforeStart(event)
      }
      attempt.signal.throwIfAborted()
      this.#outcome.succeeded(number)
      return undefined
    } catch (thrown) {
      const error = isProbe && !this.signal.aborted ? new Gone('it does not answer', { cause: thrown }) : asError(thrown)
      attempt.fail(error)
      // What came from it may have outlived it.
      await this.#around.hooks().onIdle({ instance, reason: error instanceof Gone ? 'crashed' : 'start_failed' }, false)
      instance.data = {}
      return error
    } finally {
      attempt.end()
      this.#attempt = undefined
    }
  }

  /**
   * Makes sure that what was left runs still.
   * @returns the starters that could only start anew.
   * @throws {Gone}
   */
  async #findLeft(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const instance = this.#instance
    const hooks = this.#around.hooks()
    const ended = await hooks.ended(instance, signal)
    if (ended.length > 0) throw new Gone(`what ${ended.join(' and ')} had started runs no more`)
    const all = [...hooks.starters]
    return new Set(all.flatMap(([name, { stillRuns }]) => (stillRuns && instance.data[name] ? [] : [name])))
  }

  /** Ends the attempt under way; another may follow. */
  attemptFailed(error: Error): void {
    this.#attempt?.fail(error)
  }

  /** Gives the whole start up. */
  abort(error: HestiaError): void {
    clearTimeout(this.#linger)
    this.#controller.abort(error)
  }

  /** Who waits has changed: when nobody does for `start.linger_ms`, the start may be given up. */
  reconsider(): void {
    clearTimeout(this.#linger)
    if (!this.#isUnwanted()) return
    this.#linger = setTimeout(() => {
      if (this.#isUnwanted()) this.#outcome.unwanted()
    }, this.#instance.service.config.start.linger_ms)
  }

  /** What has not really begun is not finished for nobody, whatever the policy. */
  #isUnwanted(): boolean {
    if (this.#instance.waiting > 0 || this.pinned || this.found || this.signal.aborted) return false
    return this.#standingBy > 0 || this.#instance.service.config.start.abandon === 'abort'
  }

  end(error?: HestiaError): void {
    clearTimeout(this.#linger)
    this.#resolve(error)
  }
}
