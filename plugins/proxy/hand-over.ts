import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { PendingUpgrade } from 'hestia'

/** What moved between a client and a service, in bytes of bodies, or of a tunnel. */
export interface Traffic {
  readonly bytesIn: number
  readonly bytesOut: number
  /** The client did not get all of it. */
  readonly aborted: boolean
}

/**
 * Tells the client that its upgrade was accepted (RFC 9110, 15.2.2), with the service's own head, and puts back what came early.
 * @returns what went through the tunnel, once it has closed.
 */
export function handOver(upgrade: PendingUpgrade, head: IncomingMessage, socket: Duplex, first: Buffer): () => Traffic {
  let lines = `HTTP/1.1 ${head.statusCode} ${head.statusMessage}\r\n`
  for (let i = 0; i < head.rawHeaders.length; i += 2) lines += `${head.rawHeaders[i]}: ${head.rawHeaders[i + 1]}\r\n`
  upgrade.detach()
  upgrade.socket.write(`${lines}\r\n`, 'latin1')
  const client = upgrade.socket as Socket
  const { bytesRead, bytesWritten } = client
  if (first.length > 0) socket.unshift(first)
  if (upgrade.head.length > 0) upgrade.socket.unshift(upgrade.head)
  return () => ({
    bytesIn: client.bytesRead - bytesRead + upgrade.head.length,
    bytesOut: client.bytesWritten - bytesWritten,
    aborted: client.errored !== null,
  })
}
