import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Pool } from 'undici'
import type { HestiaEvent } from '../../core/events.ts'
import type { ExclusiveStatus } from '../../schemas/exclusive.ts'
import type { ServiceMetrics } from '../../schemas/metrics.ts'
import { isAlive } from '../helpers/alive.ts'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'

const SERVER = fileURLToPath(new URL('../fixtures/device-service.mjs', import.meta.url))
const FLOOD_MS = process.env.HESTIA_TEST_E2E === '1' ? 60_000 : 15_000

type Decided = Extract<HestiaEvent, { type: 'exclusive.decided' }>

interface Given {
  readonly exclusive?: Record<string, unknown> | undefined
  readonly env?: Record<string, unknown>
  readonly more?: Record<string, unknown>
}

interface Answer {
  readonly status: number
  readonly name: string
  readonly pid: number
  readonly ms: number
}

/** Services that are real processes on one device, a gateway before them, and an eye on which of them run. */
async function makeDevice(
  t: Parameters<typeof startGateway>[0],
  services: Record<string, Given>,
  options: object = {},
  others: object = {},
) {
  const ports = new Map<string, number>()
  for (const name of Object.keys(services)) ports.set(name, await freePort())
  const gateway = await startGateway(t, { config: 'services: {}' })
  const journal = join(gateway.dir, 'journal.ndjson')
  const failFile = (name: string) => join(gateway.dir, `${name}.fails`)
  const config = (plugin: object | null = options, changed: Record<string, Given> = services, beside: object = others) =>
    JSON.stringify({
      plugins: { ...beside, ...(plugin ? { exclusive: plugin } : {}) },
      services: Object.fromEntries(
        Object.entries(changed).map(([name, { exclusive = { group: 'gpu' }, env, more }]) => [
          name,
          {
            base_url: `http://127.0.0.1:${ports.get(name)}`,
            health: { url: '/' },
            process: { command: plainNode(SERVER), env: { NAME: name, JOURNAL: journal, FAIL_IF: failFile(name), ...env } },
            ...(plugin ? { exclusive } : {}),
            ...more,
          },
        ]),
      ),
    })
  const reconfigure = async (...args: Parameters<typeof config>) => {
    await gateway.configure(config(...args))
    await gateway.gateway.reload()
  }
  await reconfigure()

  const ask = async (name: string, path = '/', init: RequestInit = {}): Promise<Answer> => {
    const beganAt = performance.now()
    const response = await fetch(`${gateway.url}/services/${name}${path}`, init)
    const body = (await response.json()) as { name: string; pid: number }
    return { status: response.status, ...body, ms: performance.now() - beganAt }
  }
  const decided = (action?: Decided['action']) =>
    gateway.events.filter((event): event is Decided => event.type === 'exclusive.decided' && (!action || event.action === action))
  const told = (action?: Decided['action']) => decided(action).map((event) => `${event.action} ${event.service}`)
  const status = async () => (await (await fetch(`${gateway.url}/v1/exclusive`)).json()) as ExclusiveStatus
  const lives = () =>
    existsSync(journal)
      ? readFileSync(journal, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as { what: 'begin' | 'end'; name: string; pid: number; at: number })
      : []
  const state = (name: string) => gateway.instance(name).state

  /** Looks every 5 ms which services have a process. */
  const seen = { samples: 0, most: 0, together: new Set<string>() }
  const pids = new Map<number, string>()
  const eye = setInterval(() => {
    for (const service of gateway.gateway.services) {
      const record = service.instances[0]!.data.process as { pid?: number } | undefined
      if (record?.pid) pids.set(record.pid, service.id)
    }
    for (const pid of pids.keys()) if (!isAlive(pid)) pids.delete(pid)
    const up = [...new Set(pids.values())].toSorted()
    seen.samples++
    seen.most = Math.max(seen.most, up.length)
    if (up.length > 1) seen.together.add(up.join('+'))
  }, 5)
  t.teardown(() => clearInterval(eye))
  /** The most processes at a time by what they noted themselves, whatever was sampled. */
  const mostAtOnce = () => {
    let [up, most] = [0, 0]
    for (const { what } of lives()) {
      up += what === 'begin' ? 1 : -1
      most = Math.max(most, up)
    }
    return most
  }
  return { ...gateway, ask, decided, told, status, lives, state, seen, mostAtOnce, reconfigure, failFile }
}

