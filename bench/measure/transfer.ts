import { connect, type Socket } from 'node:net'

const BUFFER = 256 * 1024
const SILENCE_MS = 30_000

/** An exchange on a connection of its own; `send` writes the request. Resolves with the bytes of the answer's body. */
function exchange(base: string, path: string, send: (socket: Socket) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    let head = ''
    let received = 0
    let expected = Number.POSITIVE_INFINITY
    const onBytes = (bytes: Buffer): void => {
      received += bytes.length
      if (!Number.isFinite(expected)) {
        head += bytes.toString('latin1', 0, 4_096)
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        if (!head.startsWith('HTTP/1.1 200 '))
          return void socket.destroy(new Error(`${path} was answered: ${head.slice(0, 200)}`))
        received -= end + 4
        expected = Number(/^content-length: *(\d+)/im.exec(head.slice(0, end))?.[1])
      }
      // Not everybody closes the connection when asked to.
      if (received >= expected) socket.destroy()
    }
    // One buffer that is used again and again: what this side does should not be what is measured.
    const buffer = Buffer.alloc(BUFFER)
    const callback = (length: number): boolean => {
      onBytes(buffer.subarray(0, length))
      return true
    }
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(base).port), onread: { buffer, callback } })
    socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error(`${path}: nothing moved for ${SILENCE_MS / 1000} s`)))
    socket.once('error', reject)
    socket.once('close', () => resolve(received))
    send(socket)
  })
}

const head = (method: string, base: string, path: string, more = ''): string =>
  `${method} ${new URL(base + path).pathname} HTTP/1.1\r\nHost: 127.0.0.1\r\n${more}\r\n`

/** Fetches `bytes` and answers how long that took, in milliseconds. */
export async function download(base: string, path: string, bytes: number): Promise<number> {
  const beganAt = performance.now()
  const received = await exchange(base, path, (socket) => void socket.write(head('GET', base, path, 'Connection: close\r\n')))
  if (received < bytes) throw new Error(`${path} ended after ${received} of ${bytes} bytes`)
  return performance.now() - beganAt
}

/** Sends `bytes` and answers how long it took until the answer was there, in milliseconds. */
export async function upload(base: string, path: string, bytes: number): Promise<number> {
  const block = Buffer.alloc(BUFFER, 'x')
  const beganAt = performance.now()
  const received = await exchange(base, path, (socket) => {
    socket.write(head('POST', base, path, `Content-Type: application/octet-stream\r\nContent-Length: ${bytes}\r\n`))
    let left = bytes
    const more = (): void => {
      while (left > 0) {
        const size = Math.min(left, block.length)
        left -= size
        if (!socket.write(block.subarray(0, size))) return void socket.once('drain', more)
      }
    }
    more()
  })
  if (received === 0) throw new Error(`${path} was not answered`)
  return performance.now() - beganAt
}
