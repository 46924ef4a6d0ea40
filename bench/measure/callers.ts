import { connect, type Socket } from 'node:net'

/** What a client usually says of itself. */
const HEADERS = [
  'Host: 127.0.0.1',
  'User-Agent: hestia-bench',
  'Accept: application/json',
  'Accept-Encoding: gzip, deflate',
  'Content-Type: application/json',
].join('\r\n')

/** Someone who has asked and waits. */
export interface Caller {
  readonly socket: Socket
  /** The status of the answer, once it is there. */
  readonly answered: Promise<number>
}

/** Sends a request on a connection of its own; resolves when it is on its way. */
export function call(base: string, path: string): Promise<Caller> {
  const { port, pathname } = new URL(base + path)
  const socket = connect(Number(port), '127.0.0.1')
  const answered = new Promise<number>((resolve, reject) => {
    socket.once('data', (chunk) => resolve(Number(chunk.toString('latin1').split(' ', 2)[1])))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error(`the connection was closed without an answer to ${path}`)))
  })
  answered.catch(() => undefined)
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.write(`GET ${pathname} HTTP/1.1\r\n${HEADERS}\r\n\r\n`, () => resolve({ socket, answered }))
  })
}
