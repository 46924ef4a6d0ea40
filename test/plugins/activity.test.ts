import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Value } from '@sinclair/typebox/value'
import fc from 'fast-check'
import { open } from 'sqlite'
import { Database } from 'sqlite3'
import t, { type Test } from 'tap'
import { activityOf, isRecorded } from '../../plugins/activity/record.ts'
import { ActivitiesPage, type ActivityEntry } from '../../schemas/activity.ts'
import { startChildGateway } from '../helpers/child-gateway.ts'
import { startGateway } from '../helpers/gateway.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream, streamUpstream } from '../helpers/upstream.ts'

const PLUGINS = 'plugins: { store: {}, activity: {} }'

async function pageOf(url: string, query: Record<string, string | number> = {}): Promise<ActivitiesPage> {
  const search = new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]))
  const answer = await fetch(`${url}/v1/activities?${search}`)
  const page = (await answer.json()) as ActivitiesPage
  if (answer.status !== 200) throw new Error(JSON.stringify(page))
  return page
}

const kindsOf = (activities: readonly ActivityEntry[]): string[] => activities.map(({ kind }) => kind)

/** All rows of a database that nobody has open any more, oldest first. */
async function rowsOf(file: string): Promise<{ id: string; kind: string; at: number; details: string }[]> {
  const database = await open({ filename: file, driver: Database })
  const rows = await database.all<{ id: string; kind: string; at: number; details: string }[]>(
    'SELECT * FROM activities ORDER BY id',
  )
  await database.close()
  return rows
}

t.test('the timeline tells of a start and a stop, newest first', async (t) => {
  const upstream = await httpUpstream(t)
  const config = `${PLUGINS}
services:
  web: { base_url: "${upstream.url}", health: { tcp: true }, idle: { timeout_ms: 100 } }
  other: { base_url: "${upstream.url}", health: { tcp: true } }`
  const { url, event, events } = await startGateway(t, { config })
  await fetch(`${url}/services/web/secret-path`)
  await fetch(`${url}/services/other/`)
  await event('instance.stopped')

  const { activities, next } = await pageOf(url, { service: 'web' })
  t.equal(next, null)
  t.same(kindsOf(activities).toReversed(), [
    'service.added',
    'instance.state',
    'instance.attempt',
    'instance.step',
    'instance.state',
    'instance.ready',
    'instance.state',
    'instance.state',
    'instance.stopped',
  ])
  t.same(
    activities.filter(({ kind }) => kind === 'instance.state').map(({ state, reason }) => [state, reason]),
    [
      ['cold', 'idle'],
      ['stopping', 'idle'],
      ['hot', 'ready'],
      ['starting', 'request'],
    ],
  )
  const ready = activities.find(({ kind }) => kind === 'instance.ready')!
  const told = await event('instance.ready', ({ service }) => service === 'web')
  t.equal(ready.at, new Date(told.at).toISOString())
  t.same(ready.details, { durationMs: told.durationMs, waitedMs: 0, attempt: 1 })
  t.same([ready.service_id, ready.instance_id], ['web', told.instance])

  const { activities: all } = await pageOf(url, { limit: 1000 })
  t.same(
    kindsOf(all).toReversed().slice(-10),
    events
      .filter(({ type }) => isRecorded(type))
      .map(({ type }) => type)
      .slice(-10),
    'each event once, in its order',
  )
  t.ok(kindsOf(all).includes('reload.applied') && kindsOf(all).includes('server.listening'))
  t.notOk(kindsOf(all).some((kind) => /routed|finished|output|progress/.test(kind)))
  const page = await pageOf(url, { limit: 3 })
  t.same([...Value.Errors(ActivitiesPage, page)], [], 'it is what its schema says')
})

