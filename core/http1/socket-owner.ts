import type { Socket } from 'node:net'

/** Who is told what happens to a socket, but for what is read from it. */
export interface SocketOwner {
  /** The other side sends no more. */
  ended(): void
  /** An error, after which it is closed. */
  failed?(error: Error): void
  /** It takes more. */
  drained?(): void
  /** Nothing has moved for as long as it was given (`setTimeout`). */
  overdue?(): void
  closed(): void
}

const OWNER = Symbol('owner')

interface Owned extends Socket {
  [OWNER]?: SocketOwner | undefined
}

// The same for all sockets: functions of its own for every event would be a good part of what a connection takes.
const LISTENERS = Object.entries({
  end(this: Owned) {
    this[OWNER]?.ended()
  },
  drain(this: Owned) {
    this[OWNER]?.drained?.()
  },
  timeout(this: Owned) {
    this[OWNER]?.overdue?.()
  },
  close(this: Owned) {
    this[OWNER]?.closed()
  },
})

function onError(this: Owned, error: Error): void {
  this[OWNER]?.failed?.(error)
}

/** From here on `owner` is told, until it is disowned. */
export function own(socket: Socket, owner: SocketOwner): void {
  const owned: Owned = socket
  owned[OWNER] = owner
  owned.on('error', onError)
  for (const [event, listener] of LISTENERS) owned.on(event, listener)
}

/** Nobody is told any more. Errors are still listened to, as whoever gets the socket may not do so yet. */
export function disown(socket: Socket): void {
  const owned: Owned = socket
  owned[OWNER] = undefined
  for (const [event, listener] of LISTENERS) owned.off(event, listener)
}