t.test('R28 two services of a group are never up at once; the idle one makes way for the one that waits', async (t) => {
  const { ask, told, decided, seen, mostAtOnce, lives, status } = await makeDevice(t, { a: {}, b: { env: { STOP_MS: 60 } } })
  for (const name of ['a', 'b', 'a', 'b', 'a']) {
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(name)))
    t.same(
      answers.map(({ status, name }) => [status, name]),
      answers.map(() => [200, name]),
    )
  }
  t.equal(mostAtOnce(), 1)
  t.equal(seen.most, 1)
  t.ok(seen.samples > 20)
  t.equal(lives().filter(({ what }) => what === 'begin').length, 5)
  t.same(told().slice(0, 5), ['grant a', 'wait b', 'evict a', 'grant b', 'wait a'])
  const [evicted] = decided('evict') as [Decided]
  t.match(evicted, {
    group: 'gpu',
    instance: 'default',
    waiter: 'b/default',
    reason: /^makes way for b\/default in gpu: it is idle/,
  })
  t.match(decided('wait')[0], { behind: ['a/default'], reason: /^waits for its place in gpu: a\/default is/ })
  const { groups, decisions } = await status()
  t.match(groups, [{ group: 'gpu', capacity: 1, used: 1, holders: [{ service: 'a', state: 'hot', held: false }], waiters: [] }])
  t.equal(decisions.length, told().length)
  t.equal(decisions[0]!.action, 'grant')
})

t.test('R24 R28 the wait for a place is no part of how long a service takes to boot', async (t) => {
  const { ask, url, event, state } = await makeDevice(t, { a: {}, b: { exclusive: { group: 'gpu', max_wait_ms: 20_000 } } })
  await ask('a')
  const slow = ask('a', '/?ms=1500')
  await until(() => state('a') === 'hot')
  await ask('b')
  await slow
  const { durationMs, waitedMs } = await event('instance.ready', ({ service }) => service === 'b')
  t.ok(waitedMs > 1000 && waitedMs < durationMs, `${waitedMs} of ${durationMs} ms`)
  const bootMs = durationMs - waitedMs
  const { timers } = (await (await fetch(`${url}/v1/services/b/metrics`)).json()) as ServiceMetrics
  t.match(timers, { cold_start_turn: { count: 1, sum_ms: waitedMs }, cold_start_boot: { count: 1, sum_ms: bootMs } })

  // While it waits for its place again, what is expected is its boot.
  await ask('a')
  const again = ask('a', '/?ms=1000')
  const early = await fetch(`${url}/services/b/`, { headers: { prefer: 'respond-async' } })
  const { estimated_wait_ms } = (await early.json()) as { estimated_wait_ms: number }
  t.ok(estimated_wait_ms > 0 && estimated_wait_ms <= Math.round(bootMs), `${estimated_wait_ms} of ${bootMs} ms`)
  await again
})

t.test('R28 what has room runs side by side: by weight, and in groups of its own', async (t) => {
  const half = { group: 'gpu', weight: 2 }
  const boot = { BOOT_MS: 400 }
  const { ask, seen, told, state } = await makeDevice(
    t,
    {
      a: { exclusive: half, env: boot },
      b: { exclusive: half, env: boot },
      c: { exclusive: half },
      other: { exclusive: { group: 'another' }, env: boot },
    },
    { groups: { gpu: { capacity: 4 } } },
  )
  await Promise.all([ask('a'), ask('b'), ask('other')])
  t.ok(seen.together.has('a+b+other'), 'started at the same time')
  await ask('a')
  await ask('c')
  t.equal(state('b'), 'cold', 'the least recently used one')
  t.same([state('a'), state('c'), state('other')], ['hot', 'hot', 'hot'])
  t.same(told('evict'), ['evict b'])
  t.notOk(seen.together.has('a+b+c') || seen.together.has('a+b+c+other'))
})

