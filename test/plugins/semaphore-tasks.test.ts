import t from 'tap'
import { startGateway } from '../helpers/gateway.ts'
import { get, isLook, isStart, post, refusal, startAll } from '../helpers/semaphore-server/gateway.ts'
import { managedService } from '../helpers/semaphore-server/service.ts'
import { startSemaphore } from '../helpers/semaphore-server.ts'
import { until } from '../helpers/until.ts'

t.test('R20 C8 looks that fail: 500, 502, cut and slow ones are asked again', async (t) => {
  const { semaphore, gateway } = await startAll(t, { start: { run: () => undefined, durationMs: 300, outcome: 'error' } })
  for (const kind of [500, 502, 503, 429, 'reset'] as const) semaphore.fault(kind, isLook)
  t.match(await refusal(t, gateway), /task 8 of Semaphore \(start\) ended with error/)
})

t.test('R20 C8 one look at a task that is answered 400 is nothing, three in a row are its end', async (t) => {
  const { semaphore, gateway, service } = await startAll(t, { start: { run: () => undefined, hang: 'running' } })
  semaphore.fault(400, isLook, 2)
  const answer = get(gateway)
  await until(() => semaphore.count('GET', /\/tasks\/8$/) > 5)
  semaphore.fault(400, isLook, Infinity)
  await gateway.event('instance.progress', ({ note }) => note.includes('task 8'))
  await until(async () =>
    JSON.parse((await get(gateway, '/v1/services/svc/status')).text).automation.last_task?.error?.includes('not there any more'),
  )
  service.up()
  t.equal((await answer).status, 200, 'the service may come all the same')
})

t.test('R19 C8 statuses: repeated, skipped, backwards, unknown', async (t) => {
  const { semaphore, gateway } = await startAll(t, { start: { run: () => undefined, durationMs: 10 } })
  semaphore.script(
    'waiting',
    'waiting',
    'starting',
    'waiting',
    'confirmed',
    'levitating',
    'levitating',
    'rejected',
    'running',
    'error',
  )
  t.match(await refusal(t, gateway), /ended with error/)
  const notes = gateway.events.flatMap((event) =>
    event.type === 'instance.progress' && event.note.startsWith('task 8 of Semaphore is') ? [event.note.slice(23)] : [],
  )
  t.same(notes, ['waiting', 'starting', 'waiting', 'confirmed', 'levitating', 'rejected', 'running', 'error'])
})

t.test('R20 5.4 a task that ends: stopped by somebody, failed, with the end of what it wrote and no secret', async (t) => {
  const stopped = await startAll(t, { start: { run: () => undefined, outcome: 'stopped' } })
  t.match(await refusal(t, stopped.gateway), /ended with stopped/)
  const output = `${'x'.repeat(200_000)}\n\u001b[31mfatal: [nas1]\u001b[0m: UNREACHABLE! db_password=hunter2 token: abcdef\nurl http://me:pass@host/`
  const failed = await startAll(t, {
    start: { run: () => undefined, outcome: 'error', output: `${output}\ngv8kzr1b2o_9x4-tq3uwe5yn7c0a6ldmfhsij1p2k3r4=` },
  })
  const message = await refusal(t, failed.gateway)
  t.match(message, /ended with error; the end of its output:\n/)
  t.match(message, /fatal: \[nas1\]: UNREACHABLE! db_password=\*\*\* token: \*\*\*/)
  t.notMatch(message, /hunter2|abcdef|pass@|gv8kzr/)
  t.notOk(message.includes('\u001b'))
  t.ok(message.length < 1500, `${message.length}`)
  t.same(
    failed.semaphore.tasks().map(({ template_id }) => template_id),
    [3, 4],
    'what it did is undone',
  )
  t.match(JSON.parse((await get(failed.gateway, '/v1/services/svc/status')).text).automation.last_task, {
    action: 'stop',
    status: 'success',
  })
})

t.test('R20 5.4 a task fails while the probe passes: the service is up', async (t) => {
  const { service, gateway } = await startAll(t, { start: { outcome: 'error', durationMs: 150 } })
  t.equal((await get(gateway)).status, 200)
  await until(
    async () => JSON.parse((await get(gateway, '/v1/services/svc/status')).text).automation.last_task?.status === 'error',
  )
  t.equal((await get(gateway)).status, 200)
  t.ok(service.isUp)
})

