import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Value } from '@sinclair/typebox/value'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Events } from '../../core/events.ts'
import { BOUNDS_MS, merged, newHistogram, observe, quantile } from '../../plugins/metrics/histogram.ts'
import { GatewayMetrics, ServiceMetrics } from '../../schemas/metrics.ts'
import { freePort } from '../helpers/free-port.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream, streamUpstream } from '../helpers/upstream.ts'

const PLUGINS = 'defaults: false, queue: {}, process: {}, health: {}, proxy: {}, requests: {}'
const SERVER = fileURLToPath(new URL('../fixtures/boot-server.mjs', import.meta.url))

const config = (services: Record<string, object>, metrics = '{}') =>
  `plugins: { ${PLUGINS}, metrics: ${metrics} }\nservices: ${JSON.stringify(services)}\n`
const hot = (url: string) => ({ base_url: url, health: { tcp: true } })

const scrape = async (gateway: RunningGateway): Promise<string> => (await ask(`${gateway.url}/metrics`)).text

/** The sum of the values of the series of a name that have all these labels. */
function seriesSum(text: string, name: string, labels: Record<string, string> = {}): number {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  const wanted = lines.filter((line) => Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`)))
  return wanted.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

const finished = (gateway: RunningGateway, count = 1) =>
  until(() => gateway.events.filter(({ type }) => type === 'request.finished').length >= count, `${count} finished requests`)

t.test('R24 an event is made for those only who want its type', async (t) => {
  const events = new Events()
  const heard: string[] = []
  t.equal(events.wants('request.finished'), false)
  const stop = events.subscribe(({ service }) => heard.push(service), ['service.added'])
  t.equal(events.wants('request.finished'), false)
  t.equal(events.wants('service.added'), true)
  const stopAll = events.subscribe(({ type }) => heard.push(type))
  const stopSome = events.subscribe(
    ({ type }) => heard.push(`some ${type}`),
    (type) => type.startsWith('strategy.'),
  )
  t.equal(events.wants('request.finished'), true)
  events.emit('service.added', { service: 'a' })
  events.emit('service.changed', { service: 'a' })
  events.emit('strategy.loaded', { strategy: 's', file: 'f' })
  t.same(heard, ['a', 'service.added', 'service.changed', 'strategy.loaded', 'some strategy.loaded'])
  stop()
  stopAll()
  events.emit('service.added', { service: 'b' })
  t.equal(heard.length, 5)
  t.equal(events.wants('service.added'), false)
  stopSome()
  stopSome()
  t.equal(events.size, 0)
  const first = events.subscribe(() => second())
  const second = events.subscribe(() => heard.push('never'))
  events.emit('service.added', { service: 'c' })
  t.equal(heard.length, 5, 'who unsubscribed another in the same event: that one hears nothing more')
  first()
})

t.test('R24 quantiles of a histogram lie in the bucket of the true one', async (t) => {
  const durations = fc.array(fc.double({ min: 0, max: 700_000, noNaN: true }), { minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(durations, durations, fc.double({ min: 0.01, max: 1, noNaN: true }), (one, two, share) => {
      const [a, b] = [newHistogram(), newHistogram()]
      for (const ms of one) observe(a, ms)
      for (const ms of two) observe(b, ms)
      const all = merged([a, b])
      const sorted = [...one, ...two].toSorted((x, y) => x - y)
      const truth = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
      const upper = BOUNDS_MS.find((bound) => truth <= bound) ?? BOUNDS_MS.at(-1)!
      const lower = BOUNDS_MS[BOUNDS_MS.indexOf(upper) - 1] ?? 0
      const estimate = quantile(all, share)!
      return all.count === sorted.length && estimate >= lower && estimate <= upper
    }),
  )
  t.equal(quantile(newHistogram(), 0.5), undefined)
})

t.test('R24 every end of a request is told once, with where, why, how long and how much', async (t) => {
  const upstream = await streamUpstream(t, (request, response) => {
    request.resume()
    if (request.url === '/never') return
    if (request.url === '/half') {
      response.writeHead(200, { 'content-length': 100 })
      response.write('half', () => response.socket?.resetAndDestroy())
      return
    }
    if (request.url === '/endless') {
      response.write('begin')
      return
    }
    if (request.url === '/empty') {
      response.writeHead(204).end()
      return
    }
    request.on('end', () => response.end('hello'))
  })
  upstream.server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    socket.on('data', (chunk: Buffer) => socket.end(chunk))
    socket.on('error', () => undefined)
  })
  const gateway = await startGateway(t, {
    config: config({ up: hot(upstream.url), dead: { base_url: `http://127.0.0.1:${await freePort()}`, warmup_ms: 0 } }),
  })
  await gateway.instance('up').start()
  const told = async (path: string) => {
    const event = await gateway.event('request.finished', (finished) => finished.path === path)
    t.equal(gateway.events.filter((other) => other.type === 'request.finished' && other.path === path).length, 1, path)
    return event
  }
  const base = `${gateway.url}/services/up`

  await ask(`${base}/hello?token=s3cret`, { method: 'POST', body: 'four', headers: { 'x-request-id': 'mine' } })
  const answered = await told('/hello')
  const instance = gateway.instance('up').name
  t.match(answered, { requestId: 'mine', method: 'POST', service: 'up', instance, reason: 'base_url', status: 200 })
  t.match(answered, { bytesIn: 4, bytesOut: 5, queueMs: 0, coldStart: false, aborted: false, error: undefined })
  t.ok(answered.upstreamMs! > 0 && answered.upstreamMs! <= answered.totalMs)
  t.notMatch(JSON.stringify(answered), 's3cret')

  await ask(`${base}/empty`)
  t.match(await told('/empty'), { status: 204, bytesOut: 0, aborted: false })
  await ask(`${base}/hello-head`, { method: 'HEAD' })
  t.match(await told('/hello-head'), { status: 200, aborted: false })

  await t.rejects(ask(`${base}/half`))
  t.match(await told('/half'), { status: 200, bytesOut: 4, aborted: true, error: 'upstream_failed' })

  const controller = new AbortController()
  const endless = await fetch(`${base}/endless`, { signal: controller.signal })
  await endless.body!.getReader().read()
  controller.abort()
  t.match(await told('/endless'), { status: 200, bytesOut: 5, aborted: true, error: undefined })

  const left = new AbortController()
  const leaving = fetch(`${base}/never`, { signal: left.signal })
  await until(() => gateway.instance('up').inFlight === 1)
  left.abort()
  await t.rejects(leaving)
  t.match(await told('/never'), { status: 499, bytesOut: 0, aborted: true, upstreamMs: undefined })

  t.equal((await ask(`${gateway.url}/services/dead/gone`)).status, 502)
  t.match(await told('/gone'), { service: 'dead', status: 502, error: 'upstream_unreachable', aborted: false, coldStart: true })
  t.equal((await ask(`${gateway.url}/services/nobody/x?key=1`)).status, 404)
  t.match(await told('/x'), { service: undefined, instance: undefined, status: 404, error: 'unknown_service' })
  t.equal((await ask(base, { path: '/services/up/../../etc' })).status, 400)
  t.match(await told('/../../etc'), { service: 'up', instance: undefined, status: 400, error: 'bad_path' })

  const body = JSON.stringify({ serviceId: 'up', method: 'GET', path: '/collected' })
  await ask(`${gateway.url}/v1/requests`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  t.match(await told('/collected'), { status: 200, bytesOut: 5, aborted: false })

  const socket = connect(gateway.port, '127.0.0.1')
  socket.write('GET /services/up/tunnel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
  await once(socket, 'data')
  t.notOk(
    gateway.events.some((event) => event.type === 'request.finished' && event.path === '/tunnel'),
    'it is not over yet',
  )
  socket.end('ping')
  let echo = ''
  for await (const chunk of socket) echo += String(chunk)
  t.equal(echo, 'ping')
  t.match(await told('/tunnel'), { status: 101, bytesIn: 4, bytesOut: 4, aborted: false })

  const text = await scrape(gateway)
  t.equal(seriesSum(text, 'hestia_requests_total', { service: 'up', status: '2xx' }), 6)
  t.equal(seriesSum(text, 'hestia_requests_total', { service: 'up', status: '1xx' }), 1)
  t.equal(seriesSum(text, 'hestia_requests_total', { service: 'up', status: '4xx' }), 2)
  t.equal(seriesSum(text, 'hestia_requests_total', { service: 'dead', status: '5xx' }), 1)
  t.equal(seriesSum(text, 'hestia_requests_total', { service: '(other)', status: '4xx' }), 1)
  t.equal(seriesSum(text, 'hestia_requests_aborted_total', { service: 'up' }), 3)
  t.equal(seriesSum(text, 'hestia_request_bytes_total', { service: 'up' }), 8)
  t.equal(seriesSum(text, 'hestia_requests_in_flight', { service: 'up' }), 0)
})

