import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { readTraceparent } from '../../plugins/telemetry/traceparent.ts'
import { startChildGateway } from '../helpers/child-gateway.ts'
import { freePort } from '../helpers/free-port.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { ask, valuesOf } from '../helpers/http.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'
import { deadPort, httpUpstream, streamUpstream } from '../helpers/upstream.ts'

const SERVER = fileURLToPath(new URL('../fixtures/boot-server.mjs', import.meta.url))
const PLUGINS = ['queue', 'process', 'health', 'proxy', 'requests', 'api'].map((name) => `${name}: {}`).join(', ')

/** A span as the collector got it. */
interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly traceState?: string
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  readonly from: number
  readonly to: number
  readonly status: { readonly code: number; readonly message?: string }
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly attributes: Readonly<Record<string, unknown>>
}

interface Collector {
  readonly url: string
  readonly spans: Span[]
  /** What came, as it came. */
  readonly messages: { readonly headers: IncomingMessage['headers']; readonly text: string }[]
  readonly resources: Record<string, unknown>[]
  /** The span of that name, once it has come. */
  span(name: string, match?: (span: Span) => boolean): Promise<Span>
}

type Attributes = readonly { key: string; value: Record<string, unknown> }[]
const valuesBy = (attributes: Attributes): Record<string, unknown> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [key, 'intValue' in value ? Number(value.intValue) : Object.values(value)[0]]),
  )

/** A receiver of OTLP over HTTP (JSON); `answer` says how it answers. */
async function collector(
  t: Test,
  answer: (response: ServerResponse) => void = (response) => response.end('{}'),
): Promise<Collector> {
  const spans: Span[] = []
  const messages: Collector['messages'] = []
  const resources: Record<string, unknown>[] = []
  const server = await httpUpstream(t, (request, response, body) => {
    messages.push({ headers: request.headers, text: body.toString() })
    const { resourceSpans } = JSON.parse(body.toString()) as {
      resourceSpans: {
        resource: { attributes: Attributes }
        scopeSpans: { spans: (Span & { attributes: Attributes; startTimeUnixNano: string; endTimeUnixNano: string })[] }[]
      }[]
    }
    answer(response)
    for (const { resource, scopeSpans } of resourceSpans) {
      resources.push(valuesBy(resource.attributes))
      for (const span of scopeSpans.flatMap((scope) => scope.spans)) {
        const [from, to] = [Number(span.startTimeUnixNano) / 1e6, Number(span.endTimeUnixNano) / 1e6]
        spans.push({ ...span, from, to, attributes: valuesBy(span.attributes) })
      }
    }
  })
  const span = (name: string, match: (span: Span) => boolean = () => true) =>
    until(() => spans.find((one) => one.name === name && match(one)), `the span ${name}`)
  return { url: `${server.url}/v1/traces`, spans, messages, resources, span }
}

interface Setting {
  readonly services?: Record<string, object>
  readonly telemetry?: object
  readonly more?: string
}

const configOf = (endpoint: string, { services = {}, telemetry = {}, more = '' }: Setting): string => {
  const options = JSON.stringify({ endpoint, batch: { delay_ms: 10 }, ...telemetry })
  return `plugins: { defaults: false, ${PLUGINS}, telemetry: ${options} }\nservices: ${JSON.stringify(services)}\n${more}`
}
const hot = (url: string) => ({ base_url: url, health: { tcp: true } })
const start = (t: Test, endpoint: string, setting: Setting) => startGateway(t, { config: configOf(endpoint, setting) })

/** Spans of the first request besides its own: the start, its attempt, and the wait for it. */
const OF_A_START = 3
const finishedCount = (gateway: RunningGateway) => gateway.events.filter(({ type }) => type === 'request.finished').length

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const PARENT_ID = 'b7ad6b7169203331'
const traceparent = (flags: string) => `00-${TRACE_ID}-${PARENT_ID}-${flags}`
/** What the last request to an upstream said. */
const seenHeader = (upstream: { seen: { rawHeaders: string[] }[] }, name: string) =>
  valuesOf(upstream.seen.at(-1)!.rawHeaders, name)

