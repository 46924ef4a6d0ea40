import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'
import { deadPort, httpUpstream, rawExchange, rawUpstream, streamUpstream } from '../helpers/upstream.ts'

const PLUGINS = 'plugins: { defaults: false, proxy: {} }'
const QUEUED = 'plugins: { defaults: false, proxy: {}, queue: {} }'
const config = (services: Record<string, unknown>, plugins = PLUGINS): string =>
  `${plugins}\nservices: ${JSON.stringify(services)}\n`
const service = (url: string, more: Record<string, unknown> = {}) => ({ base_url: url, warmup_ms: 0, ...more })
type Running = Awaited<ReturnType<typeof startGateway>>

/** Makes instances hot, as there is no queue here that would wait for them. */
const warm = async (gateway: Running): Promise<void> => {
  for (const service of gateway.gateway.services) for (const instance of service.all) await instance.start()
}
const inFlight = (gateway: Running): number =>
  [...gateway.gateway.services].flatMap((service) => [...service.all]).reduce((sum, instance) => sum + instance.inFlight, 0)
const errorOf = (text: string): { error: string; message: string; request_id: string } => JSON.parse(text)

t.test('R2 trailers that are announced where none can come are no reason to think that the service is down', async (t) => {
  const upstream = await httpUpstream(t, (_request, response, body) => response.end(body))
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await warm(gateway)
  const head = 'POST /services/up/ HTTP/1.1\r\nHost: x\r\nTrailer: X-Sum\r\nContent-Length: 5\r\nConnection: close\r\n\r\n'
  t.match(await rawExchange(gateway.port, `${head}hello`), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nhello$/s)
  t.equal(gateway.instance('up').state, 'hot')
})

t.test('R2 upstreams that misbehave: one clear error each, and nothing stays behind', async (t) => {
  const answers: Record<string, string | undefined> = {
    garbage: 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    status: 'HTTP/1.1 abc OK\r\n\r\n',
    empty: '',
    cutHead: 'HTTP/1.1 200 OK\r\nContent-Le',
    control: 'HTTP/1.1 200 OK\r\nX-A: a\u0001b\r\nContent-Length: 0\r\n\r\n',
    delete: 'HTTP/1.1 200 OK\r\nX-A: a\u007fb\r\nContent-Length: 0\r\n\r\n',
    bareCr: 'HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n',
    smuggle: 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    lengths: 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
    huge: `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`,
    switching: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
  }
  const upstream = await rawUpstream(t, (socket, first) => {
    const name = /^\w+ \/(\w+)/.exec(first)?.[1] ?? ''
    socket.end(answers[name] ?? '', 'latin1')
  })
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await warm(gateway)
  for (const name of Object.keys(answers)) {
    for (const method of ['GET', 'POST']) {
      const answer = await ask(`${gateway.url}/services/up/${name}`, { method })
      t.equal(answer.status, 502, `${method} ${name}`)
      t.match(errorOf(answer.text), {
        error: 'upstream_failed',
        message: /./,
        request_id: String,
        service: 'up',
        instance: 'default',
      })
      t.equal(answer.headers['content-type'], 'application/json; charset=utf-8')
      t.equal(answer.headers['x-request-id'], errorOf(answer.text).request_id)
    }
  }
  t.equal((await ask(`${gateway.url}/services/up/empty`, { method: 'HEAD' })).status, 502)
  await until(() => inFlight(gateway) === 0)
  t.ok(gateway.events.some((event) => event.type === 'request.failed' && event.code === 'upstream_failed'))
})

