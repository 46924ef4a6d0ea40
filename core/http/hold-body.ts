import type { IncomingMessage } from 'node:http'
import { HestiaError } from '../errors.ts'
import { giveBack } from '../http1/read-buffer.ts'

/** How many times as much room is made as is needed: who says how much comes has to send some of it before there is room for all. */
const AHEAD = 16
const AHEAD_OF_UNKNOWN = 2

/**
 * Takes a whole body into memory, in one piece.
 * @param expected its length as the client says, in bytes; NaN if it does not.
 * @param limit the largest one that is taken, in bytes.
 * @throws {HestiaError} `body_too_large`, or `invalid_request` when the client breaks off; as the promise's reason.
 */
export function holdBody(stream: IncomingMessage, expected: number, limit: number): Promise<Buffer> {
  const most = expected <= limit ? expected : limit
  const ahead = expected <= limit ? AHEAD : AHEAD_OF_UNKNOWN
  let room = Buffer.alloc(0)
  let size = 0
  return new Promise((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      const after = size + chunk.length
      if (after > limit) {
        stop()
        stream.pause()
        reject(tooLarge(limit))
        return
      }
      if (after > room.length) {
        const larger = Buffer.allocUnsafeSlow(Math.max(after, Math.min(most, after * ahead)))
        room.copy(larger, 0, 0, size)
        room = larger
      }
      chunk.copy(room, size)
      size = after
      if (stream.listenerCount('data') === 1) giveBack(chunk)
    }
    const onEnd = (): void => {
      stop()
      resolve(room.subarray(0, size))
    }
    const onBroken = (cause?: Error): void => {
      stop()
      reject(new HestiaError('invalid_request', { message: 'The client broke off in the middle of the body.', cause }))
    }
    const stop = (): void => {
      stream.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onBroken)
    }
    if (stream.destroyed) onBroken()
    else stream.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onBroken)
  })
}

export const tooLarge = (limit: number): HestiaError =>
  new HestiaError('body_too_large', {
    message: `A body that routing looks into may have at most ${limit} bytes; see server.max_body_bytes.`,
    fields: { limit },
  })