t.test('R28 the instances of one service may be in groups of their own', async (t) => {
  const [one, two] = [await freePort(), await freePort()]
  const world = await makeDevice(t, { a: {} })
  const command = plainNode(SERVER)
  const config = {
    plugins: { exclusive: {} },
    services: {
      s: {
        exclusive: { group: 'gpu0' },
        health: { url: '/' },
        process: { command, env: { NAME: 's', JOURNAL: join(world.dir, 'journal.ndjson') } },
        instances: [
          { name: 'one', url: `http://127.0.0.1:${one}` },
          { name: 'two', url: `http://127.0.0.1:${two}`, exclusive: { group: 'gpu1' } },
        ],
      },
    },
  }
  await world.configure(JSON.stringify(config))
  await world.gateway.reload()
  await Promise.all([world.instance('s', 'one').start(), world.instance('s', 'two').start()])
  t.match((await world.status()).groups, [
    { group: 'gpu0', holders: [{ instance: 'one' }] },
    { group: 'gpu1', holders: [{ instance: 'two' }] },
  ])
})

t.test('R28 a busy one is not cut: what it has is finished, what comes waits for its next turn', async (t) => {
  const { ask, told, decided, mostAtOnce, state, status, event, lives } = await makeDevice(
    t,
    { a: {}, b: {} },
    { max_wait_ms: 600 },
  )
  const first = await ask('a')
  const long = ask('a', '/?ms=1200')
  await until(() => state('a') === 'hot')
  const other = ask('b')
  await until(() => state('b') === 'starting')
  const meanwhile = await ask('a')
  t.equal(meanwhile.pid, first.pid, 'before max_wait_ms it serves on')
  const { groups } = await status()
  t.match(groups[0]!.waiters, [{ service: 'b', maxWaitMs: 600, behind: ['a/default'], reason: 'a/default is busy' }])
  await event('exclusive.decided', ({ action }) => action === 'hold')
  const late = ask('a')
  const [longest, waited, again] = await Promise.all([long, other, late])
  t.equal(longest.status, 200)
  t.equal(longest.pid, first.pid)
  t.equal(waited.name, 'b')
  t.equal(again.status, 200)
  t.not(again.pid, first.pid, 'the next turn of a')
  t.same(told(), ['grant a', 'wait b', 'hold a', 'evict a', 'wait a', 'grant b', 'hold b', 'evict b', 'grant a'])
  t.match(
    decided('hold')[0]!.reason,
    /takes no new requests: b\/default has waited [3-5]\d\d ms for its place in gpu \(max_wait_ms\)/,
  )
  t.match(decided('evict')[0]!.reason, /it has finished what it had/)
  t.equal(mostAtOnce(), 1)
  t.equal(lives().filter(({ what }) => what === 'begin').length, 3)
})