t.test('R2 an answer that breaks off is seen to break off', async (t) => {
  const bodies: Record<string, string> = {
    length: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf',
    chunked: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    badChunk: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfXX\r\nzz',
  }
  const upstream = await rawUpstream(t, (socket, first) => {
    const name = /^\w+ \/(\w+)/.exec(first)?.[1] ?? ''
    socket.write(bodies[name]!)
    setTimeout(() => socket.destroy(), 20)
  })
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await warm(gateway)
  for (const name of Object.keys(bodies)) {
    await t.rejects(ask(`${gateway.url}/services/up/${name}`), { code: 'ECONNRESET' }, name)
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(`GET /services/up/${name} HTTP/1.0\r\n\r\n`)
    socket.resume()
    const error = await new Promise((resolve) => socket.on('error', resolve).on('close', () => resolve('closed')))
    t.match(error, { code: 'ECONNRESET' }, `${name}, HTTP/1.0, where the end is all there is to see`)
  }
  await until(() => inFlight(gateway) === 0)
})

t.test('R2 too slow: 504, and the instance counts as unhealthy until it answers', async (t) => {
  let mute = true
  const upstream = await streamUpstream(t, (request, response) => {
    if (request.url === '/stall') response.write('begun')
    else if (!mute) response.end('ok')
  })
  const gateway = await startGateway(t, {
    config: config({ up: service(upstream.url, { proxy: { first_byte_timeout_ms: 60, idle_timeout_ms: 60 } }) }),
  })
  await warm(gateway)
  const answer = await ask(`${gateway.url}/services/up/`, { method: 'POST', body: 'x' })
  t.equal(answer.status, 504)
  t.match(errorOf(answer.text), { error: 'upstream_timeout', message: /first_byte_timeout_ms/ })
  t.equal(gateway.instance('up').healthy, false)
  await t.rejects(ask(`${gateway.url}/services/up/stall`), { code: 'ECONNRESET' })
  mute = false
  t.equal((await ask(`${gateway.url}/services/up/`)).status, 200)
  t.equal(gateway.instance('up').healthy, true)
  await until(() => inFlight(gateway) === 0)
})

