import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { startGateway } from '../helpers/gateway.ts'
import { ask, valuesOf } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream, rawExchange, rawUpstream, streamUpstream } from '../helpers/upstream.ts'

const PLUGINS = 'plugins: { defaults: false, proxy: {} }'
const config = (services: Record<string, unknown>, plugins = PLUGINS): string =>
  `${plugins}\nservices: ${JSON.stringify(services)}\n`
const service = (url: string, more: Record<string, unknown> = {}) => ({ base_url: url, warmup_ms: 0, ...more })

/** Makes the instance hot, as there is no queue here that would wait for it. */
const warm = (gateway: Awaited<ReturnType<typeof startGateway>>, id = 'up', name?: string) => gateway.instance(id, name).start()

t.test('R2 what the client asks reaches the service unchanged', async (t) => {
  const upstream = await httpUpstream(t)
  const based = await httpUpstream(t)
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url), based: service(`${based.url}/base/`) }) })
  await warm(gateway)
  await warm(gateway, 'based')
  const at = `${gateway.url}/services/up`

  t.test('every method that Node can parse', async (t) => {
    for (const method of http.METHODS.filter((name) => name !== 'CONNECT')) {
      const answer = await ask(`${at}/m`, { method })
      t.equal(answer.status, 200, method)
      t.equal(upstream.seen.at(-1)?.method, method)
    }
  })

  t.test('paths and queries byte for byte', async (t) => {
    const targets = [
      '/',
      '/a%2Fb',
      '/a%20b?',
      '/?',
      '/?a=%2F&b=?&&',
      '/%ff',
      '/%',
      '/%zz',
      '//double//slash',
      '/a;b=c,d|e"f',
      '/./a/../b',
    ]
    const { text } = await ask(`${gateway.url}/%73ervice%53/up/a`.replace('%53', '%73'))
    t.same([text, upstream.seen.at(-1)?.url], ['ok', '/a'], 'letters that are encoded are the same letters')
    for (const target of targets) {
      const answer = await ask(at, { path: `/services/up${target}` })
      t.equal(answer.status, 200, target)
      t.equal(upstream.seen.at(-1)?.url, target)
    }
    await ask(gateway.url, { path: `http://any.where/services/up/absolute?x` })
    t.equal(upstream.seen.at(-1)?.url, '/absolute?x', 'a target in absolute form')
    await ask(gateway.url, { path: `/services/based/x/%2e?y` })
    t.equal(based.seen.at(-1)?.url, '/base/x/%2e?y', 'joined to the path of base_url')
  })

  t.test('headers in their order, duplicates and cases included, without those of the connection', async (t) => {
    const answer = await ask(`${at}/h`, {
      headers: [
        ...['Host', 'gw.example:81', 'X-B', '2', 'x-a', '1', 'X-B', '3', 'Connection', 'close, X-Mine', 'X-Mine', 'secret'],
        ...['Keep-Alive', 'timeout=9', 'Proxy-Connection', 'close', 'TE', 'gzip, trailers', 'Proxy-Authorization', 'Basic x'],
        ...[
          'X-Forwarded-For',
          '1.2.3.4',
          'Via',
          '1.0 fred',
          'Authorization',
          'Bearer y',
          'Cookie',
          'a=1',
          'Cookie',
          'b=2',
          'X-Latin',
          'caf\u00e9',
        ],
      ],
    })
    t.equal(answer.status, 200)
    const { rawHeaders, headers } = upstream.seen.at(-1)!
    const own = rawHeaders.filter((_, i) => i % 2 === 0).filter((name) => /^x-[ab]$/i.test(name))
    t.same(own, ['X-B', 'x-a', 'X-B'])
    t.same(valuesOf(rawHeaders, 'x-b'), ['2', '3'])
    t.same(valuesOf(rawHeaders, 'cookie'), ['a=1', 'b=2'])
    t.equal(headers['x-latin'], 'caf\u00e9')
    t.equal(headers.te, 'trailers')
    t.equal(headers.authorization, 'Bearer y')
    for (const name of ['x-mine', 'keep-alive', 'proxy-connection', 'proxy-authorization']) t.notHas(headers, name)
    t.equal(headers.host, `127.0.0.1:${upstream.port}`)
    t.match(headers.via, /^1\.0 fred, 1\.1 hestia-[0-9a-f]{8}$/)
    t.equal(headers['x-forwarded-for'], '1.2.3.4, 127.0.0.1')
    t.equal(headers['x-forwarded-host'], 'gw.example:81')
    t.equal(headers['x-forwarded-proto'], 'http')
    t.equal(headers['x-forwarded-prefix'], '/services/up')
    t.notHas(headers, 'forwarded')
  })

  t.test('bodies: with a length, chunked, empty, of a GET; a media type that makes no sense', async (t) => {
    const post = await ask(`${at}/b`, { method: 'POST', body: 'hello', headers: { 'content-length': 5 } })
    t.equal(post.status, 200)
    t.match(upstream.seen.at(-1), { body: Buffer.from('hello'), headers: { 'content-length': '5' } })
    await ask(`${at}/b`, { method: 'PUT', body: 'hello', headers: { 'transfer-encoding': 'chunked' } })
    t.match(upstream.seen.at(-1), { body: Buffer.from('hello'), headers: { 'transfer-encoding': 'chunked' } })
    await ask(`${at}/b`, { method: 'POST', headers: { 'content-length': 0 } })
    t.match(upstream.seen.at(-1), { body: Buffer.alloc(0), headers: { 'content-length': '0' } })
    await ask(`${at}/b`, { method: 'GET', body: 'hello', headers: { 'content-length': 5 } })
    t.match(upstream.seen.at(-1), { method: 'GET', body: Buffer.from('hello') })
    await ask(`${at}/b`)
    t.notHas(upstream.seen.at(-1)!.headers, 'content-length')
    t.notHas(upstream.seen.at(-1)!.headers, 'transfer-encoding')
    for (const type of ['', 'nonsense', 'text/', 'multipart/form-data; boundary=a']) {
      await ask(`${at}/b`, { method: 'POST', body: '{', headers: { 'content-type': type } })
      t.equal(upstream.seen.at(-1)?.headers['content-type'], type)
    }
  })

  t.test('the bare name of a service leads to its root', async (t) => {
    const answer = await ask(`${gateway.url}/services/up?a=1`, { method: 'POST' })
    t.equal(answer.status, 308)
    t.equal(answer.headers.location, '/services/up/?a=1')
  })
})