t.test('R20 5.4 a task that waits for ever: taken back, never forced, 503 that says what to do', async (t) => {
  const { semaphore, gateway } = await startAll(t, { start: { hang: 'waiting' }, section: ', queue_timeout_ms: 200' })
  t.match(
    await refusal(t, gateway),
    /task 8 of Semaphore waited for its turn for 200 ms \(semaphore.queue_timeout_ms\); if nothing else of template 3 runs, .*restart it/,
  )
  t.same(
    semaphore.seen.filter(({ path }) => path.endsWith('/stop')).map(({ body }) => body),
    [{ force: false }],
  )
  await until(() => semaphore.tasks()[0]!.status === 'stopped')
  t.equal(semaphore.tasks().length, 1, 'what never ran needs no stop')
  t.same([semaphore.state.runs, semaphore.state.ghosts], [[], []])
})

t.test('R20 5.4 a task that waits for a confirmation: stopped, and said', async (t) => {
  const { semaphore, gateway } = await startAll(t, { start: { run: () => undefined, outcome: 'waiting_confirmation' } })
  t.match(await refusal(t, gateway), /task 8 of Semaphore waits for somebody to confirm it: switch on auto-approve in template 3/)
  t.equal(semaphore.tasks()[0]!.status, 'stopped')
})

t.test('R10 R20 a task that does not stop is forced to, once it has had its time', async (t) => {
  const { semaphore, gateway } = await startAll(t, {
    start: { run: () => undefined, hang: 'running', ignoresStop: true },
    section: ', task_timeout_ms: 150',
  })
  t.match(await refusal(t, gateway), /was not over within 150 ms/)
  t.same(
    semaphore.seen.filter(({ path }) => path.endsWith('/8/stop')).map(({ body }) => body),
    [{ force: false }, { force: true }],
  )
  t.equal(semaphore.tasks()[0]!.status, 'stopped')
})

t.test('R20 a stop that fails: said as an event, and the next request works', async (t) => {
  const { semaphore, gateway } = await startAll(t, { stop: { run: () => undefined, outcome: 'error', output: 'no such unit' } })
  t.equal((await get(gateway)).status, 200)
  await gateway.instance('svc').stop('manual')
  const { error } = await gateway.event('hook.failed', ({ plugin }) => plugin === 'semaphore')
  t.match(error, /svc\/default may still be running: task 9 of Semaphore \(stop\) ended with error; .*\n(.*\n)*no such unit/)
  t.equal((await get(gateway)).status, 200)
  t.equal(semaphore.tasks().length, 3)
})

t.test('R19 one template for both, and no template to stop with', async (t) => {
  const semaphore = await startSemaphore(t)
  const service = await managedService(t)
  const act = (run: { extraVars: Readonly<Record<string, unknown>> | undefined }) =>
    run.extraVars?.hestia_action === 'start' ? service.up() : service.down()
  semaphore.template({ id: 3, name: 'svc' }, { run: act, durationMs: 100 })
  const config = (stop: string) => `
plugins: { semaphore: { base_url: ${semaphore.url}, token: "${semaphore.knobs.token}", project: 1, poll_interval_ms: 20 } }
services: { svc: { base_url: ${service.url}, health: { url: / }, semaphore: { start_template: svc${stop} } } }`
  const gateway = await startGateway(t, { config: config(', stop_template: svc') })
  for (let round = 0; round < 2; round++) {
    t.equal((await get(gateway)).status, 200)
    await gateway.instance('svc').stop('manual')
  }
  t.same(service.journal, ['up', 'down', 'up', 'down'])
  const without = await startGateway(t, { config: config('') })
  t.equal((await get(without)).status, 200)
  await without.instance('svc').stop('manual')
  t.ok(service.isUp)
})

t.test('R8 without a probe the end of the task decides', async (t) => {
  const { semaphore, gateway, config } = await startAll(t, { start: { durationMs: 200 } })
  await gateway.configure(config.replace('health: { url: /health }', 'warmup_ms: 0'))
  await gateway.gateway.reload()
  t.equal((await get(gateway)).status, 200)
  t.equal(semaphore.tasks()[0]!.status, 'success')
})

