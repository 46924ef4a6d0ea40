/** `request` ends by itself; a `stream` (SSE) or `tunnel` (upgraded) may stay open for days and be silent. */
export type LeaseKind = 'request' | 'stream' | 'tunnel'

/** One request in flight on an instance; while leases exist the instance is busy. Given back exactly once. */
export class Lease {
  /** True for a request that doesn't keep the instance awake. */
  readonly passive: boolean
  readonly startedAt = performance.now()
  kind: LeaseKind = 'request'
  /** When bytes last moved, on the monotonic clock (`performance.now()`). */
  lastByteAt = this.startedAt
  #giveBack: ((lease: Lease) => void) | undefined

  constructor(giveBack: (lease: Lease) => void, passive = false) {
    this.#giveBack = giveBack
    this.passive = passive
  }

  /** Bytes moved; called for streams and tunnels. */
  touch(): void {
    this.lastByteAt = performance.now()
  }

  /** The request is over. Calling it again does nothing. */
  release(): void {
    const giveBack = this.#giveBack
    this.#giveBack = undefined
    giveBack?.(this)
  }
}