t.test('filters narrow it, pages lose and double nothing, whatever is added meanwhile', async (t) => {
  const services = Array.from({ length: 12 }, (_, i) => `  s${i}: { base_url: "http://127.0.0.1:9", warmup_ms: 0 }`)
  const { url, gateway } = await startGateway(t, { config: `${PLUGINS}\nservices:\n${services.join('\n')}` })
  await Promise.all(Array.from({ length: 12 }, (_, i) => fetch(`${url}/v1/services/s${i}/start`, { method: 'POST' })))
  await until(() => [...gateway.services].every(({ state }) => state === 'hot'), 'all services to be hot')
  const { activities: all, next } = await pageOf(url, { limit: 1000 })
  t.equal(next, null)
  t.ok(all.length >= 12 * 5, `${all.length} entries`)
  t.same(
    all.map(({ id }) => id),
    all
      .map(({ id }) => id)
      .toSorted()
      .toReversed(),
  )
  t.equal(new Set(all.map(({ id }) => id)).size, all.length)

  const filter = fc.record(
    {
      service: fc.constantFrom('s0', 's7', 'nobody'),
      kind: fc.constantFrom('instance.', 'instance.state', 'service.', 'reload.applied', 'none'),
      since: fc.nat({ max: all.length - 1 }).map((i) => all[i]!.at),
    },
    { requiredKeys: [] },
  )
  await fc.assert(
    fc.asyncProperty(filter, fc.integer({ min: 1, max: 40 }), async (filter, limit) => {
      const wanted = all.filter(
        ({ service_id, kind, at }) =>
          (filter.service === undefined || service_id === filter.service) &&
          (filter.kind === undefined || (filter.kind.endsWith('.') ? kind.startsWith(filter.kind) : kind === filter.kind)) &&
          (filter.since === undefined || at >= filter.since),
      )
      const known = new Set(all.map(({ id }) => id))
      const seen: ActivityEntry[] = []
      let cursor: string | null = ''
      do {
        const page: ActivitiesPage = await pageOf(url, { ...filter, limit, ...(cursor ? { cursor } : {}) })
        if (page.activities.length > limit) throw new Error('more than the limit')
        seen.push(...page.activities)
        cursor = page.next
        gateway.events.emit('service.changed', { service: 's7' })
      } while (cursor !== null)
      t.same(
        seen.filter(({ id }) => known.has(id)),
        wanted,
      )
    }),
    { numRuns: 40 },
  )
  const ms = Date.parse(all[3]!.at)
  t.same(await pageOf(url, { since: ms, limit: 1000 }), await pageOf(url, { since: all[3]!.at, limit: 1000 }))
  t.equal((await pageOf(url, { since: '2999-01-01' })).activities.length, 0)
})

t.test('nonsense is answered 400, a wrong method 405', async (t) => {
  const { url } = await startGateway(t, { config: PLUGINS })
  const bad = ['limit=0', 'limit=1001', 'limit=x', 'limit=1&limit=2', 'since=yesterday', 'since=2026-99-99', 'cursor=1']
  bad.push("cursor=' OR 1=1 --", 'kind=DROP TABLE', 'service=', 'sevice=a', `since=${'9'.repeat(400)}`, 'cursor=')
  for (const query of bad) {
    const answer = await fetch(`${url}/v1/activities?${query}`)
    t.equal(answer.status, 400, query)
    t.match(await answer.json(), { error: 'invalid_request', message: /query parameter/ })
  }
  const odd = await pageOf(url, { service: "x' OR '1'='1" })
  t.same(odd, { activities: [], next: null }, 'a service that is not there has no past')
  t.equal((await fetch(`${url}/v1/activities`, { method: 'POST' })).status, 405)
})

t.test('R11 a reload loses nothing and doubles nothing, while older generations still serve', async (t) => {
  const upstream = await streamUpstream(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: 1\n\n')
  })
  const config = (n: number) => `${PLUGINS.replace('activity', `api: { event_buffer: ${100 + n} }, activity`)}
services:
  web: { base_url: "${upstream.url}", health: { tcp: true } }
  ${n % 2 ? 'extra: { base_url: "http://127.0.0.1:9", warmup_ms: 1 }' : ''}`
  const { url, configure, event, events, gateway } = await startGateway(t, { config: config(0) })
  // Held on to: a response that is collected as garbage ends its stream.
  const streams: { controller: AbortController; response: Response }[] = []
  for (let n = 1; n <= 6; n++) {
    const controller = new AbortController()
    streams.push({ controller, response: await fetch(`${url}/services/web/`, { signal: controller.signal }) })
    await configure(config(n))
    await event('reload.applied', ({ generation }) => generation === n + 1)
  }
  t.ok(gateway.generations > 1, `${gateway.generations} generations are alive`)
  t.ok(streams.every(({ response }) => response.ok))
  await configure('services: 7')
  await event('reload.rejected')
  gateway.events.emit('hook.failed', { hook: 'test', plugin: 'test', error: 'marker' })
  const { activities } = await pageOf(url, { limit: 1000 })
  const recorded = activities.toReversed().map(({ kind, at }) => [kind, at])
  // The test listens from when the gateway has started.
  const told = events.filter(({ type }) => isRecorded(type)).map(({ type, at }) => [type, new Date(at).toISOString()])
  t.same(recorded.slice(-told.length), told)
  t.same(kindsOf(activities).filter((kind) => kind === 'reload.applied').length, 7)
  for (const { controller } of streams) controller.abort()
})

