import { HestiaError } from '../errors.ts'
import type { Place } from './lifecycle.ts'

/** An instance that went down within this time after it had become hot, in milliseconds, counts as one more failure in a row. */
export const STABLE_AFTER_MS = 10_000

const LONGEST_MS = 60_000

/** Failures in a row of one instance, and until when it is left alone, so that clients cannot drive a crash loop. */
export class Backoff {
  #failures = 0
  #until = 0
  #error: HestiaError | undefined

  /**
   * Notes one more failure. The instance is left alone for `start.cooldown_ms`, doubled with each failure in a row, up to a
   * minute.
   * @returns the error for those who wait, and how long the pause is in milliseconds.
   */
  failed({ service, name }: Place, why: string, cause?: Error): { error: HestiaError; retryAfterMs: number } {
    const { attempts, cooldown_ms } = service.config.start
    const retryAfterMs = Math.min(LONGEST_MS, cooldown_ms * 2 ** Math.min(this.#failures, 16))
    const error = new HestiaError('start_failed', {
      message: `Service ${service.id} could not be started on instance ${name}: ${why}.`,
      cause,
      retryAfterMs,
      fields: { service: service.id, instance: name, cause: why, attempts },
    })
    this.#until = performance.now() + retryAfterMs
    // What Hestia only waits for isn't worn out by being asked.
    if (service.config.starters.length > 0) this.#failures++
    this.#error = error
    return { error, retryAfterMs }
  }

  succeeded(): void {
    this.#failures = 0
    this.lift()
  }

  /** Ends the pause, as when somebody starts the instance by hand; the count of failures stays. */
  lift(): void {
    this.#until = 0
    this.#error = undefined
  }

  /** The last failure while it still cools down, telling how long that will be. */
  get refusal(): HestiaError | undefined {
    const leftMs = Math.ceil(this.#until - performance.now())
    const error = this.#error
    if (!error || leftMs <= 0) return undefined
    return new HestiaError(error.code, { message: error.message, cause: error, retryAfterMs: leftMs, fields: error.fields })
  }
}