t.test('R20 POST /v1/semaphore/start and /stop, GET status', async (t) => {
  const { semaphore, service, gateway } = await startAll(t, {
    startTemplate: { survey_vars: [{ name: 'colour', title: 'Colour' }] },
    stop: { durationMs: 100 },
  })
  const order = { serviceId: 'svc', machineId: 'nas1' }
  const started = await post(gateway, '/v1/semaphore/start', { ...order, environment: { colour: 'red' }, timeout: 5000 })
  t.equal(started.status, 202, started.text)
  t.match(JSON.parse(started.text), { taskId: 8, status: 'waiting', action: 'start', serviceId: 'svc', machineId: 'nas1' })
  await gateway.event('instance.ready')
  t.match(semaphore.tasks()[0], { environment: '{"colour":"red"}' })
  await until(() => semaphore.tasks()[0]!.status === 'success')
  t.equal((await post(gateway, '/v1/semaphore/start', order)).status, 409)
  const again = await post(gateway, '/v1/semaphore/start', { ...order, force: true })
  t.equal(again.status, 202)
  t.match(JSON.parse(again.text), { taskId: 9 })
  t.equal(gateway.instance('svc').state, 'hot')
  await until(() => semaphore.tasks()[1]!.status === 'success')
  const shown = await get(gateway, '/v1/semaphore/status?serviceId=svc&machineId=nas1')
  t.match(JSON.parse(shown.text), {
    provider: 'semaphore',
    current_task: null,
    last_task: { id: 9, action: 'start', status: 'success' },
  })
  const stopped = await post(gateway, '/v1/semaphore/stop', order)
  t.equal(stopped.status, 202, stopped.text)
  t.match(JSON.parse(stopped.text), { taskId: 10, action: 'stop' })
  const during = await get(gateway, '/v1/semaphore/status?serviceId=svc')
  t.match(JSON.parse(during.text), { current_task: { id: 10, action: 'stop' }, last_task: { id: 9 } })
  t.equal((await post(gateway, '/v1/semaphore/start', order)).status, 409, 'while it stops')
  await gateway.event('instance.stopped')
  t.notOk(service.isUp)
  t.equal((await post(gateway, '/v1/semaphore/stop', order)).status, 409)
  const forced = await post(gateway, '/v1/semaphore/stop', { ...order, force: true })
  t.match(JSON.parse(forced.text), { taskId: 11, action: 'stop' })
  await until(() => semaphore.tasks()[3]!.status === 'success')
  await until(() => Object.keys(gateway.instance('svc').data).length === 0, 'nothing to be left of it')
})

t.test('R20 routes of Semaphore by hand: what is wrong with an order', async (t) => {
  const { semaphore, gateway, config } = await startAll(t)
  await gateway.configure(`${config}  other:\n    base_url: http://127.0.0.1:9\n    warmup_ms: 0\n`)
  await gateway.gateway.reload()
  const cases = [
    ['/v1/semaphore/start', { serviceId: 'svc' }, 400, 'invalid_request'],
    ['/v1/semaphore/stop', { machineId: 'nas1' }, 400, 'invalid_request'],
    ['/v1/semaphore/start', '{"serviceId":', 400, 'invalid_request'],
    [
      '/v1/semaphore/start',
      { serviceId: 'svc', machineId: 'nas1', environment: { ansible_user: 'root' } },
      400,
      'invalid_request',
    ],
    ['/v1/semaphore/start', { serviceId: 'svc', machineId: 'nas1', environment: { a: '$(reboot)' } }, 400, 'invalid_request'],
    ['/v1/semaphore/start', { serviceId: 'nobody', machineId: 'nas1' }, 404, 'unknown_service'],
    ['/v1/semaphore/start', { serviceId: 'svc', machineId: 'moon' }, 404, 'not_found'],
    ['/v1/semaphore/stop', { serviceId: 'other', machineId: 'nas1' }, 404, 'not_found'],
    ['/v1/semaphore/stop', { serviceId: 'svc', machineId: 'nas1' }, 409, 'already_stopped'],
  ] as const
  for (const [path, body, status, error] of cases) {
    const answer = await post(gateway, path, body)
    t.equal(answer.status, status, answer.text)
    t.match(JSON.parse(answer.text), { error, message: String, request_id: String })
  }
  t.equal((await post(gateway, '/v1/semaphore/start', 'x', 'text/plain')).status, 415)
  t.equal((await get(gateway, '/v1/semaphore/status')).status, 400)
  t.equal((await get(gateway, '/v1/semaphore/status?serviceId=nobody')).status, 404)
  t.equal((await get(gateway, '/v1/semaphore/start')).status, 405)
  const order = { serviceId: 'svc', machineId: 'nas1' }
  const { token } = semaphore.knobs
  semaphore.knobs.token = 'other'
  const refused = await post(gateway, '/v1/semaphore/start', order)
  t.equal(refused.status, 502, refused.text)
  t.match(JSON.parse(refused.text), { error: 'upstream_failed', provider: 'semaphore' })
  t.equal((await get(gateway, '/v1/semaphore/status?serviceId=svc')).status, 502)
  semaphore.knobs.token = token
  await semaphore.down()
  await gateway.configure(config.replace('poll_interval_ms: 20', 'poll_interval_ms: 20, timeout_ms: 300'))
  await gateway.gateway.reload()
  const unreachable = await post(gateway, '/v1/semaphore/start', order)
  t.match([unreachable.status, JSON.parse(unreachable.text)], [502, { error: 'upstream_unreachable' }])
  await semaphore.up()
  semaphore.fault('hang', () => true, 100)
  const slow = await post(gateway, '/v1/semaphore/start', order)
  t.match([slow.status, JSON.parse(slow.text)], [504, { error: 'upstream_timeout' }])
  t.equal((await get(gateway, '/v1/semaphore/status?serviceId=svc')).status, 504)
})

