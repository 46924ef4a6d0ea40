import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net'

type Teardown = { teardown(fn: () => unknown): void }

/** A request as an upstream got it, byte for byte as far as node:http tells. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly rawHeaders: string[]
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export interface Upstream {
  readonly url: string
  readonly port: number
  /** Requests whose body has come completely. */
  readonly seen: Seen[]
  readonly server: Server
  /** Stops listening and ends every connection. */
  close(): Promise<void>
}

export interface RawUpstream {
  readonly url: string
  readonly port: number
  readonly sockets: Socket[]
  readonly server: TcpServer
  close(): Promise<void>
}

const closing = (server: Server | TcpServer, end: () => void) => () =>
  new Promise<void>((resolve) => {
    server.close(() => resolve())
    end()
  })

/** A real HTTP server that notes what it is asked; without a handler it answers 200 with `ok`. */
export async function httpUpstream(
  t: Teardown,
  handler: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void = (_request, response) =>
    response.end('ok'),
  port = 0,
): Promise<Upstream> {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', rawHeaders, headers } = request
      const body = Buffer.concat(chunks)
      seen.push({ method, url, rawHeaders, headers, body })
      handler(request, response, body)
    })
  })
  return { ...(await listening(t, server, port)), seen, server }
}

/** The same, but the handler gets the request before its body. */
export async function streamUpstream(
  t: Teardown,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Upstream> {
  const server = createServer(handler)
  return { ...(await listening(t, server, 0)), seen: [], server }
}

async function listening(t: Teardown, server: Server, port: number) {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const close = closing(server, () => server.closeAllConnections())
  t.teardown(close)
  const { port: bound } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${bound}`, port: bound, close }
}

/** A TCP server that may answer anything; `handler` gets each connection and the bytes of its first packet. */
export async function rawUpstream(t: Teardown, handler: (socket: Socket, first: string) => void): Promise<RawUpstream> {
  const sockets: Socket[] = []
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.once('data', (first) => handler(socket, first.toString('latin1')))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = closing(server, () => {
    for (const socket of sockets) socket.destroy()
  })
  t.teardown(close)
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port, sockets, server, close }
}

/** A port on which nobody listens. */
export async function deadPort(): Promise<number> {
  const server = createTcpServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Sends bytes as they are and answers with all that comes back until the other side closes. */
export function rawExchange(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(text))
  })
}
