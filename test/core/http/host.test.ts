import { connect } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { checkPath } from '../../../core/http/address.ts'
import { startGateway } from '../../helpers/gateway.ts'
import { parseRaw, sendRaw } from '../../helpers/raw.ts'
import { until } from '../../helpers/until.ts'

const CONFIG = 'plugins: { defaults: false, api: {} }\nservices: {}\n'
/** Answers in two halves. */
const SLOW = `export default { name: 'slow', setup (app) { app.get('/slow', async (request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-length': 10 })
    reply.raw.write('first')
    setTimeout(() => reply.raw.end(' half'), 100)
  }) } }`
const head = (lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`

t.test('requests that two parsers could split differently are refused', async (t) => {
  const { port, gateway } = await startGateway(t, { config: CONFIG })
  const shapes: Record<string, [bytes: string, status: number]> = {
    'CL and TE': [
      `${head(['POST /v1/reload HTTP/1.1', 'Host: x', 'Content-Length: 3', 'Transfer-Encoding: chunked'])}0\r\n\r\n`,
      400,
    ],
    'two lengths': [`${head(['POST /v1/reload HTTP/1.1', 'Host: x', 'Content-Length: 3', 'Content-Length: 4'])}abc`, 400],
    'unknown coding': [head(['POST /v1/reload HTTP/1.1', 'Host: x', 'Transfer-Encoding: xchunked']), 400],
    'chunked is not last': [head(['POST /v1/reload HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked, gzip']), 400],
    'folded header': [head(['GET /__health HTTP/1.1', 'Host: x', 'A: b', ' c']), 400],
    'bare LF': ['GET /__health HTTP/1.1\nHost: x\n\n', 400],
    'bare CR': [head(['GET /__health HTTP/1.1', 'Host: x', 'A: b\rc']), 400],
    'space before colon': [head(['GET /__health HTTP/1.1', 'Host : x']), 400],
    'no Host': [head(['GET /__health HTTP/1.1']), 400],
    'two Hosts': [head(['GET /__health HTTP/1.1', 'Host: x', 'Host: y']), 400],
    'NUL in a header': [head(['GET /__health HTTP/1.1', 'Host: x', 'A: b\0c']), 400],
    'negative length': [head(['POST /v1/reload HTTP/1.1', 'Host: x', 'Content-Length: -1']), 400],
    'unknown method': [head(['FROB /__health HTTP/1.1', 'Host: x']), 501],
    'forward proxy': [head(['CONNECT example.org:443 HTTP/1.1', 'Host: x']), 501],
    '64 kB header': [head(['GET /__health HTTP/1.1', 'Host: x', `A: ${'a'.repeat(65_536)}`]), 431],
    'no HTTP': ['hello there, how are you?\r\n\r\n', 501],
  }
  for (const [what, [bytes, status]] of Object.entries(shapes)) {
    const answer = parseRaw(await sendRaw(port, bytes))
    t.equal(answer.status, status, what)
    const body = JSON.parse(answer.body) as { error: string; message: string; request_id: string }
    t.match(body, { error: String, message: /\w+/, request_id: /\w/ }, what)
    t.equal(answer.headers.connection, 'close', what)
  }
  t.equal((await fetch(`${gateway.url}/__health`)).status, 200, 'and the gateway lives')
})

t.test('a chunk with bare LF ends the connection, and nothing behind it is taken for a request', async (t) => {
  const { port } = await startGateway(t, { config: CONFIG })
  const smuggled = `3\nabc\n0\n\nGET /v1/plugins HTTP/1.1\r\nHost: x\r\n\r\n`
  const headers = ['POST /v1/reload HTTP/1.1', 'Host: x', 'Content-Type: application/json', 'Transfer-Encoding: chunked']
  const received = await sendRaw(port, head(headers) + smuggled)
  t.notMatch(received, /generation.*plugins/s)
  t.equal(received.match(/HTTP\/1\.1 /g)?.length, 1)
})

t.test('R2: other requests of one connection are not harmed by a service that is unknown', async (t) => {
  const { port } = await startGateway(t, { config: CONFIG })
  const one = head(['GET /__health HTTP/1.1', 'Host: x'])
  const last = head(['GET /v1/nothing HTTP/1.1', 'Host: x', 'Connection: close'])
  const received = await sendRaw(port, one + one + last)
  t.same(
    received.match(/HTTP\/1\.1 \d+/g)?.map((line) => line.slice(-3)),
    ['200', '200', '404'],
  )
})

t.test('a wrong method gets 405 with Allow, an unknown path 404; both as JSON', async (t) => {
  const { url } = await startGateway(t, { config: CONFIG })
  const wrong = await fetch(`${url}/v1/reload`, { method: 'DELETE' })
  t.equal(wrong.status, 405)
  t.equal(wrong.headers.get('allow'), 'POST')
  t.match(await wrong.json(), { error: 'method_not_allowed', request_id: /\w/ })
  t.equal((await fetch(`${url}/v1/services/x/status`, { method: 'POST' })).status, 405)
  const missing = await fetch(`${url}/nowhere?at=all`)
  t.equal(missing.status, 404)
  t.match(await missing.json(), { error: 'not_found', message: /\/nowhere/ })
})

t.test('R23: the request id is the client’s if it is harmless, and in every answer', async (t) => {
  const { url } = await startGateway(t, { config: CONFIG })
  const idOf = async (id?: string) => {
    const answer = await fetch(`${url}/nowhere`, id === undefined ? {} : { headers: { 'x-request-id': id } })
    const { request_id } = (await answer.json()) as { request_id: string }
    t.equal(answer.headers.get('x-request-id'), request_id)
    return request_id
  }
  t.equal(await idOf('mine-1'), 'mine-1')
  t.not(await idOf('"} evil {"'), '"} evil {"')
  t.not(await idOf('x'.repeat(500)), 'x'.repeat(500))
  t.not(await idOf(), await idOf())
})

t.test('a client that sends half a head and waits is cut off, and one that leaves harms nobody', async (t) => {
  const { port, url } = await startGateway(t, { config: `server: { head_timeout_ms: 100 }\n${CONFIG}` })
  const half = connect(port, '127.0.0.1')
  half.write('GET /__health HT')
  half.destroy()
  const received = await sendRaw(port, 'GET /__health HTTP/1.1\r\nHo')
  t.match(parseRaw(received), { status: 408, body: /head_timeout_ms/ })
  t.equal((await fetch(`${url}/__health`)).status, 200)
})

t.test('an upgrade that nobody offers is answered as an ordinary request', async (t) => {
  const { port } = await startGateway(t, { config: CONFIG })
  const lines = (protocol: string) => ['GET /__health HTTP/1.1', 'Host: x', 'Connection: Upgrade', `Upgrade: ${protocol}`]
  const ok = /^HTTP\/1\.1 200 OK\r\n[\s\S]*\{"status":"ok"\}/
  t.match(await sendRaw(port, head(lines('h2c')), (received) => ok.test(received)), ok)
  t.match(await sendRaw(port, head(lines('websocket'))), ok, 'and the connection ends')
})

t.test('R16: a pipelined request whose connection breaks before its turn holds no generation', async (t) => {
  const slow = `export default { name: 'slow', setup (app) { app.get('/slow', () => new Promise(() => {})) } }`
  const config = 'plugins: { defaults: false, api: {}, slow: {} }\nservices: {}\n'
  const { port, gateway, configure } = await startGateway(t, { config, files: { 'plugins/slow.ts': slow } })
  const socket = connect(port, '127.0.0.1')
  socket.write(head(['GET /slow HTTP/1.1', 'Host: x']) + head(['GET /slow HTTP/1.1', 'Host: x']))
  await configure(`${config}  # changed\nshutdown: leave\n`)
  await gateway.reload()
  t.equal(gateway.generations, 2, 'the old one drains')
  socket.destroy()
  await until(() => gateway.generations === 1, 'the old generation to end')
})

