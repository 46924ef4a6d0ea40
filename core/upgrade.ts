import type { IncomingMessage, ServerResponse } from 'node:http'
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