t.test(
  'R28 starvation: 64 clients on A, one asks for B every second: B waits max_wait_ms and its own start at most',
  async (t) => {
    const maxWaitMs = 1500
    const { ask, events, port, seen, mostAtOnce } = await makeDevice(
      t,
      { a: { env: { BOOT_MS: 300, STOP_MS: 30 } }, b: { env: { BOOT_MS: 300, STOP_MS: 30 } } },
      { max_wait_ms: maxWaitMs },
    )
    await ask('a')
    const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 64 })
    t.teardown(() => pool.destroy())
    let isOver = false
    const served = new Map<number, number>()
    let longestA = 0
    const flood = Array.from({ length: 64 }, async () => {
      while (!isOver) {
        const beganAt = performance.now()
        const { statusCode, body } = await pool.request({ method: 'GET', path: '/services/a/x?ms=100' })
        await body.dump()
        served.set(statusCode, (served.get(statusCode) ?? 0) + 1)
        longestA = Math.max(longestA, performance.now() - beganAt)
      }
    })
    const asked: Promise<Answer>[] = []
    const end = performance.now() + FLOOD_MS
    while (performance.now() < end) {
      asked.push(ask('b'))
      await sleep(1000)
    }
    const answers = await Promise.all(asked)
    isOver = true
    await Promise.all(flood)
    const startMs: number[] = []
    const stopMs: number[] = []
    const drainMs = [0]
    const grantedAt = new Map<string, number>()
    let heldAt = 0
    for (const event of events) {
      if (event.type === 'exclusive.decided' && event.action === 'grant') grantedAt.set(event.service, event.at)
      if (event.type === 'exclusive.decided' && event.action === 'hold') heldAt = event.at
      if (event.type === 'exclusive.decided' && event.action === 'evict' && heldAt > 0) {
        drainMs.push(event.at - heldAt)
        heldAt = 0
      }
      if (event.type === 'instance.ready') startMs.push(event.at - grantedAt.get(event.service)!)
      if (event.type === 'instance.stopped') stopMs.push(event.durationMs)
    }
    const waits = events
      .flatMap((event) => (event.type === 'request.admitted' && event.service === 'b' ? [Math.round(event.waitedMs)] : []))
      .toSorted((a, b) => a - b)
    const [longestStart, longestStop, longestDrain] = [startMs, stopMs, drainMs].map((list) => Math.round(Math.max(...list))) as [
      number,
      number,
      number,
    ]
    const swapMs = longestDrain + longestStop + longestStart
    const batches = startMs.length
    t.comment(`waits of B, ms: ${waits.join(' ')}`)
    t.comment(`longest start ${longestStart} ms, stop ${longestStop} ms, drain ${longestDrain} ms; ${batches} starts`)
    t.comment(`longest wait of a client of A: ${Math.round(longestA)} ms`)
    t.comment(`answers of A: ${JSON.stringify([...served])}; ${seen.samples} samples`)
    t.ok(answers.every(({ status }) => status === 200))
    t.same([...served.keys()], [200], 'no request to A was cut or refused')
    t.ok(waits.at(-1)! < maxWaitMs + longestStart, `B waited ${waits.at(-1)} ms`)
    // Beyond that: the request itself, and 64 clients in this very process.
    t.ok(longestA < maxWaitMs + 2 * swapMs + 500, `A waited ${longestA} ms`)
    t.ok(served.get(200)! > batches * 64 * 3, 'served in batches')
    t.equal(seen.most, 1)
    t.equal(mostAtOnce(), 1)
  },
)

t.test('R28 min_resident_ms keeps one there for a while, though it is idle', async (t) => {
  const { ask, event, decided } = await makeDevice(t, { a: { exclusive: { group: 'gpu', min_resident_ms: 2000 } }, b: {} })
  for (const name of ['a', 'b', 'a']) await ask(name)
  const residence = async (name: string) => {
    const ready = await event('instance.ready', ({ service }) => service === name)
    return decided('evict').find(({ service }) => service === name)!.at - ready.at
  }
  const [a, b] = [await residence('a'), await residence('b')]
  t.ok(a >= 1999, `a stayed for ${a} ms`)
  t.ok(b < 2000, `b has no such time: ${b} ms`)
})

t.test('R28 a plugin that says "still busy" is heard, and asked again', async (t) => {
  const { ask, write, reconfigure, told } = await makeDevice(t, { a: {}, b: {} })
  await write(
    'plugins/busy.ts',
    `import { definePlugin } from 'hestia'
    let asked = 0
    const handler = ({ reason }) => (reason === 'evicted' && asked++ === 0 ? { keepFor: 500 } : undefined)
    export default definePlugin({ name: 'busy', setup: (app) => app.hestia.hook('onIdle', { order: 'pre', handler }) })`,
  )
  await reconfigure({}, undefined, { busy: {} })
  await ask('a')
  const { ms, name } = await ask('b')
  t.equal(name, 'b')
  t.ok(ms > 500, `${ms} ms`)
  t.same(told(), ['grant a', 'wait b', 'evict a', 'evict a', 'grant b'])
})