t.test('a traceparent is read as the W3C says, and everything else is none', async (t) => {
  t.same(readTraceparent(traceparent('01')), { traceId: TRACE_ID, spanId: PARENT_ID, sampled: true })
  t.equal(readTraceparent(traceparent('00'))?.sampled, false)
  t.equal(readTraceparent(traceparent('03'))?.sampled, true, 'flags that are not known say nothing')
  t.equal(readTraceparent(`cc-${TRACE_ID}-${PARENT_ID}-01-what-comes`)?.sampled, true, 'a later version')
  const wrong = [
    undefined,
    '',
    `ff-${TRACE_ID}-${PARENT_ID}-01`,
    `00-${TRACE_ID}-${PARENT_ID}-01-more`,
    `cc-${TRACE_ID}-${PARENT_ID}-01.more`,
    `00-${'0'.repeat(32)}-${PARENT_ID}-01`,
    `00-${TRACE_ID}-${'0'.repeat(16)}-01`,
    `00-${TRACE_ID.toUpperCase()}-${PARENT_ID}-01`,
    `${traceparent('01')}, ${traceparent('01')}`,
    `00-${TRACE_ID}-${PARENT_ID}-1`,
  ]
  for (const header of wrong) t.equal(readTraceparent(header), undefined, String(header))
  fc.assert(
    fc.property(fc.string(), (text) => {
      const read = readTraceparent(text)
      return read === undefined || text.includes(read.traceId)
    }),
  )
})

t.test('R23 a request leaves a span that goes on from its client, and one that the service goes on from', async (t) => {
  const upstream = await httpUpstream(t)
  const collected = await collector(t)
  const gateway = await start(t, collected.url, {
    services: { demo: hot(`${upstream.url}/base/`) },
    telemetry: { service_name: 'home', headers: { 'x-team': 'S3CR3T' } },
  })
  await ask(`${gateway.url}/services/demo/a%20b?token=S3CR3T`, {
    headers: {
      traceparent: traceparent('01'),
      tracestate: 'vendor=opaque,other=1',
      authorization: 'Bearer S3CR3T',
      cookie: 's=S3CR3T',
    },
  })
  const server = await collected.span('GET /services/demo/*')
  const client = await collected.span('GET')
  t.match(server, { traceId: TRACE_ID, parentSpanId: PARENT_ID, traceState: 'vendor=opaque,other=1', kind: 2 })
  t.match(client, { traceId: TRACE_ID, parentSpanId: server.spanId, kind: 3 })
  t.same(seenHeader(upstream, 'traceparent'), [`00-${TRACE_ID}-${client.spanId}-01`])
  t.same(seenHeader(upstream, 'tracestate'), ['vendor=opaque,other=1'])
  t.match(server.attributes, {
    'http.request.method': 'GET',
    'url.path': '/services/demo/a%20b',
    'url.scheme': 'http',
    'server.address': '127.0.0.1',
    'server.port': gateway.port,
    'http.route': '/services/demo/*',
    'http.response.status_code': 200,
    'hestia.service': 'demo',
    'hestia.instance': 'default',
    'hestia.reason': 'base_url',
    'hestia.request.bytes': 0,
    'hestia.response.bytes': 2,
  })
  t.match(client.attributes, {
    'http.request.method': 'GET',
    'url.full': `${upstream.url}/base/a%20b`,
    'server.address': '127.0.0.1',
    'server.port': upstream.port,
    'http.response.status_code': 200,
  })
  t.ok(server.from <= client.from && client.from <= client.to && client.to <= server.to)
  t.ok(Math.abs(server.to - Date.now()) < 60_000)
  t.match(collected.resources[0], { 'service.name': 'home', 'telemetry.sdk.name': 'opentelemetry' })
  t.equal(collected.messages[0]!.headers['x-team'], 'S3CR3T', 'what the collector asks for goes in a header')
  for (const { text } of collected.messages) t.notMatch(text, 'S3CR3T')
  t.notMatch(JSON.stringify(gateway.events) + gateway.gateway.pool.keys().join(), 'S3CR3T')
})

