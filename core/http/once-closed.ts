import type { ServerResponse } from 'node:http'

/**
 * Calls `closed` once, when a response is delivered or can't be any more. One that waits behind another on its connection has no
 * socket yet and hears nothing of its end: then the socket is listened to, but no longer than needed, as it may see many requests.
 */
export function onceClosed(response: ServerResponse, closed: () => void): void {
  if (response.socket) {
    // It is told but once; `once` would cost a function more.
    response.on('close', closed)
    return
  }
  const { socket } = response.req
  const over = (): void => {
    response.off('close', over)
    socket.off('close', over)
    closed()
  }
  response.once('close', over)
  socket.once('close', over)
}