t.test('R28 streams and tunnels: silent ones are in nobody’s way, others until drain_timeout_ms', async (t) => {
  const { ask, url, port, state, told } = await makeDevice(
    t,
    { a: {}, b: {} },
    { max_wait_ms: 200, silent_stream_ms: 400, drain_timeout_ms: 500 },
  )
  t.test('a silent stream', async (t) => {
    const stream = await fetch(`${url}/services/a/stream`)
    const reader = stream.body!.getReader()
    await reader.read()
    t.equal(state('a'), 'hot')
    const { status, ms } = await ask('b')
    t.equal(status, 200)
    t.ok(ms > 150, `${ms} ms: it was not silent for long enough before`)
    await t.rejects(reader.read(), 'cut when it had been silent')
  })
  t.test('a silent tunnel', async (t) => {
    const request = httpRequest({ port, path: '/services/a/ws', headers: { connection: 'Upgrade', upgrade: 'silence' } }).end()
    const closed = new Promise<void>((resolve, reject) => {
      request.on('error', reject)
      request.on('upgrade', (_response, socket) => {
        socket.on('error', () => undefined)
        socket.once('close', () => resolve())
        socket.resume()
      })
    })
    await until(() => state('a') === 'hot')
    t.equal((await ask('b')).status, 200)
    await closed
  })
  t.test('a stream that goes on', async (t) => {
    const before = told('hold').length
    const stream = await fetch(`${url}/services/a/feed`)
    const reading = (async () => {
      for await (const _ of stream.body!);
    })()
    reading.catch(() => undefined)
    const { status, ms } = await ask('b')
    t.equal(status, 200)
    t.ok(ms > 600, `${ms} ms: max_wait_ms and drain_timeout_ms`)
    await t.rejects(reading)
    t.equal(told('hold').length, before + 1)
  })
})

t.test('R28 R16 a reload while somebody waits: it waits on, and a larger capacity counts at once', async (t) => {
  const { ask, state, reconfigure, told, seen, event } = await makeDevice(t, { a: {}, b: {} }, { max_wait_ms: 600 })
  const long = ask('a', '/?ms=1500')
  await until(() => state('a') === 'hot')
  const other = ask('b')
  await until(() => state('b') === 'starting')
  await reconfigure({ max_wait_ms: 500 })
  await event('exclusive.decided', ({ action }) => action === 'hold')
  const late = ask('a')
  await until(() => told('hold').length === 1)
  t.equal(seen.most, 1)
  await reconfigure({ max_wait_ms: 500, groups: { gpu: { capacity: 2 } } })
  t.equal((await other).name, 'b')
  const again = await late
  t.equal(again.pid, (await long).pid, 'not evicted: there is room now')
  t.same(told().slice(-2).toSorted(), ['grant b', 'unhold a'])
})

t.test('R28 R16 switched off, everybody goes on; switched on, what runs has its place', async (t) => {
  const { ask, state, reconfigure, event, instance, told } = await makeDevice(t, { a: {}, b: {} }, { max_wait_ms: 200 })
  const long = ask('a', '/?ms=2000')
  await until(() => state('a') === 'hot')
  const other = ask('b')
  await event('exclusive.decided', ({ action }) => action === 'hold')
  const held = ask('a')
  await until(() => instance('a').waiting === 1)
  await reconfigure(null)
  const [a, b] = await Promise.all([held, other])
  t.ok(a.ms < 1500, 'at once')
  t.equal(b.name, 'b')
  t.equal((await long).pid, a.pid)
  await reconfigure({})
  await instance('b').stop('manual')
  const before = told().length
  t.equal((await ask('b')).status, 200)
  t.same(told().slice(before), ['wait b', 'evict a', 'grant b'])
  t.equal(state('a'), 'cold')
})

