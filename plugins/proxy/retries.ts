import type { HestiaError, Instance } from 'hestia'
import type { Job } from './job.ts'

/**
 * How long a request whose service refuses connections while it serves others waits for its next tries, in milliseconds: some
 * services refuse for a moment, and the last of those that are refused brings down one that has gone.
 */
const PAUSES_MS = [50, 100, 200, 400, 800]

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** What a request has tried already, and so what it may still try: each thing once. Made when the first try fails. */
export class Retries {
  readonly #tried = new Set<Instance>()
  #renewed = false
  #fellBack = false
  /** Why the same instance is tried once more. */
  repeatedFor: HestiaError | undefined
  #pauses = 0

  /** Instances that were not reached. */
  get tried(): ReadonlySet<Instance> {
    return this.#tried
  }

  add(instance: Instance): void {
    this.#tried.add(instance)
  }

  /**
   * Whether to send it to the same instance on a new connection: a kept one may have been closed by the service just as the
   * request went out. True at most once.
   */
  renew({ view, upgrade }: Job): boolean {
    const isThere = !view.hasBody || view.heldBytes > 0
    if (this.#renewed || upgrade || !isThere || !IDEMPOTENT.has(view.method)) return false
    this.#renewed = true
    return true
  }

  /** How long to wait for the next try at an instance that is in use by others, in milliseconds; undefined when that was long enough. */
  pauseMs(): number | undefined {
    return PAUSES_MS[this.#pauses++]
  }

  /** Where to go instead of an instance that could not be started; undefined when there is nothing, or it was tried. */
  fallBack(instance: Instance): Instance | undefined {
    const { fallback } = instance.service
    if (!fallback || fallback === instance || this.#fellBack || this.#tried.has(fallback)) return undefined
    this.#fellBack = true
    return fallback
  }
}