t.test('R20 a stop by hand that Semaphore refuses is answered with why', async (t) => {
  const { semaphore, gateway } = await startAll(t)
  t.equal((await get(gateway)).status, 200)
  await until(() => semaphore.tasks()[0]!.status === 'success')
  semaphore.fault(500, isStart)
  const answer = await post(gateway, '/v1/semaphore/stop', { serviceId: 'svc', machineId: 'nas1' })
  t.match([answer.status, JSON.parse(answer.text)], [502, { error: 'upstream_failed', message: /was answered 500/ }])
})

t.test(
  'R20 C10 the role is taken away while the service is up: the stop that is refused is said, and the next request works',
  async (t) => {
    const { semaphore, service, gateway } = await startAll(t)
    t.equal((await get(gateway)).status, 200)
    await until(() => semaphore.tasks()[0]!.status === 'success')
    semaphore.knobs.guest = true
    await gateway.instance('svc').stop('manual')
    const { error } = await gateway.event('hook.failed', ({ plugin }) => plugin === 'semaphore')
    t.match(error, /svc\/default may still be running: .* was answered 403: its user needs at least the role "Task Runner"/)
    t.ok(service.isUp)
    semaphore.knobs.guest = false
    t.equal((await get(gateway)).status, 200)
  },
)

t.test('R20 C10 C11 the task is gone when it is to be ended, and so is its output', async (t) => {
  const { semaphore, service, gateway } = await startAll(t, { start: { hang: 'running' } })
  t.equal((await get(gateway)).status, 200)
  await until(() => semaphore.tasks()[0]!.status === 'running')
  semaphore.state.remove(8)
  await gateway.instance('svc').stop('manual')
  t.same(service.journal, ['up', 'down'], 'what it did is undone all the same')

  const mute = await startAll(t, { start: { run: () => undefined, outcome: 'error' } })
  mute.semaphore.fault(400, (_method, path) => path.endsWith('output'), Infinity)
  t.match(await refusal(t, mute.gateway), /task 8 of Semaphore \(start\) ended with error; it wrote nothing/)
})

t.test('R20 C11 an output without an end: only its last lines are kept, in little memory', async (t) => {
  for (const version of ['2.16.40', '2.10.32']) {
    const lines = Array.from({ length: 20_000 }, (_, i) => `TASK ${i} ${'x'.repeat(200)}`).join('\n')
    const { gateway } = await startAll(t, {
      server: { knobs: { version } },
      start: { run: () => undefined, outcome: 'error', output: `${lines}\nfatal: no such unit` },
    })
    const message = await refusal(t, gateway)
    t.match(message, /TASK 19999 x+\nfatal: no such unit/, version)
    t.ok(message.length < 1500)
  }
  const { semaphore, gateway } = await startAll(t, {
    server: { knobs: { version: '2.12.17' } },
    start: { run: () => undefined, outcome: 'error' },
  })
  const add = semaphore.state.add.bind(semaphore.state)
  semaphore.state.add = (given, status) => {
    const row = add(given, status)
    // Servers say null of what has no lines.
    row.output.push = () => 0
    row.output.length = 0
    return row
  }
  t.match(await refusal(t, gateway), /ended with error; it wrote nothing/)
})

t.test('R19 C8 C9 done between two looks; looks on from a proxy that turns them away', async (t) => {
  const { semaphore, gateway } = await startAll(t, { start: { durationMs: 0 } })
  semaphore.script('waiting', 'success')
  semaphore.fault('html', isLook)
  t.equal((await get(gateway)).status, 200)
  await until(async () => {
    const { automation } = JSON.parse((await get(gateway, '/v1/services/svc/status')).text)
    return automation.last_task?.status === 'success' || automation.last_task?.error
  })
  t.equal(gateway.instance('svc').state, 'hot')
})

t.test('R20 hiccups of a proxy before a start and before a stop: asked again, and nothing is left running', async (t) => {
  const { semaphore, service, gateway } = await startAll(t)
  const isList = (method: string, path: string) => method === 'GET' && path.endsWith('/tasks/last')
  for (const kind of [502, 'reset'] as const) {
    for (const matches of [isList, (_: string, path: string) => path.endsWith('/templates/3')]) semaphore.fault(kind, matches)
    t.equal((await get(gateway)).status, 200)
    semaphore.fault(kind, isList)
    await gateway.instance('svc').stop('manual')
    t.notOk(service.isUp)
  }
  t.notOk(gateway.events.some(({ type }) => type === 'hook.failed'))
  semaphore.fault(503, isList, Infinity)
  t.match(await refusal(t, gateway), /tasks\/last\?limit=20 was answered 503/, 'but not for ever')
})