t.test('what plugins change in the headers for a service', async (t) => {
  const upstream = await httpUpstream(t)
  const gateway = await startGateway(t, {
    config: config({ up: service(upstream.url) }, 'plugins: { defaults: false, editor: {}, proxy: {} }'),
    files: {
      'plugins/editor.ts': `import { definePlugin, editHeader } from 'hestia'
        export default definePlugin({ name: 'editor', setup (app) {
          app.addHook('onRequest', async (request) => {
            editHeader(request, 'X-Secret', undefined)
            editHeader(request, 'x-trace', 'mine')
            editHeader(request, 'x-count', 7)
            if (request.headers['x-bad']) editHeader(request, 'x-bad', null)
          })
        } })`,
    },
  })
  await warm(gateway)
  await ask(`${gateway.url}/services/up/`, { headers: { 'x-secret': ['a', 'b'], 'X-Trace': 'theirs', 'x-other': 'c' } })
  const { headers } = upstream.seen.at(-1)!
  t.equal(headers['x-secret'], undefined, 'withheld')
  t.equal(headers['x-trace'], 'mine', 'replaced')
  t.equal(headers['x-count'], '7')
  t.match(await ask(`${gateway.url}/services/up/`, { headers: { 'x-bad': '1' } }), { status: 500 }, 'what is no text is refused')
  t.equal(headers['x-other'], 'c', 'all else as it came')
})