/** A gateway with a service that really starts, and one that never does. */
async function coldGateway(t: Test) {
  const port = await freePort()
  return startGateway(t, {
    config: config({
      cold: {
        base_url: `http://127.0.0.1:${port}`,
        process: { command: plainNode(SERVER), env: { PORT: String(port) } },
        health: { url: '/' },
      },
      broken: {
        base_url: `http://127.0.0.1:${await freePort()}`,
        process: { command: ['/bin/false'] },
        health: { tcp: true },
        start: { attempts: 2, delay_ms: 0 },
      },
    }),
  })
}

t.test('R24 starts: boot and added time apart, retries, results, who waited; all of it as JSON too', async (t) => {
  const gateway = await coldGateway(t)
  const answers = await Promise.all([1, 2, 3].map(() => ask(`${gateway.url}/services/cold/`)))
  t.same(
    answers.map(({ status }) => status),
    [200, 200, 200],
  )
  t.equal((await ask(`${gateway.url}/services/broken/`)).status, 503)
  await finished(gateway, 4)
  const first = await gateway.event('request.finished', ({ service }) => service === 'cold')
  t.ok(first.coldStart && first.queueMs > 0 && first.queueMs <= first.totalMs, `${first.queueMs} of ${first.totalMs} ms in line`)
  await gateway.instance('cold').stop('manual')

  const text = await scrape(gateway)
  const cold = { service: 'cold' }
  t.equal(seriesSum(text, 'hestia_cold_start_seconds_count', { ...cold, part: 'boot' }), 1)
  t.equal(seriesSum(text, 'hestia_cold_start_seconds_count', { ...cold, part: 'added' }), 1, 'the first of three counts')
  const boot = seriesSum(text, 'hestia_cold_start_seconds_sum', { ...cold, part: 'boot' })
  const added = seriesSum(text, 'hestia_cold_start_seconds_sum', { ...cold, part: 'added' })
  t.ok(added > 0 && added < boot, `${added} s added to ${boot} s`)
  t.equal(seriesSum(text, 'hestia_queue_wait_seconds_count', cold), 3)
  t.equal(seriesSum(text, 'hestia_cold_requests_total', cold), 3)
  t.equal(seriesSum(text, 'hestia_starts_total', { ...cold, result: 'ready' }), 1)
  t.equal(seriesSum(text, 'hestia_starts_total', { service: 'broken', result: 'failed' }), 1)
  t.equal(seriesSum(text, 'hestia_start_retries_total', { service: 'broken' }), 1)
  t.equal(seriesSum(text, 'hestia_stops_total', { ...cold, reason: 'manual' }), 1)
  t.equal(seriesSum(text, 'hestia_routing_decisions_total', { ...cold, reason: 'base_url' }), 3)
  t.equal(seriesSum(text, 'hestia_instance_state', { ...cold, state: 'cold' }), 1)
  t.equal(seriesSum(text, 'hestia_instance_state', cold), 1, 'one state at a time')

  const all = JSON.parse((await ask(`${gateway.url}/v1/metrics`)).text) as GatewayMetrics
  t.ok(Value.Check(GatewayMetrics, all), JSON.stringify([...Value.Errors(GatewayMetrics, all)].slice(0, 3)))
  t.match(all.counters, { requests: 4, cold_requests: 4, start_retries: 1, starts: { ready: 1, failed: 1, aborted: 0 } })
  t.match(all.gauges, { services: 2, instances: { cold: 2, hot: 0 }, in_flight: 0, waiting: 0 })
  const one = await ask(`${gateway.url}/v1/services/cold/metrics`)
  t.same(JSON.parse(one.text), all.services.cold)
  t.ok(Value.Check(ServiceMetrics, JSON.parse(one.text)))
  t.equal(all.services.cold!.timers.cold_start_boot.count, 1)
  t.ok(all.services.cold!.timers.cold_start_boot.p50_ms! > 0)
  t.same(all.services.cold!.counters.routing_decisions, [{ reason: 'base_url', strategy: null, count: 3 }])
  const unknown = await ask(`${gateway.url}/v1/services/nobody/metrics`)
  t.equal(unknown.status, 404)
  t.match(JSON.parse(unknown.text), { error: 'unknown_service' })
})

