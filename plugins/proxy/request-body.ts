import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { isShared } from 'hestia'

/** Enough for throughput on large uploads, little enough for many at once, in bytes. */
const HIGH_WATER_MARK = 256 * 1024

/**
 * The client's body, on its way to a service. Nothing is taken from the client before the service takes it, and whatever
 * becomes of this stream, the client's connection stays open, so that an error can still be answered on it.
 */
export class RequestBody extends Readable {
  readonly #source: IncomingMessage
  #touched = false
  /** What has come from the client so far, in bytes. */
  size = 0
  readonly #onData = (chunk: Buffer): void => {
    this.size += chunk.length
    // Who sends it on gives it back to be overwritten, which is not for others who have it, too.
    const own = isShared(this.#source) ? Buffer.from(chunk) : chunk
    if (!this.push(own)) this.#source.pause()
  }
  readonly #onEnd = (): void => {
    this.push(null)
  }
  readonly #onBroken = (): void => {
    if (!this.#source.complete) this.destroy(new Error('the client broke off in the middle of the body'))
  }

  constructor(source: IncomingMessage) {
    super({ highWaterMark: HIGH_WATER_MARK })
    this.#source = source
  }

  /** Trailer fields that came behind it: names and values; complete once the body has ended. */
  get trailers(): [name: string, value: string][] {
    const { rawTrailers } = this.#source
    return rawTrailers.flatMap((name, i) => (i % 2 === 0 ? [[name, rawTrailers[i + 1]!] satisfies [string, string]] : []))
  }

  /** Whether any of it may have been sent; if not, it can be sent elsewhere. */
  get touched(): boolean {
    return this.#touched
  }

  override _read(): void {
    if (!this.#touched) {
      this.#touched = true
      this.#source.on('data', this.#onData).once('end', this.#onEnd).once('close', this.#onBroken).once('error', this.#onBroken)
      if (this.#source.destroyed) this.#onBroken()
    }
    this.#source.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#source.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onBroken).off('error', this.#onBroken)
    // Nobody else can take it from here on: part of it is gone.
    if (this.#touched) discard(this.#source)
    callback(error)
  }
}

/**
 * Reads and forgets what a client still sends, so that it can read its answer and its connection can be used again.
 * Without that, both sides would wait for each other.
 */
export function discard(source: IncomingMessage): void {
  if (!source.readableEnded) source.resume()
}
