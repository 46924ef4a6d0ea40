import t from 'tap'
import { get, refusal, startAll } from '../helpers/semaphore-server/gateway.ts'
import { until } from '../helpers/until.ts'

const VERSIONS = [
  'v2.10.32-a1b2c3d-1729814400',
  '2.12.17-0f2c1ab-1740000000',
  '2.13.4-1c2d3e4-1742000000',
  '2.14.12-5a6b7c8-1746000000',
  '2.16.40-cbd56202-0',
  'v2.18.2-3e4f5a6-1770000000',
  '2.20.0-7b8c9d0-1780000000',
] as const

for (const version of VERSIONS)
  t.test(`R19 a whole life of a service with Semaphore ${version}`, async (t) => {
    const allowed = { task_params: { allow_override_limit: true } }
    const { semaphore, service, gateway, config } = await startAll(t, {
      server: { knobs: { version, surveyStrict: true } },
      startTemplate: allowed,
      stopTemplate: allowed,
      section: ', limit: "nas1,nas2"',
    })
    await gateway.configure(
      config.replace(
        'project: 1, start_template: 3, stop_template: 4',
        'project: home, start_template: svc start, stop_template: svc stop',
      ),
    )
    await gateway.gateway.reload()
    t.equal((await get(gateway)).status, 200)
    await until(() => semaphore.tasks()[0]!.status === 'success')
    await gateway.instance('svc').stop('manual')
    t.same(service.journal, ['up', 'down'])
    t.match(semaphore.state.runs, [
      { limit: ['nas1', 'nas2'], extraVars: { hestia_service: 'svc', hestia_action: 'start' } },
      { limit: ['nas1', 'nas2'], extraVars: { hestia_service: 'svc', hestia_action: 'stop' } },
    ])

    semaphore.state.behaviours.set(3, { outcome: 'error', output: 'fatal: [nas1]: no such unit' })
    t.match(await refusal(t, gateway), /ended with error; the end of its output:\n(.*\n)*fatal: \[nas1\]: no such unit/)
    const hasRaw = !/2\.1[0-3]\./.test(version)
    t.equal(semaphore.count('GET', /\/raw_output$/), 1)
    t.equal(semaphore.count('GET', /\/output$/), hasRaw ? 0 : 1)
    await until(() => gateway.instance('svc').cooling === undefined)

    const again = semaphore.state.add({
      ...{ template_id: 3, project_id: 1, environment: '', limit: '', params: undefined },
      message: 'somebody by hand',
    })
    semaphore.state.behaviours.set(3, { run: () => service.up(), durationMs: 300 })
    t.equal((await get(gateway)).status, 200, `after task ${again.id}, which is none of ours`)
    t.same(semaphore.state.rewritten, [])
  })

t.test('R19 limit without its prompt: as it comes before 2.13, refused from then on', async (t) => {
  for (const version of VERSIONS.slice(1, 3)) {
    const { semaphore, gateway } = await startAll(t, { server: { knobs: { version } }, section: ', limit: nas1' })
    if (version.startsWith('2.12')) {
      t.equal((await get(gateway)).status, 200, version)
      t.same(semaphore.state.runs[0]!.limit, ['nas1'])
    } else {
      t.match(await refusal(t, gateway), /would run on the whole inventory/, version)
      t.same(semaphore.state.runs, [])
    }
  }
})