t.test('Expect: 100-continue is answered before the body of an API call', async (t) => {
  const { port } = await startGateway(t, { config: CONFIG })
  const headers = [
    'POST /v1/reload HTTP/1.1',
    'Host: x',
    'Expect: 100-continue',
    'Content-Length: 2',
    'Content-Type: application/json',
  ]
  const first = await sendRaw(port, head(headers), (received) => received.includes('\r\n\r\n'))
  t.match(first, /^HTTP\/1\.1 100 Continue\r\n/)
})

t.test('checkPath refuses exactly the paths that climb above the service', async (t) => {
  const part = fc.constantFrom('a', 'b.c', '.', '..', '%2e', '%2E%2e', '.%2e', '%2e.', '', '...', '%ff')
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.constantFrom('', '?x=/../..'), (parts, query) => {
      let depth = 0
      let climbs = false
      for (const segment of parts) {
        const plain = segment.replace(/%2e/gi, '.')
        if (plain === '..') depth--
        else if (plain !== '.' && plain !== '') depth++
        climbs ||= depth < 0
      }
      let refused = false
      try {
        checkPath(`/${parts.join('/')}${query}`)
      } catch {
        refused = true
      }
      return refused === climbs
    }),
  )
  t.throws(() => checkPath('/a/..%2f../x'), { code: 'bad_path' })
  t.throws(() => checkPath('/..\\x'), { code: 'bad_path' })
  t.pass('property held')
})

