import { setTimeout as sleep } from 'node:timers/promises'
import { asError, type HestiaError } from '../errors.ts'
import { Attempt } from './attempt.ts'
import type { Place, StarterData, Surroundings } from './lifecycle.ts'

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
  readonly #instance: I
  readonly #around: Surroundings<I>
  readonly #outcome: StartOutcome
  readonly #controller = new AbortController()
  #attempt: Attempt | undefined
  #resolve!: (error: HestiaError | undefined) => void
  #linger: NodeJS.Timeout | undefined
  /** How many handlers wait for what must come before the start itself. */
  #standingBy = 0

  constructor(instance: I, around: Surroundings<I>, outcome: StartOutcome) {
    this.#instance = instance
    this.#around = around
    this.#outcome = outcome
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** Aborted when the start is given up; the reason is the error for those who waited. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Makes attempts until one succeeds or the policy is at its end; answers the last error. */
  async go(): Promise<Error | undefined> {
    const { events } = this.#around
    const who = { service: this.#instance.service.id, instance: this.#instance.name }
    for (let attempt = 1; ; attempt++) {
      const { attempts, delay_ms } = this.#instance.service.config.start
      const attemptBeganAt = performance.now()
      events.emit('instance.attempt', { ...who, attempt, attempts })
      const error = await this.#try(attempt)
      if (!error) return undefined
      const durationMs = performance.now() - attemptBeganAt
      events.emit('instance.attempt_failed', { ...who, attempt, attempts, error: error.message, durationMs })
      if (attempt >= attempts) return error
      await sleep(delay_ms, undefined, { signal: this.signal }).catch(() => undefined)
      if (this.signal.aborted) return asError(this.signal.reason)
    }
  }

  /** One attempt; leaves nothing running behind when it fails. */
  async #try(number: number): Promise<Error | undefined> {
    const instance = this.#instance
    const attempt = new Attempt(instance.service.config.start, this.signal)
    this.#attempt = attempt
    const progress = (note: string) => {
      attempt.progress(note)
      this.#around.events.emit('instance.progress', { service: instance.service.id, instance: instance.name, note })
    }
    const standBy = async <T>(work: Promise<T>): Promise<T> => {
      this.#standingBy++
      this.reconsider()
      try {
        return await attempt.untimed(work)
      } finally {
        this.#standingBy--
      }
    }
    try {
      const leaving = this.#around.vacated(instance.url)
      if (leaving) await standBy(leaving)
      await this.#around.hooks().beforeStart({ instance, attempt: number, signal: attempt.signal, progress, standBy })
      attempt.signal.throwIfAborted()
      this.#outcome.succeeded(number)
      return undefined
    } catch (thrown) {
      attempt.fail(thrown)
      await this.#around.hooks().onIdle({ instance, reason: 'start_failed' }, false)
      instance.data = {}
      return asError(thrown)
    } finally {
      attempt.end()
      this.#attempt = undefined
    }
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
    if (this.#instance.waiting > 0 || this.pinned || this.signal.aborted) return false
    return this.#standingBy > 0 || this.#instance.service.config.start.abandon === 'abort'
  }

  end(error?: HestiaError): void {
    clearTimeout(this.#linger)
    this.#resolve(error)
  }
}
