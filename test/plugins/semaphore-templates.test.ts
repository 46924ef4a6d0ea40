import t from 'tap'
import { SemaphoreClient } from '../../plugins/semaphore/client.ts'
import { Templates } from '../../plugins/semaphore/templates.ts'
import { get, isStart, refusal, startAll } from '../helpers/semaphore-server/gateway.ts'
import { startSemaphore } from '../helpers/semaphore-server.ts'
import { until } from '../helpers/until.ts'

type World = Awaited<ReturnType<typeof startAll>>

const rested = ({ gateway }: World) => until(() => gateway.instance('svc').cooling === undefined, 'the pause after a failure')

t.test('R20 what was refused before the start is looked at anew: mended in Semaphore, the next request works', async (t) => {
  const world = await startAll(t, { section: ', limit: nas1', stopTemplate: { task_params: { allow_override_limit: true } } })
  const { semaphore, service, gateway } = world
  t.match(await refusal(t, gateway), /switch on "Ansible prompts: Limit"/)
  semaphore.template({ id: 3, name: 'svc start', task_params: { allow_override_limit: true } }, { run: () => service.up() })
  await rested(world)
  t.equal((await get(gateway)).status, 200, 'as it was told to')

  const named = await startAll(t, { startTemplate: { name: 'svc strat' } })
  await named.gateway.configure(named.config.replace('start_template: 3', 'start_template: svc start'))
  await named.gateway.gateway.reload()
  t.match(await refusal(t, named.gateway), /no template in project 1 .* is called "svc start"; there are: "svc strat"/)
  named.semaphore.template({ id: 3, name: 'svc start' }, { run: () => named.service.up() })
  await rested(named)
  t.equal((await get(named.gateway)).status, 200, 'renamed')
})

t.test('R19 C7 a survey that has changed meanwhile: the 400 with its reason is said, and the next request works', async (t) => {
  const world = await startAll(t, {
    server: { knobs: { surveyStrict: true } },
    startTemplate: { survey_vars: [{ name: 'colour', title: 'Colour' }] },
    section: ', vars: { colour: red }',
  })
  const { semaphore, service, gateway } = world
  t.equal((await get(gateway)).status, 200)
  await gateway.instance('svc').stop('manual')
  semaphore.template({ id: 3, name: 'svc start', survey_vars: [] }, { run: () => service.up() })
  t.match(await refusal(t, gateway), /was answered 400 \(variable colour is not declared in the template survey\)/)
  await rested(world)
  t.equal((await get(gateway)).status, 200)
  t.same(
    semaphore.seen.flatMap(({ method, path, body }) =>
      isStart(method, path) && (body as { template_id: number }).template_id === 3
        ? [(body as { environment?: string }).environment]
        : [],
    ),
    ['{"colour":"red"}', '{"colour":"red"}', undefined],
  )
})

t.test('R19 C3 a server that was updated while Hestia runs: its version is asked again, rarely', async (t) => {
  const semaphore = await startSemaphore(t)
  const place = { baseUrl: semaphore.url, ca: undefined, rejectUnauthorized: true, connectTimeoutMs: 2000 }
  const client = new SemaphoreClient(place, { token: semaphore.knobs.token }, 2000)
  t.teardown(() => client.close())
  let now = 0
  const templates = new Templates(client, () => now)
  semaphore.knobs.version = '2.12.17'
  t.equal(await templates.version(), '2.12.17')
  semaphore.knobs.version = '2.16.40'
  const asked = semaphore.count('GET', /^\/info/)
  now = 299_000
  t.equal(await templates.version(), '2.12.17')
  t.equal(semaphore.count('GET', /^\/info/), asked, 'it is slow')
  now = 301_000
  t.equal(await templates.version(), '2.16.40', 'since which a limit may be ignored')
})

t.test('R19 C3 a version that is not told in time counts as new', async (t) => {
  const { semaphore, gateway, config } = await startAll(t, {
    server: { knobs: { version: '2.12.17' } },
    section: ', limit: nas1',
  })
  semaphore.fault('hang', (_method, path) => path === '/info', Infinity)
  await gateway.configure(config.replace('poll_interval_ms: 20', 'poll_interval_ms: 20, timeout_ms: 300'))
  await gateway.gateway.reload()
  t.match(await refusal(t, gateway), /would run on the whole inventory/)
  t.equal(semaphore.tasks().length, 0)
})

t.test('R19 C4 C5 C6 lists that are null, projects of one name, templates that say little', async (t) => {
  const world = await startAll(t)
  const { semaphore, gateway, config } = world
  const use = async (section: string) => {
    await gateway.configure(config.replace('project: 1, start_template: 3, stop_template: 4', section))
    await gateway.gateway.reload()
    await rested(world)
  }
  semaphore.state.projects.push({ id: 2, name: 'empty' }, { id: 3, name: 'twin' }, { id: 4, name: 'twin' })
  await use('project: twin, start_template: 3')
  t.match(await refusal(t, gateway), /more than one project in Semaphore .* is called "twin"; say which by its number/)
  await use('project: empty, start_template: svc start')
  t.match(await refusal(t, gateway), /no template in project 2 .* is called "svc start"; there are: none/)
  semaphore.state.templates.set(5, { id: 5, project_id: 1, name: 'bare', environment_id: 0 })
  semaphore.state.behaviours.set(5, { run: () => world.service.up() })
  await use('project: 1, start_template: 5')
  t.equal((await get(gateway)).status, 200, 'neither survey nor parameters')
  t.match(semaphore.state.runs.at(-1), { extraVars: {}, limit: undefined })
})
