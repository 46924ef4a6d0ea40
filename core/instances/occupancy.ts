import { type HestiaError, messageOf } from '../errors.ts'
import { Lease } from './lease.ts'
import { Site } from './site.ts'

/**
 * What those who wait are told, in the tick in which it happens: it is hot; there may be room, as a lease was given back or a
 * hold has ended; `failed`: they wait in vain.
 */
export type Change = 'hot' | 'returned' | 'failed'
export type InstanceListener = (change: Change, error?: HestiaError) => void

/** Who uses an instance: the requests in flight on it, those who wait for it, since when nobody does, and whether it lets any in. */
export abstract class Occupancy<I> extends Site<I> {
  readonly #leases = new Set<Lease>()
  readonly #listeners = new Set<InstanceListener>()
  #idleSince = performance.now()
  #usedAt: number | undefined
  #taken = 0
  #waiters = 0
  #waitingSince = 0
  #held = false

  get leases(): ReadonlySet<Lease> {
    return this.#leases
  }

  get inFlight(): number {
    return this.#leases.size
  }

  /** How many wait for it to be hot, or for their turn. */
  get waiting(): number {
    return this.#waiters
  }

  /** Since when there is always somebody who waits (`performance.now()`); undefined when nobody does. */
  get waitingSince(): number | undefined {
    return this.#waiters > 0 ? this.#waitingSince : undefined
  }

  protected arrived(): void {
    if (this.#waiters++ === 0) this.#waitingSince = performance.now()
  }

  protected departed(): void {
    this.#waiters--
  }

  /** Whether it gives no leases though it may be hot. */
  get held(): boolean {
    return this.#held
  }

  /** Lets nobody in: who comes waits, who is in goes on. Until `unhold`, or until it becomes hot anew. */
  hold(): void {
    this.#held = true
  }

  /** Lets in who waited. */
  unhold(): void {
    if (!this.#held) return
    this.#held = false
    this.tell('returned')
  }

  /** When the last request ended that was not passive, or when it became hot (`performance.now()`). */
  get idleSince(): number {
    return this.#idleSince
  }

  /** When the last request ended that was not passive (`performance.now()`); undefined before the first. */
  get usedAt(): number | undefined {
    return this.#usedAt
  }

  /** Requests that were let in so far. */
  get taken(): number {
    return this.#taken
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
    if (!lease.passive) this.#usedAt = this.#idleSince = performance.now()
    if (this.#listeners.size > 0) this.tell('returned')
    if (this.#leases.size === 0) this.vacated()
  }

  /** Nothing is in flight any more. */
  protected abstract vacated(): void

  protected lease(passive: boolean): Lease {
    const lease = new Lease(this.#takeBack, passive)
    this.#leases.add(lease)
    this.#taken++
    return lease
  }

  /** It has become hot: unused so far, or since it was left, and whoever held it held its former life. */
  protected beginAnew(idleSince: number): void {
    this.#idleSince = idleSince
    this.#held = false
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
