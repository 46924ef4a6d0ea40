import { type HestiaError, messageOf } from '../errors.ts'
import { Lease } from './lease.ts'

/** What those who wait are told, in the tick in which it happens; `failed`: they wait in vain. */
export type Change = 'hot' | 'returned' | 'failed'
export type InstanceListener = (change: Change, error?: HestiaError) => void

/** Who uses an instance: the requests in flight on it, those who wait for it, and since when nobody does. */
export abstract class Occupancy {
  readonly #leases = new Set<Lease>()
  readonly #listeners = new Set<InstanceListener>()
  #idleSince = performance.now()
  protected waiters = 0

  get leases(): ReadonlySet<Lease> {
    return this.#leases
  }

  get inFlight(): number {
    return this.#leases.size
  }

  /** How many wait for it to be hot, or for their turn. */
  get waiting(): number {
    return this.waiters
  }

  /** When the last request ended that was not passive, or when it became hot (`performance.now()`). */
  get idleSince(): number {
    return this.#idleSince
  }

  /** Hears of changes until the returned function is called. */
  subscribe(listener: InstanceListener): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  readonly #takeBack = (lease: Lease): void => {
    if (!this.#leases.delete(lease)) return
    if (!lease.passive) this.#idleSince = performance.now()
    if (this.#listeners.size > 0) this.tell('returned')
    if (this.#leases.size === 0) this.vacated()
  }

  /** Nothing is in flight any more. */
  protected abstract vacated(): void

  protected lease(passive: boolean): Lease {
    const lease = new Lease(this.#takeBack, passive)
    this.#leases.add(lease)
    return lease
  }

  protected restartIdleClock(): void {
    this.#idleSince = performance.now()
  }

  /** A listener that throws harms neither the others nor the change it was told of. */
  protected tell(change: Change, error?: HestiaError): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(change, error)
      } catch (thrown) {
        process.emitWarning(`a listener failed on "${change}": ${messageOf(thrown)}`, 'HestiaInstanceListener')
      }
    }
  }
}