t.test('R11 switched off and on again by reloads', async (t) => {
  const { url, configure, event } = await startGateway(t, { config: PLUGINS })
  await configure('plugins: { store: {}, activity: false }')
  await event('reload.applied', ({ generation }) => generation === 2)
  t.equal((await fetch(`${url}/v1/activities`)).status, 404)
  await event('generation.retired')
  await configure(PLUGINS)
  await event('reload.applied', ({ generation }) => generation === 3)
  const { activities } = await pageOf(url, { kind: 'reload.applied' })
  t.same(
    activities.map(({ details }) => details.generation),
    [3, 1],
    'the past is still there',
  )
})

t.test('without the store it is refused, and the message says what to switch on', async (t) => {
  await t.rejects(startGateway(t, { config: 'plugins: { activity: {} , store: false }' }), { message: /store/ })
})

t.test('a graceful end loses nothing', async (t) => {
  const config = `plugins: { store: { flush_ms: 60000, file: "${join(await tempDir(t), 'end.sqlite')}" }, activity: {} }
services: { web: { base_url: "http://127.0.0.1:9", warmup_ms: 0 } }`
  const gateway = await startGateway(t, { config })
  await fetch(`${gateway.url}/v1/services/web/start`, { method: 'POST' })
  await gateway.event('instance.ready')
  await gateway.close()
  const rows = await rowsOf(/file: "([^"]+)"/.exec(config)![1]!)
  t.same(
    rows.slice(-6).map(({ kind }) => kind),
    gateway.events
      .filter(({ type }) => isRecorded(type))
      .slice(-6)
      .map(({ type }) => type),
  )
  t.equal(rows.at(-1)!.kind, 'instance.stopped')
})

async function tempDir(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'hestia-activity-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

t.test('R18 kill -9: everything older than a moment is there, and the database is sound', async (t) => {
  const dir = await tempDir(t)
  await mkdir(join(dir, 'plugins'))
  // Tells what it made happen, with the time, on standard output: what must be in the database afterwards.
  const ticker = `export default { name: 'ticker', setup (app) {
    let n = 0
    const timer = setInterval(() => {
      for (let i = 0; i < 20; i++) app.hestia.events.emit('service.changed', { service: 'tick-' + n++ })
      process.stdout.write(JSON.stringify({ n, at: Date.now() }) + '\\n')
    }, 5)
    app.addHook('onClose', () => clearInterval(timer))
  } }`
  await writeFile(join(dir, 'plugins/ticker.ts'), ticker)
  const file = join(dir, 'hestia_config.yml')
  await writeFile(file, 'server: { port: 0 }\nlog: { level: info }\nplugins: { store: {}, activity: {}, ticker: {} }\n')
  let before = 0
  for (let round = 1; round <= 3; round++) {
    const child = await startChildGateway(t, file)
    const ticks = () => child.lines.filter((line) => typeof line.n === 'number') as { n: number; at: number }[]
    await until(() => ticks().length > 60 + 30 * round, 'the ticker')
    await child.end('SIGKILL')
    const last = ticks().at(-1)!

    const database = await open({ filename: join(dir, 'hestia.sqlite'), driver: Database })
    t.same(await database.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
    const rows = await database.all<{ service_id: string; at: number }[]>(
      `SELECT service_id, at FROM activities WHERE kind = 'service.changed' ORDER BY id LIMIT -1 OFFSET ${before}`,
    )
    await database.close()
    before += rows.length
    t.same(
      rows.map(({ service_id }) => service_id),
      rows.map((_, i) => `tick-${i}`),
      'without gaps, in their order',
    )
    const lostMs = last.at - rows.at(-1)!.at
    t.ok(lostMs < 1000, `round ${round}: ${rows.length} of ${last.n} are there; the last ${lostMs} ms are missing`)
    t.comment(`round ${round}: ${rows.length} of ${last.n} are there; the last ${lostMs} ms are missing`)
  }
})

t.test('an event becomes an entry without losing a field', async (t) => {
  t.same(activityOf({ type: 'request.fallback', at: 5, requestId: 'r', service: 's', from: 'a', to: 'b', error: 'broke' }), {
    service: 's',
    instance: null,
    kind: 'request.fallback',
    state: null,
    reason: 'broke',
    details: { from: 'a', to: 'b' },
    requestId: 'r',
    at: 5,
  })
  t.match(activityOf({ type: 'reload.rejected', at: 5, phase: 'config', problems: [{ file: 'f', message: 'm' }] }), {
    details: { phase: 'config', problems: [{ message: 'm' }] },
  })
})