t.test('R2 what the service answers reaches the client unchanged', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    switch (request.url) {
      case '/reason':
        response.writeHead(299, 'Rather Odd', ['X-A', '1', 'x-b', '2', 'X-A', '3', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'])
        response.end('x')
        break
      case '/hop':
        response.writeHead(200, [
          'Connection',
          'X-Mine',
          'X-Mine',
          '1',
          'Keep-Alive',
          'timeout=77',
          'Proxy-Authenticate',
          'Basic',
          'Via',
          '1.1 x',
        ])
        response.end('x')
        break
      case '/trailers':
        response.writeHead(200, { trailer: 'X-Sum' })
        response.write('part')
        response.addTrailers({ 'X-Sum': '42' })
        response.end()
        break
      case '/304':
        response.writeHead(304, { etag: '"1"', 'content-length': 1234 }).end()
        break
      case '/204':
        response.writeHead(204).end()
        break
      case '/gzip':
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'text/plain' }).end(gzipSync('zipped'))
        break
      case '/hints':
        response.writeEarlyHints({ link: '</a.css>; rel=preload' })
        response.writeProcessing()
        response.end('done')
        break
      case '/id':
        response.writeHead(200, { 'x-request-id': 'mine' }).end()
        break
      default:
        response.writeHead(200, { 'content-length': 5, 'x-method': request.method }).end('hello')
    }
  })
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await warm(gateway)
  const at = `${gateway.url}/services/up`

  const odd = await ask(`${at}/reason`)
  t.equal(`${odd.status} ${odd.reason}`, '299 Rather Odd')
  t.same(valuesOf(odd.raw, 'x-a'), ['1', '3'])
  t.same(valuesOf(odd.raw, 'set-cookie'), ['a=1', 'b=2'])
  t.ok(odd.raw.includes('x-b'), 'in the case it was sent')
  t.match(odd.headers.via, /^1\.1 hestia-[0-9a-f]{8}$/)
  t.ok(odd.headers['x-request-id'])

  const hop = await ask(`${at}/hop`)
  for (const name of ['x-mine', 'proxy-authenticate']) t.notHas(hop.headers, name)
  t.not(hop.headers['keep-alive'], 'timeout=77')
  t.match(hop.headers.via, /^1\.1 x, 1\.1 hestia-/)

  const trailers = await ask(`${at}/trailers`)
  t.equal(trailers.text, 'part')
  t.same(trailers.trailers, { 'x-sum': '42' })
  t.equal(trailers.headers.trailer, 'X-Sum')

  const head = await ask(`${at}/`, { method: 'HEAD' })
  t.match(head, { status: 200, text: '', headers: { 'content-length': '5', 'x-method': 'HEAD' } })
  t.match(await ask(`${at}/304`), { status: 304, text: '', headers: { etag: '"1"', 'content-length': '1234' } })
  t.match(await ask(`${at}/204`), { status: 204, text: '' })
  t.match(await ask(`${at}/`), { status: 200, text: 'hello' }, 'and the connection is still good')
  t.equal((await ask(`${at}/gzip`)).body.toString('hex'), gzipSync('zipped').toString('hex'))
  t.equal((await ask(`${at}/id`)).headers['x-request-id'], 'mine')

  const hints = await rawExchange(gateway.port, 'GET /services/up/hints HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  t.match(
    hints,
    /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 102 Processing\r\n\r\nHTTP\/1\.1 200 OK\r\n/i,
  )

  const old = await rawExchange(gateway.port, 'GET /services/up/trailers HTTP/1.0\r\n\r\n')
  t.match(old, /\r\n\r\npart$/, 'HTTP/1.0 gets no chunks')
  const oldHints = await rawExchange(gateway.port, 'GET /services/up/hints HTTP/1.0\r\n\r\n')
  t.match(oldHints, /^HTTP\/1\.1 200 OK/, 'and no 1xx')
})