t.test('the gateway ends though connections are idle, half-open or in the middle of something', async (t) => {
  const { port, gateway } = await startGateway(t, { config: CONFIG })
  const sockets = Array.from({ length: 3 }, () => connect(port, '127.0.0.1'))
  for (const socket of sockets) socket.on('error', () => undefined)
  sockets[1]?.write('GET /__health HT')
  sockets[2]?.write(head(['POST /v1/reload HTTP/1.1', 'Host: x', 'Content-Type: application/json', 'Content-Length: 10']))
  await until(() => gateway.generations === 1)
  await gateway.stop('test', AbortSignal.abort())
  await until(() => sockets.every((socket) => socket.destroyed || socket.readableEnded), 'the sockets to be closed')
  await t.rejects(fetch(`http://127.0.0.1:${port}/__health`))
  t.same(gateway.pool.keys(), [])
  for (const socket of sockets) socket.destroy()
})

t.test('a pipelined request that is refused is answered in its turn, never inside another answer', async (t) => {
  const config = 'plugins: { defaults: false, api: {}, slow: {} }\nservices: {}\n'
  const { port } = await startGateway(t, { config, files: { 'plugins/slow.ts': SLOW } })
  const first = head(['GET /slow HTTP/1.1', 'Host: x'])
  const twoHosts = await sendRaw(port, first + head(['GET /__health HTTP/1.1', 'Host: x', 'Host: y']))
  t.match(twoHosts, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nfirst halfHTTP\/1\.1 400 /)
  const broken = await sendRaw(port, `${first}GET / HTTP/1.1\r\nHost : x\r\n\r\n`)
  t.notMatch(broken, / 400 /, 'what no parser understands gets no answer while another is on its way')
})

t.test('whole requests before one that no parser understands get their answers, and whole', async (t) => {
  for (const fastLane of [true, false]) {
    const config = `server: { fast_lane: ${fastLane} }\nplugins: { defaults: false, api: {}, slow: {} }\nservices: {}\n`
    const { port } = await startGateway(t, { config, files: { 'plugins/slow.ts': SLOW } })
    const warnings: Error[] = []
    const warn = (warning: Error): number => warnings.push(warning)
    process.on('warning', warn)
    t.teardown(() => process.off('warning', warn))
    const one = head(['GET /slow HTTP/1.1', 'Host: x'])
    const received = await sendRaw(port, `${one}${one}${one}no request\r\n\r\n`)
    t.equal(received.match(/first half/g)?.length, 3, 'all that came at once')
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.on('data', (bytes) => (answer += bytes)).on('error', () => undefined)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write(one)
    await until(() => answer.endsWith('first'), 'half an answer')
    for (let i = 0; i < 20 && !answer.endsWith('half'); i++) {
      socket.write('no request\r\n\r\n')
      await new Promise((resolve) => setImmediate(resolve))
    }
    await closed
    t.match(answer, /first half(?:$|HTTP\/1\.1 501 )/, 'one that is under way')
    t.same(warnings, [])
  }
})

t.test('every error has the one shape, also those of the router and of Node', async (t) => {
  const { port, url } = await startGateway(t, { config: CONFIG })
  const shapes: [target: string, status: number, headers: string[]][] = [
    ['/v1/%zz', 400, []],
    ['/services/%zz/x', 400, []],
    [`/v1/services/${'x'.repeat(2000)}/status`, 414, []],
    ['/__health', 417, ['Expect: the-unexpected']],
  ]
  for (const [target, status, headers] of shapes) {
    const answer = parseRaw(await sendRaw(port, head([`GET ${target} HTTP/1.1`, 'Host: x', 'Connection: close', ...headers])))
    t.equal(answer.status, status, target.slice(0, 40))
    t.match(
      JSON.parse(answer.body),
      { error: /^[a-z_]+$/, message: /\w/, request_id: answer.headers['x-request-id'] },
      target.slice(0, 40),
    )
  }
  const empty = await fetch(`${url}/v1/reload`, { method: 'POST', headers: { 'content-type': 'application/json' } })
  t.equal(empty.status, 200, 'a JSON body that is not there')
})

t.test('HEAD of the event stream ends, and many offers of HTTP/2 on one connection leave nothing behind', async (t) => {
  const { port, gateway } = await startGateway(t, { config: CONFIG })
  const listeners = gateway.events.size
  const answer = await sendRaw(port, head(['HEAD /v1/events HTTP/1.1', 'Host: x', 'Connection: close']))
  t.match(parseRaw(answer), { status: 405 })
  t.equal(gateway.events.size, listeners)
  const warnings: string[] = []
  const warn = ({ name }: Error) => void warnings.push(name)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const socket = connect(port, '127.0.0.1')
  let received = ''
  socket.on('data', (chunk) => (received += String(chunk)))
  for (let n = 1; n <= 30; n++) {
    socket.write(
      head([
        'GET /__health HTTP/1.1',
        'Host: x',
        'Connection: Upgrade, HTTP2-Settings',
        'Upgrade: h2c',
        'HTTP2-Settings: AAMAAABk',
      ]),
    )
    await until(() => received.match(/200 OK/g)?.length === n, `answer ${n}`)
  }
  socket.destroy()
  t.same(warnings, [])
})