t.test('who began the trace decides whether it is kept, else `sample` does', async (t) => {
  const upstream = await httpUpstream(t)
  const collected = await collector(t)
  const gateway = await start(t, collected.url, { services: { demo: hot(upstream.url) }, telemetry: { sample: 0 } })
  const url = `${gateway.url}/services/demo/`
  await ask(url, { headers: ['Host', 'h', 'Traceparent', traceparent('00'), 'tracestate', 'a=1', 'tracestate', 'b=2'] })
  t.same(seenHeader(upstream, 'traceparent'), [traceparent('00')], 'passes as it is')
  t.ok(upstream.seen.at(-1)!.rawHeaders.includes('Traceparent'), 'to the letter')
  t.same(seenHeader(upstream, 'tracestate'), ['a=1', 'b=2'])
  await ask(url)
  const told = seenHeader(upstream, 'traceparent')
  t.match(told, [/^00-[\da-f]{32}-[\da-f]{16}-00$/], 'the service hears that this one is not kept')
  await ask(url, { headers: { traceparent: traceparent('01') } })
  await collected.span('GET /services/demo/*')
  t.equal(collected.spans.filter(({ kind }) => kind === 2).length, 1)

  await gateway.configure(configOf(collected.url, { services: { demo: hot(upstream.url) }, telemetry: { sample: 1 } }))
  await gateway.event('reload.applied', ({ generation }) => generation === 2)
  await ask(url)
  const own = await collected.span('GET /services/demo/*', ({ traceId }) => traceId !== TRACE_ID)
  t.equal(own.parentSpanId, undefined)
  t.match(seenHeader(upstream, 'traceparent')[0], own.traceId)
})

t.test('a traceparent that is none is not passed on, nor its tracestate', async (t) => {
  const upstream = await httpUpstream(t)
  const collected = await collector(t)
  const gateway = await start(t, collected.url, { services: { demo: hot(upstream.url) } })
  const url = `${gateway.url}/services/demo/`
  const wrong = [
    { traceparent: `00-${TRACE_ID}-${'0'.repeat(16)}-01`, tracestate: 'a=1' },
    ['Host', 'h', 'traceparent', traceparent('01'), 'traceparent', traceparent('01'), 'tracestate', 'a=1'],
    { tracestate: 'a=1' },
  ]
  for (const headers of wrong) {
    await ask(url, { headers })
    const [header, ...more] = seenHeader(upstream, 'traceparent')
    t.same(more, [])
    t.match(header, /^00-[\da-f]{32}-[\da-f]{16}-01$/)
    t.notMatch(header, TRACE_ID)
    t.same(seenHeader(upstream, 'tracestate'), [])
  }
})

t.test('without the plugin the headers of a trace pass untouched', async (t) => {
  const upstream = await httpUpstream(t)
  const config = `plugins: { defaults: false, ${PLUGINS} }\nservices: ${JSON.stringify({ demo: hot(upstream.url) })}\n`
  const gateway = await startGateway(t, { config })
  await ask(`${gateway.url}/services/demo/`, { headers: { traceparent: 'anything', tracestate: 'a=1' } })
  t.same([seenHeader(upstream, 'traceparent'), seenHeader(upstream, 'tracestate')], [['anything'], ['a=1']])
})

t.test('what went wrong is told as the conventions have it', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    if (request.url === '/leave') return
    if (request.url === '/reset') {
      response.destroy()
      return
    }
    if (request.url === '/cut') {
      response.write('half')
      setTimeout(() => response.destroy(), 20)
      return
    }
    response.writeHead(Number(request.url!.slice(1))).end()
  })
  const collected = await collector(t)
  const gateway = await start(t, collected.url, { services: { demo: hot(upstream.url) } })
  const spansOf = async (path: string) => {
    const server = await until(() => collected.spans.find(({ attributes }) => attributes['url.path'] === path), path)
    return { server, client: collected.spans.find(({ kind, parentSpanId }) => kind === 3 && parentSpanId === server.spanId) }
  }
  const UNSET = 0
  const ERROR = 2
  await ask(`${gateway.url}/services/demo/503`)
  const busy = await spansOf('/services/demo/503')
  t.match(busy.server, { status: { code: ERROR }, attributes: { 'http.response.status_code': 503, 'error.type': '503' } })
  t.match(busy.client, { status: { code: ERROR }, attributes: { 'http.response.status_code': 503, 'error.type': '503' } })

  await ask(`${gateway.url}/services/demo/404`)
  const missing = await spansOf('/services/demo/404')
  t.match(missing.server, { status: { code: UNSET }, attributes: { 'http.response.status_code': 404, 'error.type': undefined } })
  t.match(missing.client, { status: { code: ERROR }, attributes: { 'error.type': '404' } })

  t.equal((await ask(`${gateway.url}/services/demo/reset`)).status, 502)
  const reset = await spansOf('/services/demo/reset')
  const error = 'upstream_failed'
  t.match(reset.server, { status: { code: ERROR }, attributes: { 'http.response.status_code': 502, 'error.type': error } })
  t.match(reset.client, { status: { code: ERROR }, attributes: { 'http.response.status_code': undefined, 'error.type': error } })

  t.equal((await ask(`${gateway.url}/services/nobody/x`)).status, 404)
  const nobody = await spansOf('/services/nobody/x')
  t.match(nobody.server, { name: 'GET /services/:id/*', attributes: { 'http.response.status_code': 404 } })
  t.equal(nobody.client, undefined, 'nothing was sent')

  await t.rejects(ask(`${gateway.url}/services/demo/cut`))
  const cut = await spansOf('/services/demo/cut')
  t.match(cut.server, { status: { code: ERROR }, attributes: { 'http.response.status_code': 200, 'hestia.aborted': true } })

  const request = http.get(`${gateway.url}/services/demo/leave`)
  request.on('error', () => undefined)
  await until(() => upstream.seen.some(({ url }) => url === '/leave'))
  request.destroy()
  const left = await spansOf('/services/demo/leave')
  t.match(left.server, {
    status: { code: UNSET },
    attributes: { 'hestia.aborted': true, 'http.response.status_code': undefined },
  })

  await ask(`${gateway.url}/services/demo/200`, { method: 'PROPFIND' })
  const other = await spansOf('/services/demo/200')
  t.match(other.server, { name: 'HTTP /services/demo/*', attributes: { 'http.request.method_original': 'PROPFIND' } })
})