t.test('R2 streams both ways without gathering', async (t) => {
  let events!: http.ServerResponse
  const upstream = await streamUpstream(t, (request, response) => {
    if (request.url === '/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.flushHeaders()
      events = response
    } else if (request.url === '/echo') {
      response.writeHead(200)
      request.pipe(response)
    }
  })
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await warm(gateway)
  const instance = gateway.instance('up')

  t.test('server-sent events one by one; a client that leaves is noticed by the service at once', async (t) => {
    const request = http.get(`${gateway.url}/services/up/events`, { agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    t.equal(response.headers['content-type'], 'text/event-stream', 'the head comes before the first event')
    const [lease] = instance.leases
    t.equal(lease?.kind, 'stream')
    for (let i = 0; i < 3; i++) {
      const before = lease!.lastByteAt
      events.write(`data: ${i}\n\n`)
      const [chunk] = (await once(response, 'data')) as [Buffer]
      t.equal(chunk.toString(), `data: ${i}\n\n`)
      t.ok(lease!.lastByteAt > before, 'and counts as activity')
    }
    const closed = once(events, 'close')
    request.destroy()
    await closed
    await until(() => instance.inFlight === 0)
  })

  t.test('an upload is passed on while it lasts', async (t) => {
    const request = http.request(`${gateway.url}/services/up/echo`, { method: 'POST', agent: false })
    request.write('one')
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    t.equal(String((await once(response, 'data'))[0]), 'one')
    request.write('two')
    t.equal(String((await once(response, 'data'))[0]), 'two')
    request.end()
    await once(response, 'end')
  })
})

t.test('R2 100 MiB up and down with flat memory and slow readers', async (t) => {
  const SIZE = 100 * 1024 * 1024
  const chunk = Buffer.alloc(256 * 1024, 'x')
  let produced = 0
  const upstream = await streamUpstream(t, (request, response) => {
    if (request.method === 'POST') {
      const hash = createHash('sha1')
      let size = 0
      request.on('data', (part: Buffer) => {
        size += part.length
        hash.update(part)
      })
      request.on('end', () => response.end(`${size} ${hash.digest('hex')}`))
      return
    }
    response.writeHead(200, { 'content-length': SIZE })
    const more = () => {
      while (produced < SIZE) {
        produced += chunk.length
        if (!response.write(chunk)) {
          response.once('drain', more)
          return
        }
      }
      response.end()
    }
    more()
  })
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await warm(gateway)
  let peak = 0
  const sample = () => {
    peak = Math.max(peak, process.memoryUsage().arrayBuffers)
  }
  const base = process.memoryUsage().arrayBuffers

  const down = http.get(`${gateway.url}/services/up/`, { agent: false })
  const [response] = (await once(down, 'response')) as [IncomingMessage]
  let last = -1
  await until(async () => {
    const stalled = produced === last && produced > 0
    last = produced
    await new Promise((resolve) => setTimeout(resolve, 50))
    return stalled
  }, 'the service to be held up by a client that does not read')
  t.ok(produced < SIZE / 2, `back-pressure: only ${produced} bytes were produced`)
  let received = 0
  response.on('data', (part: Buffer) => {
    received += part.length
    sample()
  })
  await once(response, 'end')
  t.equal(received, SIZE)

  const hash = createHash('sha1')
  const up = http.request(`${gateway.url}/services/up/`, { method: 'POST', agent: false })
  for (let sent = 0; sent < SIZE; sent += chunk.length) {
    hash.update(chunk)
    sample()
    if (!up.write(chunk)) await once(up, 'drain')
  }
  up.end()
  const [answer] = (await once(up, 'response')) as [IncomingMessage]
  t.equal(String((await once(answer, 'data'))[0]), `${SIZE} ${hash.digest('hex')}`)
  // Garbage that was not collected yet counts too; a body that is held whole would show all the same.
  t.ok(peak - base < SIZE * 0.95, `held ${Math.round((peak - base) / 1e6)} MB more at most`)
})

t.test('R2 trailers of a request reach the service', async (t) => {
  const seen: unknown[] = []
  const upstream = await httpUpstream(t, (request, response, body) => {
    seen.push([request.headers.trailer, request.rawTrailers, String(body)])
    response.end('ok')
  })
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await warm(gateway)
  const { port } = new URL(gateway.url)
  const request = http.request({
    port,
    path: '/services/up/',
    method: 'POST',
    agent: false,
    headers: { trailer: 'X-Sum', te: 'trailers' },
  })
  request.write('one ')
  request.addTrailers([['X-Sum', '42']])
  request.end('two')
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  t.equal(response.statusCode, 200)
  response.resume()
  t.same(seen.at(-1), ['X-Sum', ['X-Sum', '42'], 'one two'])
})

t.test('R2 Expect: 100-continue', async (t) => {
  const taking = await httpUpstream(t, (_request, response, body) => response.end(`got ${body.length}`))
  const refusing = await rawUpstream(t, (socket) => {
    socket.write('HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nno!!')
  })
  const ignorant = await rawUpstream(t, (socket) => {
    socket.on('data', (body) =>
      socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
    )
  })
  const services = { up: service(taking.url), no: service(refusing.url), mute: service(ignorant.url) }
  const gateway = await startGateway(t, { config: config(services) })
  for (const id of Object.keys(services)) await warm(gateway, id)
  const talk = async (id: string) => {
    const socket = connect(gateway.port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.write(
      `POST /services/${id}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`,
    )
    const closed = once(socket, 'close')
    await until(() => text.includes('\r\n\r\n'))
    if (text.startsWith('HTTP/1.1 100')) socket.write('hello')
    await closed
    return text
  }
  t.match(await talk('up'), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*got 5$/)
  t.match(await talk('no'), /^HTTP\/1\.1 413 Too Much\r\n[\s\S]*no!!$/)
  t.match(await talk('mute'), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*hello$/)
  t.match(await talk('unknown'), /^HTTP\/1\.1 404 /)
  await until(() => Object.keys(services).every((id) => gateway.instance(id).inFlight === 0))
})

t.test('R3 a web UI under the prefix, and at the root of its own host name', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    response.writeHead(302, [
      ...['Location', `http://127.0.0.1:${upstream.port}/login?next=/a`, 'Content-Location', '/doc', 'Refresh', '3; url=/soon'],
      ...['Set-Cookie', 'sid=1; Path=/; HttpOnly', 'Set-Cookie', 'x=2; Path=/app; Domain=127.0.0.1', 'Set-Cookie', 'y=3'],
    ])
    response.end(request.headers['x-forwarded-prefix'])
  })
  const gateway = await startGateway(t, {
    config: config({
      up: service(upstream.url, { hosts: ['up.home'] }),
      plain: service(upstream.url, { proxy: { rewrite_location: false } }),
    }),
  })
  await warm(gateway)
  await warm(gateway, 'plain')
  const answer = await ask(`${gateway.url}/services/up/`, { headers: { host: 'gw.example' } })
  t.equal(answer.text, '/services/up')
  t.match(answer.headers, {
    location: '/services/up/login?next=/a',
    'content-location': '/services/up/doc',
    refresh: '3; url=/services/up/soon',
    'set-cookie': ['sid=1; Path=/services/up/; HttpOnly', 'x=2; Path=/services/up/app', 'y=3'],
  })
  const root = await ask(`${gateway.url}/`, { headers: { host: 'UP.home:8080' } })
  t.equal(root.text, '')
  t.match(root.headers, { location: '/login?next=/a', 'content-location': '/doc' })
  const untouched = await ask(`${gateway.url}/services/plain/`)
  t.match(untouched.headers, { location: `http://127.0.0.1:${upstream.port}/login?next=/a`, 'content-location': '/doc' })
})

