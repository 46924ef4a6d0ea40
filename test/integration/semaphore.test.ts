import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Pool } from 'undici'
import { startChildGateway } from '../helpers/child-gateway.ts'
import type { RunningGateway } from '../helpers/gateway.ts'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { type ManagedService, managedService } from '../helpers/semaphore-server/service.ts'
import type { Behaviour } from '../helpers/semaphore-server/state.ts'
import { type SemaphoreServer, startSemaphore } from '../helpers/semaphore-server.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

type Test = Parameters<typeof startGateway>[0]

interface World {
  readonly semaphore: SemaphoreServer
  readonly service: ManagedService
  readonly config: string
}

/** Semaphore with a start and a stop template for a service, and the configuration of a gateway that uses them. */
async function world(
  t: Test,
  options: { start?: Behaviour; stop?: Behaviour; section?: string; more?: string; plugin?: string } = {},
): Promise<World> {
  const semaphore = await startSemaphore(t)
  const service = await managedService(t)
  semaphore.template({ id: 3, name: 'svc start' }, { run: () => service.up(), ...options.start })
  semaphore.template({ id: 4, name: 'svc stop' }, { run: () => service.down(), ...options.stop })
  const config = `
plugins:
  semaphore: { base_url: ${semaphore.url}, token: "${semaphore.knobs.token}", poll_interval_ms: 20${options.plugin ?? ''} }
services:
  svc:
    base_url: ${service.url}
    health: { url: /health }
    semaphore: { project: home, start_template: svc start, stop_template: svc stop${options.section ?? ''} }
    start: { cooldown_ms: 10 }
${options.more ?? ''}`
  return { semaphore, service, config }
}

const get = (gateway: RunningGateway, path = '/services/svc/x') => ask(gateway.url + path)
const statusOf = async (gateway: RunningGateway) => JSON.parse((await get(gateway, '/v1/services/svc/status')).text)

t.test('R19 a request to a cold service: its start task, its probe, forwarded; idle: its stop task', async (t) => {
  const { semaphore, service, config } = await world(t, { more: '    idle: { timeout_ms: 100 }' })
  const gateway = await startGateway(t, { config })
  t.match(await statusOf(gateway), {
    state: 'cold',
    automation: { enabled: true, provider: 'semaphore', current_task: null, last_task: null },
  })
  t.equal(semaphore.tasks().length, 0, 'looking starts nothing')
  const answer = await get(gateway)
  t.equal(answer.status, 200)
  t.equal(answer.text, 'hello from /x')
  const [start] = semaphore.tasks()
  t.match(start, {
    template_id: 3,
    message: /^hestia:svc:start:[0-9A-Z]{26}$/,
    environment: '{"hestia_service":"svc","hestia_action":"start"}',
  })
  await gateway.event('instance.stopped')
  t.notOk(service.isUp)
  const [, stop] = semaphore.tasks()
  t.match(stop, { template_id: 4, message: /^hestia:svc:stop:/, status: 'success' })
  t.same(service.journal, ['up', 'down'])
  t.match(await statusOf(gateway), {
    state: 'cold',
    automation: { current_task: null, last_task: { id: stop!.id, action: 'stop', status: 'success', error: null } },
  })
  t.equal((await get(gateway)).status, 200, 'and again')
  t.equal(semaphore.tasks().length, 3)
  t.same(semaphore.state.rewritten, [], 'no task was stopped that was over')
})

t.test('R19 the request goes on when the probe passes, while the task still runs; the status shows it', async (t) => {
  const { semaphore, service, config } = await world(t, { start: { hang: 'running' } })
  const gateway = await startGateway(t, { config })
  t.equal((await get(gateway)).status, 200)
  await until(async () => (await statusOf(gateway)).automation.current_task?.status === 'running')
  t.match((await statusOf(gateway)).automation, {
    current_task: { id: 8, action: 'start', template: 3, project: 1, ended_at: null },
  })
  await gateway.instance('svc').stop('manual')
  t.same(
    semaphore.tasks().map(({ status }) => status),
    ['stopped', 'success'],
    'the start is ended before the stop is begun',
  )
  t.same(service.journal, ['up', 'down'])
})

t.test('R5 50 callers at once: one task', async (t) => {
  const { semaphore, config } = await world(t, { start: { queueDelayMs: 100 } })
  const gateway = await startGateway(t, { config })
  const pool = new Pool(gateway.url, { connections: 50 })
  t.teardown(() => pool.destroy())
  const answers = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const { statusCode, body } = await pool.request({ method: 'GET', path: `/services/svc/${index}` })
      return [statusCode, await body.text()]
    }),
  )
  t.same(
    answers,
    Array.from({ length: 50 }, (_, index) => [200, `hello from /${index}`]),
  )
  t.equal(semaphore.tasks().length, 1)
})

