import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request as ask, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { startGateway } from '../../helpers/gateway.ts'
import { sendRaw } from '../../helpers/raw.ts'
import { until } from '../../helpers/until.ts'
import { streamUpstream } from '../../helpers/upstream.ts'

const MIB = 2 ** 20

/** Keeps what it sees of a body beside the proxy, as a plugin may; refuses what asks for it. */
const WITNESS = `import { createHash } from 'node:crypto'
export default {
  name: 'witness',
  setup (app) {
    app.addContentTypeParser('text/late', (request, payload, done) => done(null))
    app.addHook('onRequest', async (request, reply) => {
      reply.header('x-way', reply.raw.constructor.name)
      if (request.headers['x-refuse']) return reply.code(403).send({ error: 'refused' })
      if (!request.headers['x-watch']) return
      const chunks = []
      // Who listens before the proxy does takes the body from it.
      request.raw.once('resume', () => request.raw.on('data', (chunk) => chunks.push(chunk)))
      request.raw.on('end', () => setImmediate(() => app.watched.push(createHash('sha1').update(Buffer.concat(chunks)).digest('hex'))))
    })
    app.decorate('watched', [])
    app.get('/watched', () => app.watched)
    // Answers, and reads what is still to come.
    app.post('/late', (request, reply) => {
      let size = 0
      request.raw.on('data', (chunk) => (size += chunk.length)).on('end', () => app.watched.push(size))
      reply.send({ taken: true })
    })
    app.post('/length', { bodyLimit: 1e8 }, (request) => ({ length: request.body.text.length }))
  },
}
`

async function scene(t: Test, fastLane = true) {
  const upstream = await streamUpstream(t, (request, response) => {
    if (request.url === '/deaf') response.end('not interested')
    else if (request.url !== '/hold') request.pipe(response)
  })
  const gateway = await startGateway(t, {
    config: `server: { fast_lane: ${fastLane} }
plugins: { defaults: false, proxy: {}, queue: {}, model-router: {}, witness: {} }
services:
  up: { base_url: "${upstream.url}", warmup_ms: 0 }
  routed:
    instances: [{ name: a, url: "${upstream.url}" }, { name: b, url: "http://127.0.0.1:9" }]
    warmup_ms: 0
    strategy: model_router
    routing: { by_model: { small: a } }
`,
    files: { 'plugins/witness.ts': WITNESS },
  })
  await gateway.instance('up').start()
  await gateway.instance('routed', 'a').start()
  return { ...gateway, server: upstream.server }
}

const sha1 = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex')

/** Bytes that are nowhere the same. */
function bodyOf(seed: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let i = 0, x = seed * 2654435761 + 1; i < size; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0
    bytes[i] = x >>> 24
  }
  return bytes
}

interface Told {
  readonly status: number
  readonly way: string
  readonly sha1: string
}

/** Sends a body in parts and hears the answer, both of which may take their time. */
async function send(port: number, path: string, body: Buffer, headers: Record<string, string>, slow: boolean): Promise<Told> {
  const request = ask({ port, path, method: 'POST', headers: { 'content-length': body.length, ...headers } })
  const answered = once(request, 'response') as Promise<[IncomingMessage]>
  for (let at = 0; at < body.length; ) {
    const part = body.subarray(at, at + (slow ? 40_000 : 200_000))
    at += part.length
    if (!request.write(part) || slow) await new Promise((resolve) => setImmediate(resolve))
  }
  request.end()
  const [response] = await answered
  const hash = createHash('sha1')
  for await (const chunk of response as AsyncIterable<Buffer>) {
    hash.update(chunk)
    if (slow) await new Promise((resolve) => setImmediate(resolve))
  }
  return { status: response.statusCode ?? 0, way: String(response.headers['x-way']), sha1: hash.digest('hex') }
}

