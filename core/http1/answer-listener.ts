import type { Place } from './read-buffer.ts'

/** The connection that carries a request, for whoever waits for its answer. */
export interface Carrier {
  /** Ends the connection, and the request of `listener` with it, if that is the one on it. Nothing is told any more. */
  abort(listener: AnswerListener): void
  /** Goes on after `onPart` has answered false to `listener`. */
  resume(listener: AnswerListener): void
}

/** Hears what comes of one request: `onConnect`, heads, data, lulls, and then one of `onComplete` and `onError`. */
export interface AnswerListener {
  /** A connection stands; the request goes out next, if it is not aborted here. */
  onConnect(carrier: Carrier): void
  /**
   * A head: any number of interim ones (1xx), then the final one. Names and values of headers stand in turn.
   * @throws what then becomes of the request, as an error.
   */
  onHeaders(status: number, headers: readonly string[], reason: string): void
  /** Part of the body, which lies at `place` until this returns. False: no more for now, please. */
  onPart(part: Buffer, place: Place): boolean
  /** Nothing more is there for now, though the answer is not whole: what was held back to go out with it should go. */
  onLull(): void
  onComplete(trailers: readonly string[]): void
  onError(error: Error): void
}
