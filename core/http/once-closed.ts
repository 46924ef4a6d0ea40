import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

const WAITING = Symbol('waiting')
type Watched = Socket & { [WAITING]?: Set<() => void> }

/**
 * Calls `closed` once, when a response is delivered or can't be any more. One that waits behind another on its connection has no
 * socket yet and hears nothing of its end: then the connection is watched, too.
 */
export function onceClosed(response: ServerResponse, closed: () => void): void {
  if (response.socket) {
    // It is told but once; `once` would cost a function more.
    response.on('close', closed)
    return
  }
  const waiting = waitingOn(response.req.socket)
  const over = (): void => {
    response.off('close', over)
    if (waiting.delete(over)) closed()
  }
  response.once('close', over)
  waiting.add(over)
}

/** Who waits for the end of a connection: with one listener for all, as any number of requests may come on it at once. */
function waitingOn(socket: Watched): Set<() => void> {
  const known = socket[WAITING]
  if (known) return known
  const waiting = new Set<() => void>()
  socket[WAITING] = waiting
  socket.once('close', () => {
    for (const over of [...waiting]) over()
  })
  return waiting
}
