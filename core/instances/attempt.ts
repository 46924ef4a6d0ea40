import type { StartPolicy } from '../../schemas/service.ts'
import { asError } from '../errors.ts'

/**
 * The bounds of one start attempt: ends when its time is up, when its starter sees it fail, or with the start it is part of.
 * Progress moves the end, if the policy has `stall_ms`.
 */
export class Attempt {
  readonly #controller = new AbortController()
  readonly #policy: Readonly<StartPolicy>
  readonly #outer: AbortSignal
  readonly #abort = (): void => this.fail(this.#outer.reason)
  #endsAt: number
  #timer: NodeJS.Timeout | undefined
  #lastNote = ''
  #pauses = 0
  #pausedAt = 0
  #over = false

  constructor(policy: Readonly<StartPolicy>, outer: AbortSignal) {
    this.#policy = policy
    this.#outer = outer
    this.#endsAt = performance.now() + policy.timeout_ms
    if (policy.timeout_ms > 0) this.#arm()
    if (outer.aborted) this.#abort()
    else outer.addEventListener('abort', this.#abort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  progress(note: string): void {
    this.#lastNote = note
    if (this.#policy.stall_ms === undefined) return
    this.#endsAt = Math.max(this.#endsAt, performance.now() + this.#policy.stall_ms)
  }

  /** Waits with the clock stopped, but no longer than the attempt lasts. @throws the signal's reason when it is over. */
  async untimed<T>(work: Promise<T>): Promise<T> {
    const { signal } = this
    if (this.#pauses++ === 0) this.#pausedAt = performance.now()
    clearTimeout(this.#timer)
    const over = new Promise<never>((_, reject) => {
      const abort = () => reject(asError(signal.reason))
      if (signal.aborted) abort()
      else signal.addEventListener('abort', abort, { once: true })
    })
    try {
      return await Promise.race([work, over])
    } finally {
      if (--this.#pauses === 0 && !this.#over) {
        this.#endsAt += performance.now() - this.#pausedAt
        if (this.#policy.timeout_ms > 0) this.#arm()
      }
    }
  }

  fail(reason: unknown): void {
    this.end()
    this.#controller.abort(reason)
  }

  end(): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.#outer.removeEventListener('abort', this.#abort)
  }

  #arm(): void {
    this.#timer = setTimeout(() => {
      if (performance.now() < this.#endsAt - 1) return this.#arm()
      const last = this.#lastNote ? `; the last sign of life was: ${this.#lastNote}` : ''
      this.fail(new Error(`it was not ready within ${this.#policy.timeout_ms} ms (start.timeout_ms)${last}`))
    }, this.#endsAt - performance.now())
  }
}