t.test('a cold start is a trace of its own, to which the waits for it link', async (t) => {
  const collected = await collector(t)
  const port = await freePort()
  const services = {
    cold: {
      base_url: `http://127.0.0.1:${port}`,
      process: { command: plainNode(SERVER), env: { PORT: String(port), BOOT_MS: '50' } },
      health: { url: '/health' },
    },
    broken: {
      base_url: `http://127.0.0.1:${await freePort()}`,
      process: { command: plainNode('-e', 'process.exit(3)') },
      health: { tcp: true },
      start: { attempts: 2, delay_ms: 0 },
    },
  }
  const gateway = await start(t, collected.url, { services, telemetry: { sample: 0 } })
  const headers = { traceparent: traceparent('01') }
  await Promise.all([1, 2].map(() => ask(`${gateway.url}/services/cold/x`, { headers })))
  const begun = await collected.span('start cold')
  const attempt = await collected.span('attempt')
  t.equal(begun.parentSpanId, undefined, 'it belongs to the instance, not to who came first')
  t.not(begun.traceId, TRACE_ID)
  t.match(attempt, { traceId: begun.traceId, parentSpanId: begun.spanId, attributes: { 'hestia.attempt': 1 } })
  t.match(begun, { status: { code: 0 }, attributes: { 'hestia.service': 'cold', 'hestia.instance': 'default' } })
  t.ok(begun.to - begun.from >= 50)
  await until(() => collected.spans.filter(({ name }) => name === 'wait').length === 2)
  const servers = collected.spans.filter(({ kind }) => kind === 2)
  for (const wait of collected.spans.filter(({ name }) => name === 'wait')) {
    t.same(
      wait.links.map(({ traceId, spanId }) => ({ traceId, spanId })),
      [{ traceId: begun.traceId, spanId: begun.spanId }],
    )
    const server = servers.find(({ spanId }) => spanId === wait.parentSpanId)
    const client = collected.spans.find(({ kind, parentSpanId }) => kind === 3 && parentSpanId === wait.parentSpanId)
    t.ok(server && client && server.from <= wait.from + 1 && wait.to <= client.from + 0.01, 'first it waits, then it is sent')
    t.match(server, { attributes: { 'hestia.cold_start': true } })
  }

  t.equal((await ask(`${gateway.url}/services/broken/x`, { headers })).status, 503)
  const failed = await collected.span('start broken')
  t.match(failed, { status: { code: 2, message: /exit|ended/ }, attributes: { 'error.type': 'start_failed' } })
  const attempts = collected.spans.filter(({ name, traceId }) => name === 'attempt' && traceId === failed.traceId)
  t.same(
    attempts.map(({ status, attributes }) => [status.code, attributes['hestia.attempt']]),
    [
      [2, 1],
      [2, 2],
    ],
  )
  const wait = await collected.span('wait', ({ attributes }) => attributes['hestia.service'] === 'broken')
  t.match(wait, { links: [{ traceId: failed.traceId, spanId: failed.spanId }], status: { code: 2 } })
})