t.test(
  'R2 nobody listens: 502; a name that nobody knows: 502; the rest of an upload is let in, and the connection goes on',
  async (t) => {
    const port = await deadPort()
    const gateway = await startGateway(t, {
      config: config({ dead: service(`http://127.0.0.1:${port}`), nowhere: service('http://nowhere.invalid') }),
    })
    await warm(gateway)
    const nowhere = await ask(`${gateway.url}/services/nowhere/`)
    t.equal(nowhere.status, 502)
    t.match(errorOf(nowhere.text), { error: 'upstream_unreachable', service: 'nowhere' })

    const socket = connect(gateway.port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.write('POST /services/dead/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4194304\r\n\r\n')
    await until(() => /^HTTP\/1\.1 502 [\s\S]*"upstream_unreachable"/.test(text))
    for (let i = 0; i < 64; i++) if (!socket.write(Buffer.alloc(64 * 1024))) await once(socket, 'drain')
    socket.write('GET /services/unknown/ HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => text.includes('HTTP/1.1 404 '), 'the next answer on the same connection')
  },
)

t.test('R9 R13 a service that went away between two requests is started anew, and nothing of the requests is lost', async (t) => {
  const first = await httpUpstream(t)
  let starts = 0
  const gateway = await startGateway(t, {
    config: config(
      { up: service(first.url, { start: { cooldown_ms: 0 } }) },
      'plugins: { defaults: false, ./starter.ts: {}, proxy: {}, queue: {} }',
    ),
    files: {
      'starter.ts': `import { definePlugin } from 'hestia'
        export default definePlugin({ name: 'starter', setup: (app) => {
          app.hestia.hook('beforeStart', () => globalThis.startUpstream())
        } })`,
    },
  })
  let second: Awaited<ReturnType<typeof httpUpstream>> | undefined
  Object.assign(globalThis, {
    startUpstream: async () => {
      if (++starts === 2) second = await httpUpstream(t, undefined, first.port)
    },
  })
  t.equal((await ask(`${gateway.url}/services/up/`)).status, 200)
  await first.close()
  const answers = await Promise.all(
    [1, 2, 3].map((n) => ask(`${gateway.url}/services/up/${n}`, { method: 'POST', body: `body ${n}` })),
  )
  for (const { status, text } of answers) t.equal(`${status} ${text}`, '200 ok')
  t.equal(starts, 2, 'one start for all')
  t.same(second?.seen.map(({ body }) => body.toString()).sort(), ['body 1', 'body 2', 'body 3'])
})

t.test('R13 a request of which nothing was sent goes to another instance at once', async (t) => {
  const port = await deadPort()
  const upstream = await httpUpstream(t, (_request, response, body) => response.end(`got ${body}`))
  const gateway = await startGateway(t, {
    config: config({
      up: {
        warmup_ms: 0,
        instances: [
          { name: 'dead', url: `http://127.0.0.1:${port}` },
          { name: 'live', url: upstream.url },
        ],
      },
    }),
  })
  await warm(gateway)
  const answer = await ask(`${gateway.url}/services/up/`, { method: 'POST', body: 'kept' })
  t.equal(answer.text, 'got kept')
  t.equal(gateway.instance('up', 'dead').healthy, false)
  t.not(gateway.instance('up', 'dead').state, 'hot')
  t.match(
    gateway.events.filter((event) => event.type === 'request.routed'),
    [{ instance: 'dead' }, { instance: 'live' }],
  )
})

t.test('R7 a start that fails leads to the fallback, once', async (t) => {
  const upstream = await httpUpstream(t, (_request, response, body) => response.end(`fallback ${body}`))
  const gateway = await startGateway(t, {
    config: config(
      { up: service(`http://127.0.0.1:${await deadPort()}`, { fallback_url: upstream.url }) },
      'plugins: { defaults: false, ./broken.ts: {}, proxy: {}, queue: {} }',
    ),
    files: {
      'broken.ts': `import { definePlugin } from 'hestia'
        export default definePlugin({ name: 'broken', setup: (app) => {
          app.hestia.hook('beforeStart', ({ instance }) => { if (instance.name !== 'fallback') throw new Error('no such program') })
        } })`,
    },
  })
  const answer = await ask(`${gateway.url}/services/up/`, { method: 'POST', body: 'kept' })
  t.equal(answer.text, 'fallback kept')
  t.match(await gateway.event('request.fallback'), { service: 'up', from: 'default', to: 'fallback', error: /no such program/ })
  t.ok(gateway.events.some((event) => event.type === 'request.routed' && event.reason === 'fallback'))
  await upstream.close()
  const none = await ask(`${gateway.url}/services/up/`)
  t.ok(none.status === 502 || none.status === 503, `${none.status}`)
})

t.test('R2 a connection that the service had closed already: a GET is sent again, a POST is not', async (t) => {
  let connections = 0
  const upstream = await rawUpstream(t, (socket, first) => {
    const sick = ++connections % 2 === 1
    if (sick) socket.destroy()
    else
      socket.end(
        `HTTP/1.1 200 OK\r\nContent-Length: ${first.split(' ')[0]!.length}\r\nConnection: close\r\n\r\n${first.split(' ')[0]}`,
      )
  })
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await warm(gateway)
  t.equal((await ask(`${gateway.url}/services/up/`)).text, 'GET')
  t.equal(connections, 2)
  t.equal((await ask(`${gateway.url}/services/up/`, { method: 'POST', body: 'x' })).status, 502)
  t.equal(connections, 3)
})

t.test('R2 clients that misbehave', async (t) => {
  const upstream = await httpUpstream(t)
  const gateway = await startGateway(t, { config: config({ up: service(`${upstream.url}/base`) }) })
  await warm(gateway)
  const status = async (target: string, headers = '') => {
    const text = await rawExchange(gateway.port, `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${headers}\r\n`)
    return `${/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]} ${/"error":"(\w+)"/.exec(text)?.[1] ?? ''}`.trim()
  }
  for (const path of ['/..', '/../x', '/a/../../x', '/%2e%2e/x', '/%2E./x', '/a/..%2f..%2fx', '/..%5cx', '/a%2f..%2f../x'])
    t.equal(await status(`/services/up${path}`), '400 bad_path', path)
  t.equal(upstream.seen.length, 0)
  for (const path of ['//host/x', '/%ff', '/%', '/a/../b', '/...', '/a..b', '/?a=../..']) {
    t.equal(await status(`/services/up${path}`), '200', path)
    t.equal(upstream.seen.at(-1)?.url, `/base${path}`)
  }
  t.equal(await status('/services/nobody/x'), '404 unknown_service')
  t.match(await status('/services/%ff/x'), /^40[04]/)
  t.equal(await status('http://other.example/services/up/x'), '200')
  t.match(await status('/services/up/x', 'X-A: a\u0000b\r\n'), /^400/)
  t.match(await status('/services/up/x', 'X A: b\r\n'), /^400/)
  t.match(await status('/services/up/x', 'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n'), /^400/)
})

t.test('R2 clients that leave: while they send, wait, or read, and in a pipeline', async (t) => {
  const upstream = await streamUpstream(t, (request, response) => {
    if (request.url === '/drip') response.write('begun')
    else request.resume()
  })
  let resets = 0
  upstream.server.on('connection', (socket) => socket.on('close', () => resets++))
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }, QUEUED) })
  const instance = gateway.instance('up')
  const leave = async (bytes: string, leases: number) => {
    const before = resets
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(bytes)
    await until(() => instance.inFlight === leases && upstream.server.listenerCount('request') > 0)
    await until(async () => new Promise((resolve) => upstream.server.getConnections((_, count) => resolve(count >= leases))))
    socket.destroy()
    await until(() => instance.inFlight === 0, `the lease of ${bytes.split('\r')[0]}`)
    await until(() => resets >= before + leases, 'the service to be told')
  }
  await leave('GET /services/up/silent HTTP/1.1\r\nHost: a\r\n\r\n', 1)
  await leave('GET /services/up/drip HTTP/1.1\r\nHost: a\r\n\r\n', 1)
  await leave('POST /services/up/upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc', 1)
  await leave('POST /services/up/upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', 1)
  await leave('GET /services/up/silent HTTP/1.1\r\nHost: a\r\n\r\nGET /services/up/silent HTTP/1.1\r\nHost: a\r\n\r\n', 2)
})

