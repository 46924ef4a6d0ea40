#!/usr/bin/env node
/**
 * A small real service to try Hestia with: plain Node, nothing to install. It takes a moment to boot, as real ones do, so
 * that a cold start can be seen.
 *
 *   HOST, PORT   where to listen (Hestia sets both)
 *   BOOT_MS      how long booting takes; 1000 if unset
 *
 *   GET  /          a greeting: a page for browsers, JSON for everybody else
 *   GET  /health    200 when it is ready
 *   GET  /stream    server-sent events; ?count=10&interval_ms=500
 *   POST /echo      sends back what it gets, as it comes
 */
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const host = process.env.HOST || '127.0.0.1'
const port = Number(process.env.PORT || 9000)
const bootMs = Number(process.env.BOOT_MS || 1000)
const startedAt = Date.now()
let served = 0

const routes = {
  'GET /': greet,
  'GET /health': (_request, response) => json(response, 200, { status: 'ok' }),
  'GET /stream': stream,
  'POST /echo': echo,
}

function greet(request, response) {
  const facts = { pid: process.pid, uptime_ms: Date.now() - startedAt, requests: served }
  response.setHeader('Vary', 'Accept')
  if (!request.headers.accept?.includes('text/html'))
    return json(response, 200, { message: 'Hello from the demo service', ...facts })
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' })
  // Links without a leading slash work at the root and below /services/demo/ alike.
  response.end(`<!doctype html><meta charset="utf-8"><title>Demo service</title>
<h1>Hello from the demo service</h1>
<p>Process ${facts.pid} has been up for ${(facts.uptime_ms / 1000).toFixed(1)} s and has answered ${facts.requests} requests.</p>
<p>Leave it alone for a while, and Hestia stops it; come back, and it is started again under another number.</p>
<p><a href="stream">A stream of events</a> · <a href="health">Health</a></p>\n`)
}

async function stream(_request, response, query) {
  const count = Number(query.get('count') ?? 10)
  const intervalMs = Number(query.get('interval_ms') ?? 500)
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
  for (let tick = 1; tick <= count && !response.destroyed; tick++) {
    response.write(`id: ${tick}\ndata: ${JSON.stringify({ tick, at: new Date().toISOString() })}\n\n`)
    if (tick < count) await sleep(intervalMs)
  }
  response.end()
}

function echo(request, response) {
  response.writeHead(200, { 'Content-Type': request.headers['content-type'] ?? 'application/octet-stream' })
  request.pipe(response)
}

function json(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://demo')
  const route = routes[`${request.method === 'HEAD' ? 'GET' : request.method} ${url.pathname}`]
  // Who asks for its health, or for what it doesn't have, is Hestia.
  if (route && url.pathname !== '/health') served++
  if (route) route(request, response, url.searchParams)
  else json(response, 404, { error: 'not_found', message: `Try one of: ${Object.keys(routes).join(', ')}` })
})

/** Lets requests under way finish; a second signal, or Hestia's grace, ends those that never would. */
function stop(signal) {
  console.log(`${signal}: stopping`)
  server.close(() => process.exit(0))
}
process.once('SIGTERM', stop)
process.once('SIGINT', stop)

console.log(`booting, this takes ${bootMs} ms`)
await sleep(bootMs)
server.listen(port, host, () => console.log(`listening on http://${host}:${server.address().port}`))
