import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { definePlugin, HestiaError, type PluginDefinition } from '../../core/index.ts'
import type { Lease } from '../../core/instances/lease.ts'
import { pauseAfter } from '../../core/probing.ts'
import health from '../../plugins/health/index.ts'
import { missingReadiness } from '../../plugins/health/rule.ts'
import idle from '../../plugins/idle.ts'
import { statusMatcher } from '../../schemas/status-list.ts'
import { startGateway } from '../helpers/gateway.ts'
import { type GivenService, PluginWorld, view } from '../helpers/plugin-world.ts'
import { until } from '../helpers/until.ts'

type Tap = { teardown(fn: () => unknown): void }

async function listen<S extends Server | TcpServer>(t: Tap, server: S): Promise<{ server: S; port: number; url: string }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return { server, port, url: `http://127.0.0.1:${port}` }
}

const serve = (t: Tap, handler: (request: IncomingMessage, response: ServerResponse) => void) => listen(t, createServer(handler))

async function makeWorld(t: Tap, plugin: typeof health, service: GivenService) {
  const world = new PluginWorld()
  await world.generation([plugin], { svc: service })
  t.teardown(async () => {
    await world.end()
    if (world.pool.keys().length > 0) throw new Error('something is still kept')
  })
  return { world, instance: world.instance() }
}

const at = (url: string, section: Record<string, unknown>): GivenService => ({
  instances: [{ name: 'one', url }],
  sections: { health: section },
})

t.test(
  'R8 an instance is ready when its health URL answers; asked at once, then after pauses that grow from 10 to 250 ms',
  async (t) => {
    const times: number[] = []
    const { url } = await serve(t, (_, response) => {
      times.push(performance.now())
      response.writeHead(times.length < 12 ? 503 : 200).end()
    })
    const { instance, world } = await makeWorld(t, health, at(url, { url: '/ready' }))
    const beganAt = performance.now()
    await instance.start()
    t.equal(times.length, 12)
    const gaps = times.map((time, index) => time - (times[index - 1] ?? beganAt))
    for (const [index, gap] of gaps.slice(1).entries()) {
      t.ok(gap >= pauseAfter(times[index]! - beganAt) - 2, `pause ${index + 1} was ${gap} ms`)
    }
    t.same([0, 100, 1000, 60_000].map(pauseAfter), [10, 10, 40, 250])
    const progress = world.seen.filter(({ type }) => type === 'instance.progress')
    t.match(progress, [{ note: `${url}/ready answers: status 503` }], 'the same again is no progress')
  },
)

t.test('R8 a service that comes up late is seen at once, however long nothing listened', async (t) => {
  const { port, server } = await serve(t, () => undefined)
  await new Promise((resolve) => server.close(resolve))
  const { instance, world } = await makeWorld(t, health, at(`http://127.0.0.1:${port}`, { url: '/' }))
  const started = instance.start()
  await until(() => world.seen.some((event) => event.type === 'instance.progress' && event.note.includes('ECONNREFUSED')))
  const late = createServer((_, response) => response.end())
  await new Promise<void>((resolve) => late.listen(port, '127.0.0.1', resolve))
  t.teardown(() => late.close())
  await started
  t.equal(instance.state, 'hot')
})

t.test(
  'R8 what a probe sends: GET with the right Host, below the path of the instance, over a connection of its own',
  async (t) => {
    const requests: (string | undefined)[][] = []
    let answer = 500
    let connections = 0
    const { url, port, server } = await serve(t, ({ method, url, headers }, response) => {
      requests.push([method, url, headers.host])
      response.writeHead(answer, { location: '/elsewhere' }).end('x'.repeat(100_000))
      answer = 302
    })
    server.on('connection', () => connections++)
    const { instance } = await makeWorld(t, health, at(`${url}/base/`, { url: '/api/tags?x=%2F' }))
    await instance.start()
    t.same(requests, [
      ['GET', '/base/api/tags?x=%2F', `127.0.0.1:${port}`],
      ['GET', '/base/api/tags?x=%2F', `127.0.0.1:${port}`],
    ])
    t.equal(connections, 2)
    await until(() => new Promise<boolean>((resolve) => server.getConnections((_, count) => resolve(count === 0))))
  },
)

t.test('R8 health.status says which answers count; an absolute URL may lie elsewhere; redirects are not followed', async (t) => {
  const paths: (string | undefined)[] = []
  const { url } = await serve(t, ({ url }, response) => {
    paths.push(url)
    response.writeHead([302, 418, 204][paths.length - 1]!, { location: '/other' }).end()
  })
  const { instance } = await makeWorld(t, health, at('http://127.0.0.1:1', { url: `${url}/x`, status: [204, '500-510'] }))
  await instance.start()
  t.same(paths, ['/x', '/x', '/x'])
})

