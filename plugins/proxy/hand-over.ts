import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { PendingUpgrade } from 'hestia'

/** Tells the client that its upgrade was accepted (RFC 9110, 15.2.2), with the service's own head, and puts back what came early. */
export function handOver(upgrade: PendingUpgrade, head: IncomingMessage, socket: Duplex, first: Buffer): void {
  let lines = `HTTP/1.1 ${head.statusCode} ${head.statusMessage}\r\n`
  for (let i = 0; i < head.rawHeaders.length; i += 2) lines += `${head.rawHeaders[i]}: ${head.rawHeaders[i + 1]}\r\n`
  upgrade.detach()
  upgrade.socket.write(`${lines}\r\n`, 'latin1')
  if (first.length > 0) socket.unshift(first)
  if (upgrade.head.length > 0) upgrade.socket.unshift(upgrade.head)
}