t.test('R16 R24 counters survive reloads, also of the plugin itself and failed ones, and count nothing twice', async (t) => {
  const upstream = await httpUpstream(t)
  const both = { a: hot(upstream.url), b: hot(upstream.url) }
  const gateway = await startGateway(t, {
    config: config(both),
    files: { 'plugins/fragile.ts': 'export default { name: "fragile", setup () {} }' },
  })
  const { events } = gateway.gateway
  const ask3 = async (id: string) => {
    for (let i = 0; i < 3; i++) await ask(`${gateway.url}/services/${id}/`)
  }
  await ask3('a')
  await ask3('b')
  const listeners = events.size
  await gateway.configure(config(both, '{ max_services: 400 }'))
  await gateway.event('generation.retired')
  t.equal(events.size, listeners, 'the old generation listens no more')
  await ask3('a')
  await finished(gateway, 9)
  t.equal(seriesSum(await scrape(gateway), 'hestia_requests_total', { service: 'a' }), 6)

  // Its set-up fails after that of this plugin, so that a generation that never serves has begun to count.
  await gateway.write('plugins/fragile.ts', 'export default { name: "fragile", setup () { throw new Error("no") } }')
  await gateway.configure(config(both).replace('metrics: {}', 'metrics: {}, fragile: {}'))
  await gateway.event('reload.rejected')
  await ask3('a')
  await finished(gateway, 12)
  const text = await scrape(gateway)
  t.equal(seriesSum(text, 'hestia_requests_total', { service: 'a' }), 9)
  t.equal(seriesSum(text, 'hestia_routing_decisions_total', { service: 'a' }), 9)
  t.equal(seriesSum(text, 'hestia_reloads_total', { result: 'rejected' }), 1)
  t.ok(seriesSum(text, 'hestia_reloads_total', { result: 'applied' }) >= 1)

  await gateway.configure(config({ a: hot(upstream.url) }))
  await gateway.event('service.removed')
  const without = await scrape(gateway)
  t.notMatch(without, 'service="b"', 'series of removed services are gone')
  t.equal(seriesSum(without, 'hestia_requests_total', { service: 'a' }), 9)

  await gateway.configure(config({ a: hot(upstream.url) }).replace(', metrics: {}', ''))
  await gateway.event('reload.applied', ({ changes }) => changes.includes('plugin metrics switched off'))
  await until(() => gateway.gateway.pool.keys().every((key) => !key.startsWith('metrics.')), 'all that was kept to be given up')
  t.equal((await ask(`${gateway.url}/metrics`)).status, 404)
})

