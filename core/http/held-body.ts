import type { IncomingMessage } from 'node:http'
import { HestiaError } from '../errors.ts'
import { giveBack } from '../http1/read-buffer.ts'
import { giveBackRoom, takeRoom } from './room.ts'

/** How many times as much room is made as is needed: who says how much comes has to send some of it before there is room for all. */
const AHEAD = 16
const AHEAD_OF_UNKNOWN = 2

/** A whole body in memory, in one piece, whose room is used again when nobody needs it any more. */
export class HeldBody {
  #room: Buffer = Buffer.alloc(0)
  #size = 0

  get bytes(): Buffer {
    return this.#room.subarray(0, this.#size)
  }

  /** Nobody looks at it any more. */
  release(): void {
    giveBackRoom(this.#room)
    this.#room = Buffer.alloc(0)
    this.#size = 0
  }

  /**
   * Reads it.
   * @param expected its length as the client says, in bytes; NaN if it does not.
   * @param limit the largest one that is taken, in bytes.
   * @throws {HestiaError} `body_too_large`, or `invalid_request` when the client breaks off; as the promise's reason.
   */
  read(stream: IncomingMessage, expected: number, limit: number): Promise<void> {
    const [most, ahead] = expected <= limit ? [expected, AHEAD] : [limit, AHEAD_OF_UNKNOWN]
    return new Promise((resolve, reject) => {
      const onData = (chunk: Buffer): void => {
        const size = this.#size + chunk.length
        if (size > limit) {
          stream.pause()
          fail(tooLarge(limit))
          return
        }
        if (size > this.#room.length) this.#grow(Math.max(size, Math.min(most, size * ahead)))
        chunk.copy(this.#room, this.#size)
        this.#size = size
        // Others that listen may keep it.
        if (stream.listenerCount('data') === 1) giveBack(chunk)
      }
      const onEnd = (): void => {
        stop()
        resolve()
      }
      const onBroken = (cause?: Error): void =>
        fail(new HestiaError('invalid_request', { message: 'The client broke off in the middle of the body.', cause }))
      const fail = (error: HestiaError): void => {
        stop()
        this.release()
        reject(error)
      }
      const stop = (): void => {
        stream.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onBroken)
      }
      if (stream.destroyed) onBroken()
      else stream.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onBroken)
    })
  }

  #grow(size: number): void {
    const larger = takeRoom(size)
    this.#room.copy(larger, 0, 0, this.#size)
    giveBackRoom(this.#room)
    this.#room = larger
  }
}

export const tooLarge = (limit: number): HestiaError =>
  new HestiaError('body_too_large', {
    message: `A body that routing looks into may have at most ${limit} bytes; see server.max_body_bytes.`,
    fields: { limit },
  })
