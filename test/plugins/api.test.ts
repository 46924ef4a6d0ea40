import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'

/** A starter whose starts end when the test says so, or fail; what runs is in its kept value. */
const starter = `
import { definePlugin, Type } from 'hestia'
export default definePlugin({
  name: 'fake',
  service: Type.Object({ delay_ms: Type.Integer({ default: 0 }), fail: Type.Boolean({ default: false }) }, { additionalProperties: false, default: {} }),
  starter: { reportsReadiness: true },
  setup (app) {
    app.hestia.hook('beforeStart', async ({ instance, signal }) => {
      const { delay_ms, fail } = instance.section('fake')
      await new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, delay_ms)
        signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason) })
      })
      if (fail) throw new Error('the fake was told to fail')
    })
    app.hestia.hook('onIdle', () => {})
  }
})`
const CONFIG = `
plugins: { defaults: false, api: {}, fake: {} }
machines: { box: { address: 10.0.0.1 } }
services:
  one: { base_url: "http://127.0.0.1:1", machine: box, fake: {} }
  slow: { base_url: "http://127.0.0.1:2", fake: { delay_ms: 600000 } }
  bad: { base_url: "http://127.0.0.1:3", fake: { fail: true } }
`
const start = (t: Parameters<typeof startGateway>[0]) =>
  startGateway(t, { config: CONFIG, files: { 'plugins/fake.ts': starter } })
const call = async ({ url }: RunningGateway, path: string, method = 'GET') => {
  const answer = await fetch(url + path, { method })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown>, headers: answer.headers }
}

t.test('status tells everything and starts nothing', async (t) => {
  const gateway = await start(t)
  const { status, body } = await call(gateway, '/v1/services/one/status')
  t.equal(status, 200)
  t.match(body, {
    serviceId: 'one',
    state: 'cold',
    readiness: 'not_ready',
    machineId: 'box',
    queuePending: 0,
    instances: [{ name: 'default', url: 'http://127.0.0.1:1', state: 'cold', inFlight: 0, idleMs: null, lastError: null }],
    automation: { enabled: true, provider: 'fake', machine_id: 'box', current_task: null, last_task: null },
  })
  const list = await call(gateway, '/v1/services')
  t.same(
    (list.body as unknown as { serviceId: string }[]).map(({ serviceId }) => serviceId),
    ['one', 'slow', 'bad'],
  )
  t.match(await call(gateway, '/v1/services/none/status'), {
    status: 404,
    body: { error: 'unknown_service', message: /one, slow, bad/ },
  })
  t.equal(gateway.events.filter(({ type }) => type === 'instance.state').length, 0)
})

t.test('start and stop: 202, then 409 while it is so already', async (t) => {
  const gateway = await start(t)
  t.match(await call(gateway, '/v1/services/one/stop', 'POST'), {
    status: 409,
    body: { error: 'already_stopped', state: 'cold' },
  })
  t.match(await call(gateway, '/v1/services/one/start', 'POST'), { status: 202, body: { serviceId: 'one', state: 'starting' } })
  await until(() => gateway.service('one').state === 'hot')
  t.match(await call(gateway, '/v1/services/one/start', 'POST'), {
    status: 409,
    body: { error: 'already_running', state: 'hot' },
  })
  const { body } = await call(gateway, '/v1/services/one/status')
  t.match(body, { state: 'hot', readiness: 'ready', instances: [{ idleMs: Number }] })
  t.match(await call(gateway, '/v1/services/one/stop', 'POST'), { status: 202, body: { state: 'stopping' } })
  await until(() => gateway.service('one').state === 'cold')

  t.match(await call(gateway, '/v1/services/slow/start', 'POST'), { status: 202 })
  t.match(await call(gateway, '/v1/services/slow/start', 'POST'), { status: 409, body: { state: 'starting' } })
  t.match(await call(gateway, '/v1/services/slow/stop', 'POST'), { status: 202 })
  await until(() => gateway.service('slow').state === 'cold')
  for (const path of ['/v1/services/none/start', '/v1/services/none/stop'])
    t.equal((await call(gateway, path, 'POST')).status, 404)
})