t.test('R24 label values are bounded: names that nobody configured and services beyond the bound share one', async (t) => {
  const upstream = await httpUpstream(t)
  const services = Object.fromEntries(['a', 'b', 'c', 'd'].map((id) => [id, hot(upstream.url)]))
  const gateway = await startGateway(t, { config: config(services, '{ max_services: 2 }') })
  for (const id of Object.keys(services)) await ask(`${gateway.url}/services/${id}/`)
  for (let i = 0; i < 20; i++) await ask(`${gateway.url}/services/invented-${i}/`)
  await finished(gateway, 24)
  const text = await scrape(gateway)
  const names = new Set([...text.matchAll(/service="([^"]*)"/g)].map(([, name]) => name))
  t.same([...names].toSorted(), ['(other)', 'a', 'b'])
  t.equal(seriesSum(text, 'hestia_requests_total'), 24)
})

/** Requests of all kinds, so that every metric has a series. */
async function busyGateway(t: Test) {
  const gateway = await coldGateway(t)
  await ask(`${gateway.url}/services/cold/`)
  await ask(`${gateway.url}/services/broken/`)
  await ask(`${gateway.url}/services/nobody/"quoted"`)
  await finished(gateway, 3)
  const { events } = gateway.gateway
  events.emit('events.dropped', { consumer: 'test', count: 1 })
  events.emit('exclusive.decided', { group: 'gpu', service: 'cold', instance: 'default', action: 'grant', reason: 'finds room' })
  events.emit('machine.woken', { machine: 'box', durationMs: 1, packets: 1 })
  events.emit('machine.wake_failed', { machine: 'box', error: 'no answer', durationMs: 1, retryAfterMs: 1 })
  events.emit('auth.denied', { caller: 'nobody', code: 'unauthorized', reason: 'no key', untold: 2 })
  await gateway.instance('cold').stop('manual')
  return gateway
}

const hasPromtool = spawnSync('promtool', ['--version']).status === 0
t.test(
  'R24 promtool finds nothing to complain about',
  { skip: hasPromtool ? false : 'promtool is not installed (Debian: apt-get install prometheus)' },
  async (t) => {
    const gateway = await busyGateway(t)
    const text = await scrape(gateway)
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
    t.equal(status, 0, `${stdout}${stderr}`)
    t.equal(`${stdout}${stderr}`.trim(), '')
  },
)

t.test('R24 R28 R22 decisions about places, machines and callers are counted', async (t) => {
  const text = await scrape(await busyGateway(t))
  for (const line of [
    'hestia_exclusive_decisions_total{service="cold",service_instance="default",action="grant"} 1',
    'hestia_machine_wakes_total{machine="box",result="woken"} 1',
    'hestia_machine_wakes_total{machine="box",result="failed"} 1',
    'hestia_requests_denied_total{code="unauthorized"} 3',
  ])
    t.ok(text.includes(`${line}\n`), line)
})

t.test('R24 text for Prometheus, OpenMetrics for who asks for it; every name in the dashboard exists', async (t) => {
  const gateway = await busyGateway(t)
  const plain = await ask(`${gateway.url}/metrics`)
  t.match(plain.headers['content-type'], /^text\/plain; version=0\.0\.4/)
  const open = await ask(`${gateway.url}/metrics`, {
    headers: { accept: 'application/openmetrics-text; version=1.0.0, */*;q=0.1' },
  })
  t.match(open.headers['content-type'], /^application\/openmetrics-text/)
  t.match(open.text, /^# TYPE hestia_requests counter$/m)
  t.match(open.text, /^hestia_requests_total\{/m)
  t.match(open.text, /\n# EOF\n$/)

  const names = new Set([...plain.text.matchAll(/^(\w+)[ {]/gm)].map(([, name]) => name))
  const dashboard = readFileSync(new URL('../../examples/grafana/hestia.json', import.meta.url), 'utf8')
  const asked = new Set([...dashboard.matchAll(/\b(?:hestia|process|nodejs)_[a-z0-9_]+/g)].map(([name]) => name))
  t.ok(asked.size > 15, `${asked.size} names`)
  for (const name of asked) t.ok(names.has(name), `${name} is there`)
  const expressions = [...dashboard.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(([, text]) => JSON.parse(text!) as string)
  t.ok(expressions.length > 20)
  if (!hasPromtool) return
  const rules = expressions.map((expression, i) => ({
    record: `dashboard:${i}`,
    expr: expression.replace(/\$__(?:rate_interval|range)/g, '5m').replace(/\$(?:service|job)/g, '.*'),
  }))
  const file = `${t.testdir({})}/rules.yml`
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }))
  t.doesNotThrow(() => execFileSync('promtool', ['check', 'rules', file], { stdio: 'pipe' }), 'Prometheus can read the queries')
})

t.test('R24 the metrics of the process can be left out', async (t) => {
  const upstream = await httpUpstream(t)
  const gateway = await startGateway(t, { config: config({ a: hot(upstream.url) }, '{ process: false }') })
  t.notMatch(await scrape(gateway), /^(process|nodejs)_/m)
})