t.test('R8 status lists hold single ones and ranges', async () => {
  const status = fc.integer({ min: 100, max: 599 })
  fc.assert(
    fc.property(status, fc.array(fc.oneof(status, fc.tuple(status, status)), { minLength: 1 }), (asked, list) => {
      const matches = statusMatcher(list.map((entry) => (Array.isArray(entry) ? entry.join('-') : entry)))
      const expected = list.some((entry) => (Array.isArray(entry) ? asked >= entry[0] && asked <= entry[1] : asked === entry))
      return matches(asked) === expected
    }),
  )
})

t.test('R8 with health.tcp a connection that is accepted is enough', async (t) => {
  const { port } = await listen(
    t,
    createTcpServer((socket) => socket.on('error', () => undefined).destroy()),
  )
  const { instance } = await makeWorld(t, health, at(`http://127.0.0.1:${port}`, { tcp: true }))
  await instance.start()
  t.equal(instance.state, 'hot')
})

t.test('R8 one probe takes no longer than health.timeout_ms', async (t) => {
  let asked = 0
  const { url } = await serve(t, (_, response) => {
    if (++asked >= 3) response.end()
  })
  const { instance, world } = await makeWorld(t, health, at(url, { url: '/', timeout_ms: 30 }))
  await instance.start()
  t.ok(asked >= 3)
  t.match(
    world.seen.find(({ type }) => type === 'instance.progress'),
    { note: /no answer within 30 ms/ },
  )
})

t.test('R8 probing ends with the attempt: at its timeout, when the child dies, when it is stopped', async (t) => {
  let asked = 0
  const { url, server } = await serve(t, () => asked++)
  const isQuiet = () => new Promise<boolean>((resolve) => server.getConnections((_, count) => resolve(count === 0)))
  const service = { ...at(url, { url: '/', timeout_ms: 60_000 }), start: { timeout_ms: 300, cooldown_ms: 0 } }
  const { instance, world } = await makeWorld(t, health, service)
  await t.rejects(instance.start(), { message: /not ready within 300 ms/ })
  await until(isQuiet, 'the connection to be closed')
  t.equal(asked, 1)

  await world.generation([health], { svc: { ...service, start: { cooldown_ms: 0 } } })
  const dying = instance.start()
  await until(() => asked === 2)
  instance.crashed(new Error('exit code 1'))
  await t.rejects(dying, { message: /exit code 1/ })
  await until(isQuiet, 'the connection to be closed')

  await world.generation([health], { svc: { ...at('http://127.0.0.1:1', { url: '/' }) } })
  const stopped = instance.start()
  await until(() => world.seen.some((event) => event.type === 'instance.progress' && event.note.includes('ECONNREFUSED')))
  await instance.stop('manual')
  await t.rejects(stopped, { code: 'start_failed' })
})

t.test('R8 without a probe, warmup_ms is waited for', async (t) => {
  const { instance, world } = await makeWorld(t, health, { warmup_ms: 60 })
  const beganAt = performance.now()
  await instance.start()
  t.ok(performance.now() - beganAt >= 59)
  await instance.stop('manual')
  await world.generation([health], { svc: { warmup_ms: 60_000 } })
  const waiting = instance.start()
  const ended = t.rejects(waiting, { code: 'start_failed' })
  t.equal(await instance.stop('manual'), true)
  await ended
})

t.test('R7 what is nothing but a fallback is not asked whether it is ready', async (t) => {
  const fallback = { name: 'fallback', url: 'http://127.0.0.1:1', weight: 1, sections: { health: { url: '/', status: [200] } } }
  const { world } = await makeWorld(t, health, { warmup_ms: 60_000, fallback })
  await world.instance('fallback').start()
  t.equal(world.instance('fallback').state, 'hot')
})

t.test('R8 a service of which nothing says when it is ready is refused', async (t) => {
  const reporter = { name: 'docker', starter: { reportsReadiness: true }, setup: () => undefined } satisfies PluginDefinition
  const blind = { name: 'process', starter: { reportsReadiness: false }, setup: () => undefined } satisfies PluginDefinition
  const problems = async (services: Record<string, GivenService>) => {
    const world = new PluginWorld()
    await world.generation([health], services)
    const found: string[] = []
    missingReadiness(world.current.app.hestia.config, (path, message) => found.push(`${path.join('.')}: ${message}`), [
      reporter,
      blind,
    ])
    await world.end()
    return found
  }
  t.same(
    await problems({
      asked: { sections: { health: { url: '/' } } },
      tcp: { sections: { health: { tcp: true } } },
      warm: { warmup_ms: 0 },
      docker: { named: ['docker'] },
      each: { instances: [{ name: 'a', sections: { health: { url: '/' } } }] },
    }),
    [],
  )
  const [none, process, one, ...more] = await problems({
    none: {},
    process: { named: ['process'] },
    one: { instances: [{ name: 'a', sections: { health: { url: '/' } } }, { name: 'b' }] },
  })
  t.same(more, [])
  t.match(none, /^services\.none: nothing says when it is ready: add "health: \{ url: \/path \}", .* or "warmup_ms"/)
  t.match(process, /^services\.process: /)
  t.match(one, /^services\.one: .*\(instance b\)/)
})

