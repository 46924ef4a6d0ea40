import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { returnOf } from './read-buffer.ts'

/**
 * Sends a body that comes from elsewhere, as fast as the other side takes it: as it is when its length was said in the head,
 * which whoever read it has counted, else by chunks. `ended` hears the end of it, or its error.
 * @returns what stops it; the body is then left to itself.
 */
export function streamBody(socket: Socket, body: Readable, hasLength: boolean, ended: (error?: Error) => void): () => void {
  const go = (): void => {
    body.resume()
  }
  const write = (chunk: Buffer): boolean => {
    if (hasLength) return socket.write(chunk, returnOf(chunk))
    socket.cork()
    socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    socket.write(chunk, returnOf(chunk))
    const more = socket.write('\r\n', 'latin1')
    socket.uncork()
    return more
  }
  const onData = (chunk: Buffer): void => {
    if (chunk.length === 0 || write(chunk)) return
    body.pause()
    socket.once('drain', go)
  }
  const onEnd = (): void => {
    stop()
    if (!hasLength) socket.write('0\r\n\r\n', 'latin1')
    ended()
  }
  const onError = (error: Error): void => {
    stop()
    ended(error)
  }
  const stop = (): void => {
    body.off('data', onData).off('end', onEnd).off('error', onError)
    socket.off('drain', go)
  }
  body.on('data', onData).on('end', onEnd).on('error', onError)
  return stop
}