t.test('R7: a failed start by hand is in the status, and can be tried again at once', async (t) => {
  const gateway = await start(t)
  await call(gateway, '/v1/services/bad/start', 'POST')
  await gateway.event('instance.start_failed')
  const { body } = await call(gateway, '/v1/services/bad/status')
  t.match(body, { state: 'cold', instances: [{ coolingMs: Number, lastError: /told to fail/ }] })
  t.equal((await call(gateway, '/v1/services/bad/start', 'POST')).status, 202)
})

t.test('plugins are shown with their hooks in order, strategies with what uses them', async (t) => {
  const gateway = await startGateway(t, {
    config: `${CONFIG}  picked: { base_url: "http://127.0.0.1:4", strategy: first, routing: {}, fake: {} }\n`,
    files: {
      'plugins/fake.ts': starter,
      'strategies/first.ts': `export default { name: 'first', select: (request, service) => service.instances[0] }`,
      'strategies/twin.ts': `export default { name: 'first', select: () => undefined }`,
    },
  })
  const { body } = await call(gateway, '/v1/plugins')
  t.match(body, {
    generation: 1,
    problems: [],
    plugins: [
      { name: 'api', source: 'plugins/api/index.ts', state: 'on', hooks: {} },
      { name: 'fake', source: 'plugins/fake.ts', state: 'on', setupMs: Number, hooks: { beforeStart: [1], onIdle: [1] } },
    ],
    hooks: { beforeStart: [{ plugin: 'fake', order: 'normal' }] },
  })
  const strategies = await call(gateway, '/v1/strategies')
  t.match(strategies.body, {
    service_configurations: { picked: { strategy: 'first', routing: {}, loaded: true } },
    failed: [{ problems: [{ file: 'strategies/twin.ts', message: /belongs to strategies\/first\.ts already/ }] }],
  })
  const names = (strategies.body as { loaded_strategies: { name: string }[] }).loaded_strategies.map(({ name }) => name)
  t.ok(names.includes('first') && names.includes('model_router'), 'own and shipped ones')
})

t.test('R16: reload answers what changed, and 422 with every problem', async (t) => {
  const gateway = await start(t)
  t.same((await call(gateway, '/v1/reload', 'POST')).body, { generation: 1, changes: [] })
  await gateway.configure(CONFIG.replace('one:', 'uno:'))
  const changed = await call(gateway, '/v1/reload', 'POST')
  t.equal(changed.status, 200)
  t.equal(gateway.gateway.generation, 2)
  t.equal((await call(gateway, '/v1/services/uno/status')).status, 200)
  t.equal((await call(gateway, '/v1/services/one/status')).status, 404)
  await gateway.configure(CONFIG.replace('machine: box', 'machine: bux').replace('delay_ms: 600000', 'delay: 5'))
  const refused = await call(gateway, '/v1/reload', 'POST')
  t.equal(refused.status, 422)
  t.match(refused.body, {
    error: 'invalid_config',
    problems: [
      { line: Number, message: /box/ },
      { line: Number, message: /delay_ms/ },
    ],
  })
  t.match(await call(gateway, '/__ready'), { status: 200, body: { status: 'ready', config: 'refused', generation: 2 } })
  t.equal((await call(gateway, '/v1/services/uno/status')).status, 200, 'the old one serves')
})

t.test('events come as SSE, filtered by type, across a reload', async (t) => {
  const gateway = await start(t)
  const stream = await fetch(`${gateway.url}/v1/events?types=instance.state,reload.`)
  t.match(stream.headers.get('content-type'), /text\/event-stream/)
  let text = ''
  const reading = (async () => {
    for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) text += chunk
  })().catch(() => undefined)
  await call(gateway, '/v1/services/one/start', 'POST')
  await until(() => text.includes('"to":"hot"'), 'the state in the stream')
  await gateway.configure(`${CONFIG}  more: { base_url: "http://127.0.0.1:9", fake: {} }\n`)
  await until(() => text.includes('event: reload.applied'), 'the reload in the stream')
  await call(gateway, '/v1/services/more/start', 'POST')
  await until(() => /"service":"more".*"to":"hot"/.test(text), 'events of the new generation in the old stream')
  t.notMatch(text, /instance\.ready/)
  for (const line of text.split('\n').filter((line) => line.startsWith('data: ')))
    t.match(JSON.parse(line.slice(6)), { type: String, at: Number })
  await gateway.close()
  await reading
  t.pass('the stream ends with the gateway')
})