t.test('R13 a hot instance that was marked unhealthy is probed until it answers well again, and only then', async (t) => {
  let status = 500
  let asked = 0
  const { url } = await serve(t, (_, response) => {
    asked++
    response.writeHead(status).end()
  })
  const service = at(url, { url: '/', interval_ms: 10, healthy_after: 2, status: ['200-399', 500] })
  const { instance, world } = await makeWorld(t, health, service)
  await instance.start()
  asked = 0
  await sleep(40)
  t.equal(asked, 0, 'nobody asks while all is well')
  const old = world.current
  await world.generation([health], { svc: at(url, { url: '/', interval_ms: 10, healthy_after: 2 }) })
  await old.retire()
  instance.setHealth(false, 'a request failed')
  await until(() => asked >= 3)
  t.equal(instance.healthy, false)
  status = 200
  const before = asked
  await until(() => instance.healthy)
  t.ok(asked - before >= 2, 'one good answer is not enough')
  const after = asked
  await sleep(40)
  t.ok(asked <= after + 1)
  instance.setHealth(false, 'again')
  await until(() => instance.healthy)
  instance.setHealth(false, 'and again')
  await instance.stop('manual')
  const atStop = asked
  await sleep(40)
  t.ok(asked <= atStop + 1, 'what is down is not asked')
})

// --- idle --------------------------------------------------------------------------------------------------------------

const quietFor = (timeout_ms: number, more: Record<string, unknown> = {}): GivenService => ({
  sections: { idle: { timeout_ms, ...more } },
})

t.test('R9 an instance is stopped when nothing has been in flight for idle.timeout_ms since the last completion', async (t) => {
  const { instance, world } = await makeWorld(t, idle, quietFor(60))
  await instance.start()
  const lease = instance.tryAcquire()!
  await sleep(120)
  t.equal(instance.state, 'hot', 'a request in flight keeps it, however long it takes')
  lease.release()
  const releasedAt = performance.now()
  await until(() => instance.state === 'cold')
  t.ok(performance.now() - releasedAt >= 59, 'time counts from the end of the request')
  t.match(
    world.seen.find(({ type }) => type === 'instance.stopped'),
    { reason: 'idle' },
  )
})

t.test('R9 each request puts the stop off; an instance that was only started is stopped too', async (t) => {
  const { instance } = await makeWorld(t, idle, quietFor(80))
  await instance.start()
  let leftAt = performance.now()
  for (let i = 0; i < 6; i++) {
    await sleep(30)
    const lease = instance.tryAcquire()
    t.ok(lease ?? performance.now() - leftAt >= 80, 'hot, unless this machine took a nap')
    lease?.release()
    leftAt = performance.now()
  }
  await until(() => instance.state === 'cold')
})

t.test('R9 timeout_ms 0: never', async (t) => {
  const { instance } = await makeWorld(t, idle, quietFor(0))
  await instance.start()
  await sleep(60)
  t.equal(instance.state, 'hot')
})

t.test('R9 who waits for the instance keeps it', async (t) => {
  const { instance, world } = await makeWorld(t, idle, quietFor(30))
  await instance.start()
  instance.join()
  await sleep(90)
  t.notOk(world.seen.some(({ type }) => type === 'instance.stopped'))
  instance.leave()
  await until(() => instance.state === 'cold')
})

for (const kind of ['stream', 'tunnel'] as const) {
  t.test(`R9 an open ${kind} counts while bytes move; silent for silent_stream_ms it no longer does`, async (t) => {
    const { instance } = await makeWorld(t, idle, quietFor(20, { silent_stream_ms: 80 }))
    await instance.start()
    const lease = instance.tryAcquire()!
    lease.kind = kind
    let lastByteAt = lease.lastByteAt
    for (let i = 0; i < 8; i++) {
      await sleep(20)
      t.ok(instance.state === 'hot' || performance.now() - lastByteAt >= 80, 'hot, unless this machine took a nap')
      lease.touch()
      lastByteAt = performance.now()
    }
    await until(() => instance.state === 'cold')
    t.ok(performance.now() - lastByteAt >= 79)
    t.equal(instance.inFlight, 1, 'nobody cut it')
    lease.release()
  })
}