t.test('R5 R6 a client that leaves while it waits is forgotten, and its start goes on', async (t) => {
  const upstream = await httpUpstream(t)
  const gateway = await startGateway(t, {
    config: config({ up: service(upstream.url) }, 'plugins: { defaults: false, ./slow.ts: {}, proxy: {}, queue: {} }'),
    files: {
      'slow.ts': `import { definePlugin } from 'hestia'
        export default definePlugin({ name: 'slow', setup: (app) => {
          app.hestia.hook('beforeStart', () => new Promise((resolve) => { globalThis.goOn = resolve }))
        } })`,
    },
  })
  const instance = gateway.instance('up')
  const socket = connect(gateway.port, '127.0.0.1')
  socket.write('GET /services/up/ HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => instance.waiting === 1)
  socket.destroy()
  await until(() => instance.waiting === 0)
  t.equal(instance.state, 'starting')
  ;(globalThis as unknown as { goOn(): void }).goOn()
  await until(() => instance.state === 'hot')
  t.equal(upstream.seen.length, 0)
  t.equal(instance.inFlight, 0)
})

t.test('R2 an answer that comes before the whole request', async (t) => {
  const upstream = await rawUpstream(t, (socket) => {
    socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!')
    socket.resume()
  })
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await warm(gateway)
  const upload = http.request(`${gateway.url}/services/up/`, { method: 'POST', agent: false })
  upload.on('error', () => undefined)
  upload.write('some')
  const [response] = (await once(upload, 'response')) as [IncomingMessage]
  t.equal(response.statusCode, 413)
  t.equal(String((await once(response, 'data'))[0]), 'no!')
  upload.end('more')
  await until(() => inFlight(gateway) === 0)
})