t.test('a WebSocket is one request from its handshake to its end', async (t) => {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => sockets.close())
  await once(sockets, 'listening')
  let header: unknown
  sockets.on('connection', (socket, request) => {
    header = request.headers.traceparent
    socket.on('message', (data) => socket.send(data))
  })
  const collected = await collector(t)
  const { port } = sockets.address() as { port: number }
  const gateway = await start(t, collected.url, { services: { ws: hot(`http://127.0.0.1:${port}`) } })
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/services/ws/chat`)
  await once(socket, 'open')
  socket.send('hello')
  await once(socket, 'message')
  // That of the start may be there.
  t.notOk(collected.spans.some(({ name }) => name.startsWith('GET')))
  socket.close()
  const server = await collected.span('GET /services/ws/*')
  const client = await collected.span('GET')
  t.match(server.attributes, { 'http.response.status_code': 101, 'url.path': '/services/ws/chat' })
  t.equal(header, `00-${server.traceId}-${client.spanId}-01`)
})

t.test('R16 a reload in the middle of a stream: told once, by the exporter that was there', async (t) => {
  const streams: ServerResponse[] = []
  const upstream = await streamUpstream(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: 1\n\n')
    streams.push(response)
  })
  const collected = await collector(t)
  const services = { demo: hot(upstream.url) }
  const gateway = await start(t, collected.url, { services })
  const sinks = () => gateway.gateway.pool.keys().filter((key) => key.startsWith('telemetry.sink'))
  const [before] = sinks()
  const answer = ask(`${gateway.url}/services/demo/s`)
  await until(() => streams.length === 1)
  await gateway.configure(configOf(collected.url, { services: { ...services, other: hot(upstream.url) } }))
  await gateway.event('service.added', ({ service }) => service === 'other')
  t.same(sinks(), [before])
  streams[0]!.end()
  await answer
  await collected.span('GET /services/demo/*')
  await gateway.event('generation.retired', ({ generation }) => generation === 1)

  const elsewhere = await collector(t)
  await gateway.configure(configOf(elsewhere.url, { services, telemetry: { batch: { delay_ms: 60_000 } } }))
  await until(() => sinks().length === 1 && sinks()[0] !== before, 'the other exporter alone')
  const again = ask(`${gateway.url}/services/demo/s`)
  await until(() => streams.length === 2)
  streams[1]!.end()
  await again
  await until(() => finishedCount(gateway) === 2)
  t.equal(collected.spans.filter(({ kind }) => kind === 2).length, 1)
  await gateway.close()
  t.equal(elsewhere.spans.filter(({ kind }) => kind === 2).length, 1, 'the last ones are sent at the end')
  t.same(gateway.gateway.pool.keys(), [])
})

t.test('R23 a collector that fails costs spans, which are counted, and one warning; no request notices', async (t) => {
  const upstream = await httpUpstream(t)
  let status = 500
  const collected = await collector(t, (response) => response.writeHead(status).end('{}'))
  const gateway = await start(t, collected.url, { services: { demo: hot(upstream.url) } })
  for (let i = 1; i <= 5; i++) {
    t.equal((await ask(`${gateway.url}/services/demo/`)).status, 200)
    await until(() => collected.spans.filter(({ kind }) => kind === 3).length === i)
  }
  const failures = () => gateway.events.filter(({ type }) => type === 'telemetry.failed')
  await until(() => failures().length === 1)
  t.match(failures(), [{ endpoint: collected.url }])
  status = 200
  await ask(`${gateway.url}/services/demo/`)
  await gateway.event('telemetry.recovered')
  t.match(await gateway.event('events.dropped'), { consumer: 'telemetry', count: 10 + OF_A_START })
  t.equal(failures().length, 1)
})

t.test('a collector that is down or never answers holds up neither requests nor the end', async (t) => {
  const upstream = await httpUpstream(t)
  const held: ServerResponse[] = []
  const silent = await collector(t, (response) => held.push(response))
  const run = async (endpoint: string, timeoutMs: number) => {
    const telemetry = { batch: { queue: 4, size: 2, delay_ms: 10, timeout_ms: timeoutMs } }
    const gateway = await start(t, endpoint, { services: { demo: hot(upstream.url) }, telemetry })
    for (let i = 0; i < 20; i++) t.equal((await ask(`${gateway.url}/services/demo/`)).status, 200)
    await until(() => finishedCount(gateway) === 20)
    await gateway.close()
    const dropped = gateway.events.flatMap((event) => (event.type === 'events.dropped' ? [event.count] : []))
    t.equal(
      dropped.reduce((sum, count) => sum + count, 0),
      40 + OF_A_START,
      'every span is accounted for',
    )
    return gateway.events.filter(({ type }) => type === 'telemetry.failed').length
  }
  t.equal(await run(`http://127.0.0.1:${await deadPort()}/v1/traces`, 500), 1, 'one warning')
  await run(silent.url, 60_000)
  t.ok(held.length > 0, 'the end has not waited for an answer')
  for (const response of held) response.end('{}')
})