t.test('R9 a plugin may say that it is still busy: then it is asked again later', async (t) => {
  let asked = 0
  const asker = definePlugin({
    name: 'asker',
    setup(app) {
      app.hestia.hook('onIdle', { order: 'pre', handler: () => (++asked < 3 ? { keepFor: 120 } : undefined) })
    },
  })
  const world = new PluginWorld()
  await world.generation([idle, asker], { svc: quietFor(20) })
  const instance = world.instance()
  await instance.start()
  const beganAt = performance.now()
  await until(() => instance.state === 'cold')
  t.equal(asked, 3)
  t.ok(performance.now() - beganAt >= 250)
  await world.end()
})

t.test('R9 R16 a reload arms with the new timeout, from the last activity on; the old generation leaves nothing', async (t) => {
  const { instance, world } = await makeWorld(t, idle, quietFor(0))
  await instance.start()
  await sleep(30)
  let old = world.current
  await world.generation([idle], { svc: quietFor(60_000) })
  await old.retire()
  old = world.current
  const { idleSince } = instance
  await world.generation([idle], { svc: quietFor(50) })
  await until(() => instance.state === 'cold')
  t.ok(performance.now() - idleSince >= 49)
  t.equal(instance.idleSince, idleSince)
  await instance.start()
  await world.generation([idle], { svc: quietFor(0) })
  await sleep(80)
  t.equal(instance.state, 'hot', 'switched off')
  await old.retire()
  const listeners = world.events.size
  await world.current.retire()
  t.equal(world.events.size, listeners - 1)
  await world.generation([idle], { svc: quietFor(0) })
})

t.test('R9 ignore_paths: such requests neither wake an instance nor keep it awake', async (t) => {
  const ignore_paths = ['/metrics*', '/api/*/status', '/exact', '*.ico']
  const { world } = await makeWorld(t, idle, quietFor(1000, { ignore_paths }))
  const ask = (target: string): boolean => {
    const request = view({ target })
    void world.current.app.hestia.route(request, world.service())
    return request.passive
  }
  for (const path of ['/metrics', '/metrics?x=1', '/metrics/a/b', '/api/1/status', '/api/a/b/status', '/exact', '/favicon.ico'])
    t.equal(ask(path), true, path)
  for (const path of ['/', '/metric', '/v1/metrics', '/api/status', '/api/1/status/2', '/exact/', '/exactly', '/x?y=.ico'])
    t.equal(ask(path), false, path)
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b', '*'), { maxLength: 6 }), fc.stringMatching(/^[ab]{0,8}$/), (parts, rest) => {
      const pattern = `/${parts.join('')}`
      const expected = new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(`/${rest}`)
      const request = view({ target: `/${rest}` })
      const service = { config: { sections: { idle: { ignore_paths: [pattern] } } }, instances: [world.instance()] }
      void world.current.app.hestia.route(request, service as never)
      return request.passive === expected
    }),
    { numRuns: 500 },
  )
})

t.test('R9 a passive request in flight does not hold up the stop', async (t) => {
  const { instance } = await makeWorld(t, idle, quietFor(40))
  await instance.start()
  const passive: Lease = instance.tryAcquire(true)!
  await until(() => instance.state === 'cold')
  passive.release()
  t.throws(() => instance.tryAcquire(true), HestiaError)
})

t.test(
  'R5 R8 R9 through the gateway: a service starts with its first request, is forwarded to when ready, and stops',
  async (t) => {
    let probes = 0
    const { url } = await serve(t, ({ url }, response) => {
      if (url !== '/health') return response.end(`answer to ${url}`)
      return response.writeHead(++probes % 4 === 0 ? 200 : 503).end()
    })
    const gateway = await startGateway(t, {
      config: `
plugins: { defaults: false, queue: {}, health: {}, idle: {}, proxy: {} }
services:
  demo:
    base_url: ${url}
    health: { url: /health }
    idle: { timeout_ms: 150, ignore_paths: [/metrics] }
`,
    })
    const instance = gateway.instance('demo')
    const get = async (path: string) => {
      const response = await fetch(`${gateway.url}/services/demo${path}`)
      return { status: response.status, text: await response.text() }
    }
    t.match(await get('/metrics'), { status: 503, text: /"no_instance"/ })
    t.equal(instance.state, 'cold', 'such a request wakes nobody')
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => get(`/${index}`)))
    t.same(
      answers.map(({ text }) => text),
      Array.from({ length: 20 }, (_, index) => `answer to /${index}`),
    )
    t.equal(probes, 4)
    t.equal(gateway.events.filter(({ type }) => type === 'instance.attempt').length, 1)
    while (instance.state === 'hot') {
      const { status } = await get('/metrics')
      t.ok(status === 200 || instance.state !== 'hot')
      await sleep(20)
    }
    await gateway.event('instance.stopped', ({ reason }) => reason === 'idle')
    t.match(await get('/again'), { status: 200, text: 'answer to /again' })
  },
)