t.test('R24 a reader of events that falls behind is cut off, and told of; others go on', async (t) => {
  const running = await startGateway(t, { config: 'plugins: { defaults: false, api: { event_buffer: 5 } }\nservices: {}\n' })
  const { gateway, port, url, event, events } = running
  const open = async () => {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.on('error', () => undefined).write('GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await once(socket, 'data')
    return socket
  }
  const [slow, quick] = [await open(), await open()]
  let received = 0
  quick.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  slow.pause()
  const isCut = () => events.some(({ type }) => type === 'events.dropped')
  let told = 0
  // Each is more than a reader takes at once; the quick one gets the time for it.
  await until(() => {
    if (!isCut() && received >= told * 100_000) {
      told++
      gateway.events.emit('hook.failed', { hook: 'onReady', plugin: 'talkative', error: 'x'.repeat(100_000) })
    }
    return isCut()
  }, 'the slow one to be cut off')
  t.match(await event('events.dropped'), { consumer: 'api', count: 6 })
  slow.resume()
  await once(slow, 'close')
  gateway.events.emit('hook.failed', { hook: 'onReady', plugin: 'talkative', error: 'the end' })
  await until(() => received >= told * 100_000, 'the quick one to have everything')
  t.notOk(quick.closed)
  t.equal((await fetch(`${url}/__health`)).status, 200)
})

t.test('promise 9: a reload that does not concern a service leaves it alone', async (t) => {
  const gateway = await start(t)
  await gateway.instance('one').start()
  const instance = gateway.instance('one')
  const before = gateway.events.length
  await gateway.configure(CONFIG.replace('http://127.0.0.1:2', 'http://127.0.0.1:22'))
  await gateway.gateway.reload()
  t.equal(gateway.instance('one'), instance)
  t.equal(instance.state, 'hot')
  const concerned = gateway.events.slice(before).filter(({ type }) => type.startsWith('service.') || type.startsWith('instance.'))
  t.match(concerned, [{ type: 'service.changed', service: 'slow' }])
  t.equal(concerned.length, 1)
  await gateway.configure(CONFIG.replace(/ {2}one.*\n/, ''))
  await gateway.gateway.reload()
  await until(() => instance.state === 'cold', 'the removed service to be stopped')
  t.match(
    gateway.events.find(({ type }) => type === 'instance.stopped'),
    { reason: 'removed' },
  )
})

t.test('R23 a request to Hestia itself is told of, without its query; one to a service is not told twice', async (t) => {
  const gateway = await startGateway(t, { config: 'services: { web: { base_url: "http://127.0.0.1:1", warmup_ms: 1 } }' })
  await ask(`${gateway.url}/v1/activities?cursor=secret`)
  await ask(`${gateway.url}/v1/services/web/stop`, { method: 'POST', headers: { 'x-request-id': 'mine' } })
  await ask(`${gateway.url}/services/web/x`)
  await ask(`${gateway.url}/services/none/x`)
  const told = gateway.events.filter(({ type }) => type === 'request.answered')
  t.match(told, [
    { method: 'GET', path: '/v1/activities', status: 400, totalMs: Number },
    { method: 'POST', path: '/v1/services/web/stop', status: 409, requestId: 'mine' },
  ])
  t.equal(told.length, 2)
  t.notMatch(JSON.stringify(told), /secret/)
  t.equal(gateway.events.filter(({ type }) => type === 'request.finished').length, 2)
})

t.test('R17 a level under a name that nothing has is refused with a suggestion', async (t) => {
  const config = (levels: string) => `log: { levels: { ${levels} } }\nplugins: { mine: {}, exclusive: false }\nservices: {}\n`
  const files = { 'plugins/mine.ts': `export default { name: 'mine', setup () {} }` }
  const gateway = await startGateway(t, { config: config('request: debug, mine: trace, exclusive: warn'), files })
  await gateway.configure(config('instnace: debug, mine: trace, nothing-like-it: info'))
  const { status, body } = await call(gateway, '/v1/reload', 'POST')
  t.equal(status, 422)
  t.match(body.problems, [
    { line: 3, path: 'log.levels.instnace', message: /did you mean "instance"/ },
    { line: 3, path: 'log.levels.nothing-like-it', message: /no plugin and no family of events/ },
  ])
  t.equal((body.problems as unknown[]).length, 2)
})
