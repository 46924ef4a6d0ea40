import type { IncomingMessage } from 'node:http'
import { HestiaError } from '../errors.ts'
import { type BodyTaker, isShared, LaneRequest } from '../http1/lane-request.ts'
import { giveBack } from '../http1/read-buffer.ts'
import { giveBackRoom, takeRoom } from './room.ts'

/** How many times as much room is made as is needed: who says how much comes has to send some of it before there is room for all. */
const AHEAD = 16
const AHEAD_OF_UNKNOWN = 2
/** Of one that has not begun to come: room for so much, in bytes. */
const FIRST = 64 * 1024

/** A whole body in memory, in one piece, whose room is used again when nobody needs it any more. */
export class HeldBody implements BodyTaker {
  readonly #expected: number
  readonly #limit: number
  #room: Buffer = Buffer.alloc(0)
  #size = 0
  /**
   * Done when all of it is there.
   * @throws {HestiaError} `body_too_large`, or `invalid_request` when the client broke off; as the promise's reason.
   */
  readonly read: Promise<void>
  #resolve!: () => void
  #reject!: (error: HestiaError) => void

  /**
   * Reads the body of `request`.
   * @param expected its length as the client says, in bytes; NaN if it does not.
   * @param limit the largest one that is taken, in bytes.
   */
  constructor(request: IncomingMessage, expected: number, limit: number) {
    this.#expected = expected
    this.#limit = limit
    this.read = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const onBroken = (cause?: Error): void =>
      this.#reject(new HestiaError('invalid_request', { message: 'The client broke off in the middle of the body.', cause }))
    if (request.destroyed) onBroken()
    request.once('error', onBroken).once('close', onBroken)
    if (!(request instanceof LaneRequest && request.giveBody(this))) this.#readStream(request)
  }

  #readStream(request: IncomingMessage): void {
    const onData = (chunk: Buffer): void => {
      if (this.#size + chunk.length > this.#limit) {
        request.off('data', onData).pause()
        this.#reject(tooLarge(this.#limit))
        return
      }
      this.take(chunk)
      if (!isShared(request)) giveBack(chunk)
    }
    request.on('data', onData).once('end', () => this.end())
  }

  get bytes(): Buffer {
    return this.#room.subarray(0, this.#size)
  }

  room(left: number): Buffer {
    if (this.#room.length === this.#size) this.#grow(this.#size + Math.min(left, FIRST))
    return this.#room.subarray(this.#size, this.#size + left)
  }

  take(part: Buffer): void {
    const size = this.#size + part.length
    const isThere = part.buffer === this.#room.buffer && part.byteOffset === this.#room.byteOffset + this.#size
    if (!isThere) {
      if (size > this.#room.length) this.#grow(size)
      part.copy(this.#room, this.#size)
    }
    this.#size = size
  }

  end(): void {
    this.#resolve()
  }

  /** To `size` bytes at least, and some more than that at once. */
  #grow(size: number): void {
    const [most, ahead] = this.#expected <= this.#limit ? [this.#expected, AHEAD] : [this.#limit, AHEAD_OF_UNKNOWN]
    const larger = takeRoom(Math.max(size, Math.min(most, size * ahead)))
    this.#room.copy(larger, 0, 0, this.#size)
    giveBackRoom(this.#room)
    this.#room = larger
  }

  /** Nobody looks at it any more, now that it is whole. */
  release(): void {
    giveBackRoom(this.#room)
    this.#room = Buffer.alloc(0)
    this.#size = 0
  }
}

export const tooLarge = (limit: number): HestiaError =>
  new HestiaError('body_too_large', {
    message: `A body that routing looks into may have at most ${limit} bytes; see server.max_body_bytes.`,
    fields: { limit },
  })
