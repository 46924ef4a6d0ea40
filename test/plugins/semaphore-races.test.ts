import { join } from 'node:path'
import t from 'tap'
import { startGateway } from '../helpers/gateway.ts'
import { get, isLook, startAll } from '../helpers/semaphore-server/gateway.ts'
import { until } from '../helpers/until.ts'

const stopsOf = (semaphore: { seen: readonly { path: string; body: unknown }[] }) =>
  semaphore.seen.filter(({ path }) => path.endsWith('/stop')).map(({ path, body }) => [path.split('/').at(-2), body])

t.test('R9 R19 a stop that has begun since it was last looked at is not called off, but let finish', async (t) => {
  const { semaphore, service, gateway } = await startAll(t)
  t.equal((await get(gateway)).status, 200)
  await until(() => semaphore.tasks()[0]!.status === 'success')
  semaphore.state.behaviours.set(4, { run: () => service.down(), durationMs: 600 })
  const stopped = gateway.instance('svc').stop('manual')
  const current = async () => JSON.parse((await get(gateway, '/v1/services/svc/status')).text).automation.current_task
  await until(async () => (await current())?.status === 'running')
  const answer = get(gateway)
  await until(() => gateway.instance('svc').waiting > 0)
  // What Hestia sees of it is older than what it is by then.
  semaphore.script('waiting')
  await stopped
  t.equal((await answer).status, 200)
  t.same(stopsOf(semaphore), [], 'killed half way, it would leave the service in nobody knows what state')
  t.equal(semaphore.tasks()[1]!.status, 'success')
  t.same(service.journal, ['up', 'down', 'up'])
})

t.test('R5 R19 a start that is given up while it looks around takes nothing on afterwards', async (t) => {
  const { semaphore, service, gateway } = await startAll(t, { start: { hang: 'running', run: () => undefined } })
  const row = semaphore.state.add({
    ...{ template_id: 3, project_id: 1, environment: '', limit: '', params: undefined },
    message: `hestia:svc:start:${'0'.repeat(10)}${'0'.repeat(16)}`,
  })
  await until(() => row.status === 'running')
  const time = Date.now() - 60_000
  const digits = Array.from({ length: 10 }, (_, i) => '0123456789ABCDEFGHJKMNPQRSTVWXYZ'[Math.floor(time / 32 ** (9 - i)) % 32])
  Object.assign(row, { message: `hestia:svc:start:${digits.join('')}${'0'.repeat(16)}` })
  semaphore.knobs.latencyMs = 300
  const instance = gateway.instance('svc')
  const answer = get(gateway)
  await until(() => semaphore.count('GET', /\/templates\/4\/tasks\/last/) > 0, 'it to look for earlier tasks')
  await instance.stop('manual')
  semaphore.knobs.latencyMs = 0
  t.equal((await answer).status, 503)
  t.equal(instance.state, 'cold')
  await until(() => semaphore.open === 0, 'all answers to be there')
  const looks = semaphore.seen.length
  await until(async () => (await get(gateway, '/v1/semaphore/status?serviceId=svc')).status === 200)
  t.same(instance.data, {}, 'a cold instance has no records')
  t.equal(JSON.parse((await get(gateway, '/v1/services/svc/status')).text).automation.current_task, null)
  t.notOk(
    semaphore.seen.slice(looks).some(({ method, path }) => isLook(method, path)),
    'nobody follows it',
  )
  semaphore.state.behaviours.set(3, { run: () => service.up() })
})

t.test('R18 R19 the time in which a service that was taken over has to answer ends with that', async (t) => {
  const world = await startAll(t)
  const { semaphore, service } = world
  const config = `shutdown: leave\n${world.config.replace('plugins:\n', `plugins:\n  store: { file: ${join(t.testdir({}), 'hestia.sqlite')} }\n`)}`
  const first = await startGateway(t, { config })
  t.equal((await get(first)).status, 200)
  await until(() => semaphore.tasks()[0]!.status === 'success')
  await first.close()
  t.ok(service.isUp)
  const second = await startGateway(t, { config })
  await until(() => second.instance('svc').state === 'hot', 'it to be taken over')
  t.equal(semaphore.tasks().length, 1)
  const takenOverAt = performance.now()
  await second.instance('svc').stop('manual')
  semaphore.state.behaviours.set(3, { hang: 'running', run: () => undefined })
  const answer = get(second)
  await until(() => performance.now() - takenOverAt > 5500, 'that time to be over')
  t.equal(second.instance('svc').state, 'starting')
  service.up()
  t.equal((await answer).status, 200)
  t.notOk(second.events.some(({ type }) => type === 'instance.attempt_failed'))
})