t.test('requests as JSON are traced as well', async (t) => {
  const upstream = await httpUpstream(t)
  const collected = await collector(t)
  const gateway = await start(t, collected.url, { services: { demo: hot(upstream.url) } })
  const inner = {
    serviceId: 'demo',
    method: 'PUT',
    path: '/x?key=1',
    headers: { traceparent: 'theirs', tracestate: 'x=1', a: 'b' },
  }
  await ask(`${gateway.url}/v1/requests`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: traceparent('01'), tracestate: 'v=1' },
    body: JSON.stringify(inner),
  })
  const server = await collected.span('PUT /v1/requests')
  const client = await collected.span('PUT')
  t.match(server, { traceId: TRACE_ID, parentSpanId: PARENT_ID })
  t.same(seenHeader(upstream, 'traceparent'), [`00-${TRACE_ID}-${client.spanId}-01`])
  t.same(seenHeader(upstream, 'tracestate'), ['v=1'])
  t.same(seenHeader(upstream, 'a'), ['b'])
})

t.test('R23 log lines of a request name its trace, and plugins of users know it', async (t) => {
  const upstream = await httpUpstream(t)
  const collected = await collector(t)
  const dir = t.testdir()
  await mkdir(`${dir}/plugins`)
  await writeFile(
    `${dir}/plugins/mine.ts`,
    `import { definePlugin, traceparentOf } from 'hestia'
     export default definePlugin({ name: 'mine', setup (app) {
       app.addHook('preHandler', async (request) => { request.log.info({ mine: traceparentOf(request.trace!) }, 'mine') })
     } })`,
  )
  const more = 'server: { port: 0 }\nlog: { format: json }\n'
  const config = configOf(collected.url, { services: { demo: hot(upstream.url) }, more }).replace(
    'telemetry:',
    'mine: {}, telemetry:',
  )
  await writeFile(`${dir}/hestia.yml`, config)
  const gateway = await startChildGateway(t, `${dir}/hestia.yml`)
  await ask(`${gateway.url}/services/demo/`, { headers: { traceparent: traceparent('01') } })
  const line = await until(() => gateway.lines.find(({ type }) => type === 'request.finished'))
  t.equal(line.trace_id, TRACE_ID)
  const mine = await until(() => gateway.lines.find(({ msg, requestId }) => msg === 'mine' && requestId === line.requestId))
  t.match(mine, { trace_id: TRACE_ID })
  t.equal(await gateway.end(), 0)
  const server = await collected.span('GET /services/demo/*')
  t.equal(mine.mine, `00-${TRACE_ID}-${server.spanId}-01`)
})

t.test('R17 options that are wrong are refused, and nothing secret is printed', async (t) => {
  const config = configOf('http://user@host/', { telemetry: { headers: { authorization: 7_654_321 } } })
  const error = await startGateway(t, { config }).then(
    () => t.fail('it started'),
    (thrown: Error) => thrown,
  )
  t.match(String(error), /plugins\.telemetry/)
  t.notMatch(String(error), /7654321/)
})

t.test('what the options leave open is taken from the environment', async (t) => {
  const upstream = await httpUpstream(t)
  const collected = await collector(t)
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = collected.url.replace('/v1/traces', '')
  process.env.OTEL_RESOURCE_ATTRIBUTES = 'deployment.environment.name=home'
  t.teardown(() => {
    delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT
    delete process.env.OTEL_RESOURCE_ATTRIBUTES
  })
  const config = configOf('', { services: { demo: hot(upstream.url) } }).replace('"endpoint":"",', '')
  const gateway = await startGateway(t, { config })
  await ask(`${gateway.url}/services/demo/`)
  await collected.span('GET')
  t.match(collected.resources[0], { 'service.name': 'hestia', 'deployment.environment.name': 'home' })
})
