import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** The client's side of a request that asks for another protocol (RFC 9110, 7.8). */
export interface PendingUpgrade {
  readonly socket: Duplex
  /** Bytes that came behind the head already. */
  readonly head: Buffer
  /** Takes the socket away from HTTP: the response object lets go of it, and the generation no longer waits for it. */
  detach(): void
}

const pending = new WeakMap<IncomingMessage, PendingUpgrade>()

/** The upgrade that a request asks for; undefined for ordinary requests. */
export const upgradeOf = (request: IncomingMessage): PendingUpgrade | undefined => pending.get(request)

/** Notes the upgrade, so that whoever serves the request can take it; an ordinary answer refuses it and ends the connection. */
export function offerUpgrade(
  request: IncomingMessage,
  response: ServerResponse,
  socket: Duplex,
  head: Buffer,
  done: () => void,
): void {
  pending.set(request, {
    socket,
    head,
    detach: () => {
      response.detachSocket(socket as never)
      done()
    },
  })
}

/**
 * Whether a request that asks for another protocol is better taken for an ordinary one, which any server may do (RFC 9110,
 * 7.8): those for HTTP/2 (`h2c`, which many clients offer with every request), and those with a body, which Node's server
 * would hand over as bytes of the new protocol.
 */
export function isOrdinary({ headers }: IncomingMessage): boolean {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  return hasBody || headers.upgrade?.trim().toLowerCase() === 'h2c'
}

/** Gives a connection back to the server, with the request on it as if it had not asked for another protocol. */
export function serveAsOrdinary(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    const value = rawHeaders[i + 1]!
    switch (name.toLowerCase()) {
      case 'upgrade':
      case 'http2-settings':
        break
      case 'connection':
        text += `${name}: ${withoutTokens(value)}\r\n`
        break
      default:
        text += `${name}: ${value}\r\n`
    }
  }
  // The server adds its listeners anew.
  socket.removeAllListeners('timeout')
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), head]))
  server.emit('connection', socket)
}

const withoutTokens = (connection: string): string => {
  const tokens = connection.split(',').map((token) => token.trim())
  return tokens.filter((token) => !/^(?:upgrade|http2-settings)$/i.test(token)).join(', ') || 'keep-alive'
}