t.test('R2 large bodies come through both ways unchanged, many at once, slow and fast, watched and routed', async (t) => {
  const { port, url } = await scene(t)
  const watched: string[] = []
  const jobs = Array.from({ length: 40 }, async (_, n) => {
    const bytes = bodyOf(n, (n % 8) * 300_000 + n * 17 + 1)
    const isRouted = n % 5 === 4
    const body = isRouted ? Buffer.from(JSON.stringify({ model: 'small', data: bytes.toString('base64') })) : bytes
    // Small ones come with their head, and never flow.
    const isWatched = n % 3 === 0 && n % 8 > 0
    if (isWatched) watched.push(sha1(body))
    const headers = { ...(isRouted ? { 'content-type': 'application/json' } : {}), ...(isWatched ? { 'x-watch': '1' } : {}) }
    const told = await send(port, isRouted ? '/services/routed/' : '/services/up/', body, headers, n % 2 === 0)
    t.same(told, { status: 200, way: 'LaneResponse', sha1: sha1(body) }, `body ${n}`)
  })
  await Promise.all(jobs)
  const seen = (await (await fetch(`${url}/watched`)).json()) as string[]
  t.same(seen.toSorted(), watched.toSorted(), 'and who watches sees them unchanged, too')
})

t.test('R2 a body that nobody reads is taken and forgotten, and the connection goes on', async (t) => {
  const { port } = await scene(t)
  const big = bodyOf(1, 2 * MIB)
  const head = (path: string, ...more: string[]) =>
    [`POST ${path} HTTP/1.1`, 'Host: x', `Content-Length: ${big.length}`, ...more, '', ''].join('\r\n')
  const last = 'GET /services/up/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
  for (const [path, status, ...more] of [
    ['/services/up/', 403, 'X-Refuse: 1'],
    ['/services/up/deaf', 200],
    ['/nowhere', 404],
  ] as const) {
    const bytes = Buffer.concat([Buffer.from(head(path, ...more)), big, Buffer.from(last)])
    t.match(await sendRaw(port, bytes), new RegExp(`^HTTP/1\\.1 ${status} .*HTTP/1\\.1 200 OK\\r\\n`, 's'), path)
  }
})

t.test('R2 routes of plugins get large bodies as any other', async (t) => {
  const { url } = await scene(t)
  const body = JSON.stringify({ text: 'x'.repeat(MIB) })
  const answer = await fetch(`${url}/length`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  t.same(await answer.json(), { length: MIB })
  t.equal(answer.headers.get('x-way'), 'LaneResponse')
})

t.test('R2 a client that leaves in the middle of a body, with a reset or an end', async (t) => {
  const gateway = await scene(t)
  const up = gateway.instance('up')
  let left = 0
  gateway.server.on('request', (request: IncomingMessage) => request.once('error', () => left++))
  const begin = 'POST /services/up/hold HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc'
  const reset = connect(gateway.port, '127.0.0.1')
  reset.write(begin)
  await until(() => up.inFlight === 1, 'the request')
  reset.resetAndDestroy()
  await until(() => up.inFlight === 0 && left === 1, 'its end')
  const ended = connect(gateway.port, '127.0.0.1')
  let received = ''
  ended.on('data', (bytes) => (received += String(bytes)))
  ended.write(begin)
  await until(() => up.inFlight === 1, 'the request')
  ended.end()
  await once(ended, 'close')
  t.match(received, /^HTTP\/1\.1 400 bad_request_framing\r\n.*Invalid EOF state/s)
  await until(() => up.inFlight === 0 && left === 2, 'its end')
})

for (const fastLane of [true, false])
  t.test(`R2 who answers first and then reads gets all of the body, fast lane: ${fastLane}`, async (t) => {
    const { port, url } = await scene(t, fastLane)
    const watched = async () => (await (await fetch(`${url}/watched`)).json()) as number[]
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    let received = ''
    socket.on('data', (bytes) => (received += String(bytes)))
    socket.write(`POST /late HTTP/1.1\r\nHost: x\r\nContent-Type: text/late\r\nContent-Length: ${2 * MIB}\r\n\r\n`)
    await until(() => received.endsWith('}'), 'the answer')
    socket.write(bodyOf(1, 2 * MIB))
    await until(async () => (await watched()).length > 0, 'the end of the body')
    t.same(await watched(), [2 * MIB])
  })
