/**
 * A signal that is aborted after a time, or with another signal. `AbortSignal.any` of an `AbortSignal.timeout` is no way to
 * that: on Node 20 it may be collected before it has fired, and then nobody is ever told.
 */
export class Deadline {
  readonly #controller = new AbortController()
  readonly #outer: AbortSignal | undefined
  readonly #timer: NodeJS.Timeout
  readonly #abort = (): void => {
    this.lift()
    this.#controller.abort(this.#outer?.reason)
  }
  #passed = false

  /** @param timeoutMs from now, in milliseconds. */
  constructor(timeoutMs: number, outer?: AbortSignal) {
    this.#outer = outer
    this.#timer = setTimeout(() => {
      this.#passed = true
      this.#controller.abort(new DOMException(`it took longer than ${timeoutMs} ms`, 'TimeoutError'))
    }, timeoutMs)
    if (outer?.aborted) this.#abort()
    else outer?.addEventListener('abort', this.#abort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Whether the time was up before it was ended. */
  get passed(): boolean {
    return this.#passed
  }

  /** There is time from now on; the other signal still counts. */
  lift(): void {
    clearTimeout(this.#timer)
  }

  /** What it was for is over: nothing aborts it any more. */
  end(): void {
    this.lift()
    this.#outer?.removeEventListener('abort', this.#abort)
  }
}
