import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** How often it looks who is due, in milliseconds. */
const TICK_MS = 1

/** A service in this process. */
export interface EventService {
  readonly port: number
  end(): void
}

/**
 * A service that streams events to each client, `rate` a second; each holds the time at which it was written, in nanoseconds. It
 * is in the process of who reads them: two processes on one core would wait for each other, longer than for most contestants.
 */
export async function serveEvents(rate: number): Promise<EventService> {
  const intervalMs = 1000 / rate
  const due = new Map<ServerResponse, number>()
  const server = createServer((request, response) => {
    if (request.url !== '/events') {
      response.end('ok')
      return
    }
    // nginx gathers what it forwards unless told not to.
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', 'x-accel-buffering': 'no' })
    response.flushHeaders()
    // Streams don't all beat at once, just as those of different people don't.
    due.set(response, performance.now() + Math.random() * intervalMs)
    response.once('close', () => due.delete(response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const timer = setInterval(() => {
    const now = performance.now()
    for (const [response, at] of due) {
      if (at > now) continue
      response.write(`data: {"at":${process.hrtime.bigint()}}\n\n`)
      due.set(response, at + intervalMs)
    }
  }, TICK_MS)
  const end = (): void => {
    clearInterval(timer)
    server.closeAllConnections()
    server.close()
  }
  return { port: (server.address() as AddressInfo).port, end }
}