t.test('R2 host: client, forwarded: true, and headers that hooks of other plugins have set', async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.writeHead(200, { 'x-both': 'service' }).end())
  const gateway = await startGateway(t, {
    config: config(
      { up: service(upstream.url, { proxy: { host: 'client', forwarded: true } }) },
      'plugins: { defaults: false, ./mark.ts: {}, proxy: {} }',
    ),
    files: {
      'mark.ts': `import fp from 'fastify-plugin'
        export default fp(async (app) => {
          app.addHook('onRequest', async (request, reply) => {
            reply.header('x-both', 'hook').header('x-hook', '1')
            if (request.headers['x-raw']) reply.raw.setHeader('x-raw', '2')
          })
        })`,
    },
  })
  await warm(gateway)
  const answer = await ask(`${gateway.url}/services/up/`, { headers: { host: 'gw.example:8080', forwarded: 'for=9.9.9.9' } })
  t.match(answer.headers, { 'x-both': 'service', 'x-hook': '1' })
  t.match(upstream.seen.at(-1)?.headers, {
    host: 'gw.example:8080',
    forwarded: 'for=9.9.9.9, for=127.0.0.1;host="gw.example:8080";proto=http',
  })
  const raw = await ask(`${gateway.url}/services/up/`, { headers: { 'x-raw': '1' } })
  t.match(raw.headers, { 'x-both': 'service', 'x-hook': '1', 'x-raw': '2' })
})

t.test('R2 508 when the own Via comes back; two gateways in a row are no loop', async (t) => {
  const upstream = await httpUpstream(t)
  const inner = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await warm(inner)
  const outer = await startGateway(t, { config: config({ chain: service(`${inner.url}/services/up`) }) })
  await warm(outer, 'chain')
  const answer = await ask(`${outer.url}/services/chain/deep?x`)
  t.equal(answer.status, 200)
  const { headers, url } = upstream.seen.at(-1)!
  t.equal(url, '/deep?x')
  t.match(headers.via, /^1\.1 (hestia-\w+), 1\.1 (?!\1)hestia-\w+$/)
  t.equal(headers['x-forwarded-prefix'], '/services/chain/services/up')
  const loop = await ask(`${outer.url}/services/chain/`, { headers: { via: headers.via! } })
  t.equal(loop.status, 508)
  t.match(JSON.parse(loop.text), { error: 'loop_detected', request_id: String })
})

t.test('R16 connections of services that are gone are closed, those in use stay', async (t) => {
  const one = await httpUpstream(t)
  const two = await httpUpstream(t)
  const gateway = await startGateway(t, { config: config({ one: service(one.url), two: service(two.url) }) })
  await warm(gateway, 'one')
  await warm(gateway, 'two')
  const open = (upstream: typeof one) =>
    new Promise<number>((resolve) => upstream.server.getConnections((_, count) => resolve(count)))
  await ask(`${gateway.url}/services/one/`)
  await ask(`${gateway.url}/services/two/`)
  t.same([await open(one), await open(two)], [1, 1])
  await gateway.configure(config({ two: service(two.url) }))
  await gateway.event('generation.retired')
  await until(async () => (await open(one)) === 0, 'the connection to the removed service to be closed')
  t.equal((await ask(`${gateway.url}/services/two/`)).status, 200)
  t.equal((await ask(`${gateway.url}/services/one/`)).status, 404)
})