t.test('R28 the holder crashes: the one that waits gets the place', async (t) => {
  const { ask, state, mostAtOnce } = await makeDevice(t, { a: {}, b: {} }, { max_wait_ms: 20_000 })
  const long = ask('a', '/?ms=10000').catch((error: Error) => error)
  await until(() => state('a') === 'hot')
  const other = ask('b')
  await until(() => state('b') === 'starting')
  t.equal((await ask('a', '/crash', { method: 'POST' })).status, 502)
  t.equal((await other).name, 'b')
  await long
  t.equal(mostAtOnce(), 1)
})

t.test('R28 a start that fails gives its place back', async (t) => {
  const { ask, state, failFile, status } = await makeDevice(t, {
    a: {},
    b: { more: { start: { attempts: 2, cooldown_ms: 60_000 } } },
  })
  await ask('a')
  writeFileSync(failFile('b'), '')
  t.equal((await ask('b')).status, 503)
  await until(() => state('b') === 'cold')
  t.same((await status()).groups, [], 'nobody is there')
  t.equal((await ask('a')).status, 200)
})

t.test('R28 who waits and leaves: nobody is evicted for it, and who was held goes on', async (t) => {
  const { ask, state, event, told, instance } = await makeDevice(t, { a: {}, b: {} }, { max_wait_ms: 200 })
  const long = ask('a', '/?ms=1500')
  await until(() => state('a') === 'hot')
  const controller = new AbortController()
  const other = ask('b', '/', { signal: controller.signal })
  await event('exclusive.decided', ({ action }) => action === 'hold')
  const held = ask('a')
  await until(() => instance('a').waiting === 1)
  controller.abort()
  await t.rejects(other)
  const { ms, pid } = await held
  t.ok(ms < 1200, `${ms} ms`)
  t.equal((await long).pid, pid)
  t.equal(state('b'), 'cold')
  t.same(told('evict'), [])
  t.same(told('unhold'), ['unhold a'])
})

t.test('R28 the gateway ends while somebody waits', async (t) => {
  const { ask, state, gateway, lives } = await makeDevice(t, { a: {}, b: {} })
  const long = ask('a', '/?ms=60000').catch((error: Error) => error)
  await until(() => state('a') === 'hot')
  const other = ask('b')
  await until(() => state('b') === 'starting')
  const stopped = gateway.stop('test', AbortSignal.abort())
  t.match(await other, { status: 503, error: 'shutting_down' })
  await stopped
  await long
  t.same(
    lives().map(({ what, name }) => `${what} ${name}`),
    ['begin a', 'end a'],
  )
})

t.test('R28 without a queue: clients are told to come back, and the start waits for its place all the same', async (t) => {
  const { ask, state, told, mostAtOnce } = await makeDevice(t, { a: {}, b: {} }, {}, { queue: false })
  t.equal((await ask('a')).status, 503)
  await until(() => state('a') === 'hot')
  t.equal((await ask('a')).status, 200)
  t.match(await ask('b'), { status: 503, error: 'starting' })
  await until(() => state('b') === 'hot')
  t.equal((await ask('b')).name, 'b')
  t.same(told(), ['grant a', 'wait b', 'evict a', 'grant b'])
  t.equal(mostAtOnce(), 1)
})

t.test('R28 R17 what could never fit is refused, with its place', async (t) => {
  const service = (exclusive: object) => ({ base_url: 'http://127.0.0.1:9', warmup_ms: 0, exclusive })
  const start = (exclusive: object) =>
    startGateway(t, {
      config: JSON.stringify({
        plugins: { exclusive: { groups: { gpu: { capacity: 8 } } } },
        services: { s: service(exclusive) },
      }),
    })
  await t.rejects(start({ group: 'gpu', weight: 9 }), {
    message: /services\.s\.exclusive\.weight.*it takes 9, but the group gpu has 8 in all/,
  })
  await t.rejects(start({ group: 'npu', weight: 2 }), { message: /the group npu has 1 in all/ })
  await t.rejects(start({ weight: 2 }), { message: /group/ })
  await start({ group: 'gpu', weight: 8 })
})