/** A gateway in a process of its own, that can be killed. */
async function killable(t: Test, config: string) {
  const dir = await mkdtemp(join(tmpdir(), 'hestia-semaphore-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const file = join(dir, 'hestia_config.yml')
  await writeFile(file, `server: { port: 0 }\nlog: { format: json }\n${config}`)
  return () => startChildGateway(t, file)
}

t.test('R18 R19 Hestia is killed while the task runs: the next one goes on with the same task', async (t) => {
  const { semaphore, service, config } = await world(t, { start: { hang: 'running', run: () => undefined } })
  const start = await killable(t, config)
  const first = await start()
  const waiting = ask(`${first.url}/services/svc/x`).catch(() => undefined)
  await until(() => semaphore.count('GET', /\/tasks\/8$/) > 20)
  await first.end('SIGKILL')
  await waiting
  const looks = semaphore.count('GET', /\/tasks\/8$/)
  const second = await start()
  const answer = ask(`${second.url}/services/svc/x`)
  await until(() => semaphore.count('GET', /\/tasks\/8$/) > looks + 2)
  service.up()
  t.equal((await answer).status, 200)
  t.equal(semaphore.tasks().length, 1)
  await second.end()
  t.same(service.journal, ['up', 'down'], 'and can stop it')
})

t.test('R18 R19 Hestia is killed while the stop task runs: the next one waits for the end of the same task', async (t) => {
  const { semaphore, service, config } = await world(t, { stop: { run: () => undefined, hang: 'running' } })
  const start = await killable(t, config)
  const first = await start()
  t.equal((await ask(`${first.url}/services/svc/x`)).status, 200)
  await until(() => semaphore.tasks()[0]?.status === 'success')
  t.equal((await ask(`${first.url}/v1/services/svc/stop`, { method: 'POST' })).status, 202)
  const looks = () => semaphore.count('GET', /\/tasks\/9$/)
  await until(() => semaphore.tasks()[1]?.status === 'running' && looks() > 10)
  await first.end('SIGKILL')
  const before = looks()
  const second = await start()
  await until(() => looks() > before + 2, 'the next one to look at it')
  const answer = ask(`${second.url}/services/svc/x`)
  await until(async () => (await ask(`${second.url}/v1/services/svc/status`)).text.includes('"queuePending":1'))
  t.same(service.journal, ['up'])
  semaphore.state.finish(9, () => service.down())
  t.equal((await answer).status, 200)
  t.same(service.journal, ['up', 'down', 'up'])
  t.same(
    semaphore.tasks().map(({ template_id }) => template_id),
    [3, 4, 3],
  )
  t.equal(semaphore.count('POST', /\/stop$/), 0)
})

t.test('R18 R19 Hestia is killed while the service is up: it is taken over, also while Semaphore is down', async (t) => {
  const { semaphore, service, config } = await world(t)
  const start = await killable(t, config)
  const first = await start()
  t.equal((await ask(`${first.url}/services/svc/x`)).status, 200)
  await until(() => semaphore.tasks()[0]?.status === 'success')
  await until(
    async () => (await ask(`${first.url}/v1/activities?service=svc`)).text.includes('instance.ready'),
    'its records to be written',
  )
  await first.end('SIGKILL')
  await semaphore.down()
  const second = await start()
  t.equal((await ask(`${second.url}/services/svc/x`)).status, 200)
  await semaphore.up()
  await second.end()
  t.equal(semaphore.tasks().length, 2, 'nothing was started anew')
  t.same(service.journal, ['up', 'down'])
})

t.test('R19 what an earlier Hestia has begun is found by its marker, though nothing was recorded', async (t) => {
  const { semaphore, service, config } = await world(t, { start: { hang: 'running', run: () => undefined } })
  const row = semaphore.state.add({
    template_id: 3,
    project_id: 1,
    environment: '',
    message: 'hestia:svc:start:01JDA0HQ2B3C4D5E6F7G8H9J0K',
    limit: '',
    params: undefined,
  })
  // The time in the marker is that of Hestia's own clock.
  Object.assign(row, { message: `hestia:svc:start:${ulidOf(Date.now() - 1000)}` })
  await until(() => row.status === 'running')
  const gateway = await startGateway(t, { config })
  const answer = get(gateway)
  await until(async () => (await statusOf(gateway)).automation.current_task?.id === row.id)
  service.up()
  t.equal((await answer).status, 200)
  t.equal(semaphore.tasks().length, 1)
})

t.test('R19 a task with the marker of an earlier Hestia that has had its time is ended, and a new one begun', async (t) => {
  const { semaphore, service, config } = await world(t, { start: { hang: 'running' }, section: ', task_timeout_ms: 60000' })
  const given = { template_id: 3, project_id: 1, environment: '', limit: '', params: undefined }
  const row = semaphore.state.add({ ...given, message: `hestia:svc:start:${ulidOf(Date.now() - 61_000)}` }, 'running')
  const others = semaphore.state.add({ ...given, message: `hestia:svc2:start:${ulidOf(Date.now())}` }, 'running')
  const gateway = await startGateway(t, { config })
  t.equal((await get(gateway)).status, 200)
  t.ok(service.isUp)
  t.equal(row.status, 'stopped')
  t.equal(others.status, 'running', "somebody else's is left alone")
  t.equal(semaphore.tasks().length, 3)
})

t.test(
  'R20 Semaphore restarts while the task runs, which is then stuck: own deadline, 503, and the next request works',
  async (t) => {
    const { semaphore, service, config } = await world(t, {
      start: { hang: 'running', run: () => undefined },
      section: ', task_timeout_ms: 400',
    })
    const gateway = await startGateway(t, { config })
    const answer = get(gateway)
    await until(() => semaphore.tasks()[0]?.status === 'running')
    semaphore.state.restart()
    const { status, text, headers } = await answer
    t.equal(status, 503)
    t.match(JSON.parse(text), {
      error: 'start_failed',
      message: /task 8 of Semaphore was not over within 400 ms \(semaphore.task_timeout_ms\); it was running/,
    })
    t.ok(headers['retry-after'])
    t.equal(semaphore.tasks()[0]!.status, 'stopped', 'the row that nobody else would ever change')
    t.equal(semaphore.tasks()[1]!.template_id, 4, 'and what it may have done is undone')
    semaphore.state.behaviours.set(3, { run: () => service.up() })
    await until(() => gateway.instance('svc').cooling === undefined)
    t.equal((await get(gateway)).status, 200, 'the next request works')
  },
)

t.test(
  'R20 Semaphore is down: its services answer 503 with the cause, others are untouched; it comes back and all is well',
  async (t) => {
    const other = await httpUpstream(t)
    const { semaphore, service, config } = await world(t, { more: `  other:\n    base_url: ${other.url}\n    warmup_ms: 0` })
    await semaphore.down()
    const gateway = await startGateway(t, { config })
    for (let round = 0; round < 3; round++) {
      const began = performance.now()
      const { status, text } = await get(gateway)
      t.equal(status, 503)
      t.match(JSON.parse(text), { error: 'start_failed', cause: /Semaphore at .* cannot be reached \(ECONNREFUSED\)/ })
      t.ok(performance.now() - began < 5000)
      t.equal((await get(gateway, '/services/other/')).status, 200)
      await until(() => gateway.instance('svc').cooling === undefined)
    }
    await semaphore.up()
    t.equal((await get(gateway)).status, 200)
    t.ok(service.isUp)
    t.equal(semaphore.tasks().length, 1)
  },
)

t.test('R20 Semaphore takes connections and answers nothing: 503 within its timeout', async (t) => {
  const { semaphore, config } = await world(t, { plugin: ', timeout_ms: 200' })
  semaphore.fault('hang', () => true, 1000)
  const gateway = await startGateway(t, { config })
  const began = performance.now()
  const { status, text } = await get(gateway)
  t.equal(status, 503)
  t.match(JSON.parse(text).message, /did not answer within 200 ms \(plugins.semaphore.timeout_ms\)/)
  t.ok(performance.now() - began < 3000)
})

t.test(
  'R9 R19 Semaphore is down when a service is idle: it stays up and serves, and is stopped when Semaphore is back',
  async (t) => {
    const { semaphore, service, config } = await world(t, { more: '    idle: { timeout_ms: 50 }' })
    const gateway = await startGateway(t, { config })
    t.equal((await get(gateway)).status, 200)
    await semaphore.down()
    await gateway.event('instance.kept', ({ plugin }) => plugin === 'semaphore')
    t.equal((await get(gateway)).status, 200)
    t.ok(service.isUp)
    await semaphore.up()
    await gateway.event('instance.stopped')
    t.notOk(service.isUp)
  },
)

t.test('R9 R19 a request that comes while the stop is queued calls it off; one that runs is let finish', async (t) => {
  const { semaphore, service, config } = await world(t, { stop: { hang: 'waiting' } })
  const gateway = await startGateway(t, { config })
  t.equal((await get(gateway)).status, 200)
  const stopped = gateway.instance('svc').stop('manual')
  await until(() => semaphore.tasks()[1]?.status === 'waiting')
  t.equal((await get(gateway)).status, 200)
  await stopped
  t.same(service.journal, ['up'], 'it never went down')
  await until(() => semaphore.tasks()[1]?.status === 'stopped')
  t.match(
    semaphore.seen.filter(({ path }) => path.endsWith('/stop')).map(({ body }) => body),
    [{ force: false }],
  )

  semaphore.state.behaviours.set(4, { run: () => service.down(), durationMs: 200 })
  const again = gateway.instance('svc').stop('manual')
  await until(() => semaphore.tasks().at(-1)?.status === 'running' && semaphore.tasks().at(-1)?.template_id === 4)
  t.equal((await get(gateway)).status, 200)
  await again
  t.same(service.journal, ['up', 'down', 'up'])
  t.same(semaphore.state.ghosts, [])
})

t.test('R15 R16 a reload while a task runs: the new token counts at once, and the start goes on', async (t) => {
  const { semaphore, service, config } = await world(t, { start: { hang: 'running', run: () => undefined } })
  const gateway = await startGateway(t, { config })
  const answer = get(gateway)
  await until(() => semaphore.tasks()[0]?.status === 'running')
  const looks = () => semaphore.count('GET', /\/tasks\/8$/)
  semaphore.knobs.nextToken = 'another'
  await gateway.configure(config.replace(semaphore.knobs.token, 'another'))
  await until(() => gateway.gateway.generation === 2)
  await until(() => semaphore.seen.at(-1)?.headers.authorization === 'Bearer another')
  semaphore.knobs.token = 'another'
  const before = looks()
  await until(() => looks() > before + 2)
  service.up()
  t.equal((await answer).status, 200)
})

t.test(
  'R20 C1 C2 C3 at the start, and when its address or identity has changed, the log says whether Semaphore takes us',
  async (t) => {
    const { semaphore, config } = await world(t)
    const dir = await mkdtemp(join(tmpdir(), 'hestia-semaphore-'))
    t.teardown(() => rm(dir, { recursive: true, force: true }))
    const file = join(dir, 'hestia_config.yml')
    const write = (text: string) => writeFile(file, `server: { port: 0 }\nlog: { format: json }\n${text}`)
    await write(config)
    const gateway = await startChildGateway(t, file)
    const says = (message: RegExp, level: number) =>
      until(() => gateway.lines.find((line) => line.level === level && message.test(String(line.msg))), String(message))
    await says(/^Semaphore 2\.16\.40-cbd56202-0 at http:.* takes us$/, 30)
    const greetings = () => semaphore.count('GET', /^\/info/)
    t.equal(greetings(), 1)

    await write(config.replace(semaphore.knobs.token, 'of somebody else'))
    await says(/^services of Semaphore can't be started now: .*does not take plugins\.semaphore\.token \(401\)/, 40)
    await write(config.replace(`${semaphore.url},`, `${semaphore.url}/elsewhere,`))
    await says(/now: .*\/elsewhere\/api\/ping answered 200 with text\/html; charset=utf-8 instead of "pong"/, 40)
    await semaphore.down()
    await write(config.replace(semaphore.url, semaphore.url.replace('127.0.0.1', 'localhost')))
    await says(/now: Semaphore at http:\/\/localhost:\d+ cannot be reached \(ECONNREFUSED\)/, 40)
    await semaphore.up()
    await write(config.replace('poll_interval_ms: 20', 'poll_interval_ms: 30'))
    await until(() => greetings() === 2)
    await write(config)
    const generations = () => gateway.lines.filter(({ type }) => type === 'reload.applied').length
    await until(() => generations() === 6)
    t.equal((await ask(`${gateway.url}/services/svc/x`)).status, 200)
    t.equal(greetings(), 2, 'nothing that matters has changed')
    t.notOk(JSON.stringify(gateway.lines).includes(semaphore.knobs.token))
  },
)

/** A ULID of that moment. */
function ulidOf(at: number): string {
  const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
  let text = ''
  for (let rest = at; text.length < 10; rest = Math.floor(rest / 32)) text = alphabet[rest % 32] + text
  return `${text}0123456789ABCDEF`
}
