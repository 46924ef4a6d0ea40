import { createServer, type ServerResponse } from 'node:http'

/**
 * A service that streams events to each client, `RATE` a second; each holds the time at which it was written, in nanoseconds of
 * the clock that all processes of a machine share. `PORT` says where.
 */
const intervalMs = 1000 / Number(process.env.RATE)
const due = new Map<ServerResponse, number>()

const server = createServer((request, response) => {
  if (request.url === '/events') open(response)
  else response.end('ok')
})
server.listen(Number(process.env.PORT), '127.0.0.1')

function open(response: ServerResponse): void {
  // nginx gathers what it forwards unless told not to.
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', 'x-accel-buffering': 'no' })
  response.flushHeaders()
  // Streams don't all beat at once, just as those of different people don't.
  due.set(response, performance.now() + Math.random() * intervalMs)
  response.once('close', () => due.delete(response))
}

setInterval(() => {
  const now = performance.now()
  for (const [response, at] of due) {
    if (at > now) continue
    response.write(`data: {"at":${process.hrtime.bigint()}}\n\n`)
    due.set(response, at + intervalMs)
  }
}, 1)
