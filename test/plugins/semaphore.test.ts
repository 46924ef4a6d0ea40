import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { parseDocument } from 'yaml'
import { ProblemError } from '../../core/problem.ts'
import { SemaphoreClient } from '../../plugins/semaphore/client.ts'
import { kindOf } from '../../plugins/semaphore/errors.ts'
import { pollDelay } from '../../plugins/semaphore/follow.ts'
import { isOurs, markedAt, newMarker } from '../../plugins/semaphore/marker.ts'
import { readTask, readTemplate } from '../../plugins/semaphore/read.ts'
import { linesOfJson, tailOf } from '../../plugins/semaphore/tail.ts'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { answerFaults, requestFaults } from '../helpers/semaphore-server/description.ts'
import { get, isStart, refusal, startAll } from '../helpers/semaphore-server/gateway.ts'
import { type SemaphoreServer, startSemaphore } from '../helpers/semaphore-server.ts'
import { until } from '../helpers/until.ts'
import { deadPort, httpUpstream } from '../helpers/upstream.ts'

const CA = fileURLToPath(new URL('../fixtures/semaphore/ca.pem', import.meta.url))

const clientOf = ({ url, knobs }: SemaphoreServer, now?: () => number, timeoutMs = 2000) =>
  new SemaphoreClient(
    { baseUrl: url, ca: undefined, rejectUnauthorized: true, connectTimeoutMs: 2000 },
    { token: knobs.token },
    timeoutMs,
    now,
  )

t.test('R19 the double: what it answers fits the description, and what Hestia must not ask is noticed', async (t) => {
  t.same(requestFaults('POST', '/project/1/tasks', new URLSearchParams(), { template_id: 3, message: 'm' }), [])
  for (const body of [{ template_id: '3' }, { template_id: 3, environment: {} }, { template_id: 3, limit: ['a'] }])
    t.equal(requestFaults('POST', '/project/1/tasks', new URLSearchParams(), body).length, 1, JSON.stringify(body))
  t.equal(requestFaults('POST', '/project/1/tasks/8/stop', new URLSearchParams(), { force: 'yes' }).length, 1)
  t.equal(requestFaults('GET', '/project/1/templates', new URLSearchParams(), undefined).length, 2, 'sort and order')
  t.equal(requestFaults('GET', '/project/1/templates', new URLSearchParams('sort=size&order=asc'), undefined).length, 1)
  t.equal(
    requestFaults('DELETE', '/project/1/tasks/8', new URLSearchParams(), undefined).length,
    1,
    'described, and none of our business',
  )
  t.equal(requestFaults('GET', '/project/1/tasks', new URLSearchParams(), undefined).length, 1)
  t.equal(answerFaults('2.18', 'GET', '/project/1/tasks/8', 200, { id: '8' }).length, 1)
  const semaphore = await startSemaphore(t, { allowViolations: true })
  await ask(`${semaphore.url}/api/events`)
  t.match(semaphore.violations, [/GET \/events is nothing that Hestia may ask/])
})

t.test('R19 the double: statuses, queue, restart and late stops are those of the server', async (t) => {
  const semaphore = await startSemaphore(t)
  const { state } = semaphore
  semaphore.template({ id: 3, name: 'a' }, { hang: 'running' })
  const order = { template_id: 3, project_id: 1, environment: '', message: '', limit: '', params: undefined }
  const [first, second, third] = [state.add(order), state.add(order), state.add(order)] as const
  await until(() => first.status === 'running')
  t.equal(second.status, 'waiting', 'one at a time')
  state.stop(second.id, true)
  state.stop(third.id, false)
  t.same([second.status, third.status], ['stopped', 'stopping'])
  state.stop(first.id, false)
  await until(() => first.status === 'stopped')
  await until(() => state.ghosts.length > 0)
  t.same(state.ghosts, [second.id], 'forced while it waited: runs all the same')
  state.restart()
  t.equal(third.status, 'stopping', 'for ever')
  state.stop(third.id, false)
  t.equal(third.status, 'stopped')
  state.stop(third.id, false)
  t.same(state.rewritten, [third.id])

  const stop = (body?: string) =>
    ask(`${semaphore.url}/api/project/1/tasks/${third.id}/stop`, {
      method: 'POST',
      headers: { authorization: `Bearer ${semaphore.knobs.token}` },
      ...(body === undefined ? {} : { body }),
    })
  t.equal((await stop()).status, 400, 'no body, though the description asks for none')
  t.equal((await stop('{}')).status, 204)
  semaphore.template({ id: 5, name: 'shell', app: 'bash' })
  state.add({ ...order, template_id: 5, environment: '{"a":3,"b":true,"c":"x"}' })
  await until(() => state.runs.some(({ template }) => template === 5))
  t.same(state.runs.at(-1)?.argv?.toSorted(), ['a=%!s(float64=3)', 'b=%!s(bool=true)', 'c=x'], 'no strings, no values')
})

t.test('R19 the double: what breaks the description fails the test that did it', async (t) => {
  const teardowns: (() => unknown)[] = []
  const semaphore = await startSemaphore({ teardown: (fn) => teardowns.push(fn) })
  await ask(`${semaphore.url}/api/project/1/templates`)
  await t.rejects(Promise.all(teardowns.map(async (fn) => fn())), /against the API of Semaphore: .*query sort is null/)
})

t.test('R19 C1 to C11: every call, with its answer', async (t) => {
  const semaphore = await startSemaphore(t)
  semaphore.template({ id: 3, name: 'svc start' }, { output: 'TASK [start] \u001b[32mok\u001b[0m' })
  const client = clientOf(semaphore)
  t.teardown(() => client.close())
  await client.ping()
  t.same(semaphore.seen[0]!.headers.authorization, undefined, 'nobody is told who we are before it is known who they are')
  await client.check()
  t.equal(await client.version(), '2.16.40-cbd56202-0')
  t.same(await client.projects(), [{ id: 1, name: 'home' }])
  t.same(await client.templates(1), [{ id: 3, name: 'svc start' }])
  t.match(await client.template(1, 3), { id: 3, app: 'ansible', hasVariableGroup: true, allowsLimit: false })
  t.same(await client.lastTasks(1, 3), [], 'null is none')
  const task = await client.startTask(1, { template_id: 3, message: 'm' })
  t.match(task, { id: 8, status: 'waiting', message: 'm', start: null, end: null })
  await until(async () => (await client.task(1, 8)).status === 'success')
  t.match(await client.lastTasks(1, 3), [{ id: 8, template: 3, status: 'success' }])
  t.match(await client.output(1, 8), /Started: 8\nTASK \[start\]/)
  await t.rejects(client.task(1, 99), { name: 'SemaphoreError', kind: 'refused' })
  await t.rejects(client.template(1, 99), { name: 'SemaphoreError', kind: 'not_found' })
  await t.rejects(client.templates(2), { name: 'SemaphoreError', kind: 'not_found' })
  await t.rejects(client.stopTask(1, 99, false), { name: 'SemaphoreError', kind: 'refused' })
  t.ok(
    semaphore.seen
      .slice(1)
      .every(
        ({ headers }) => headers.authorization === `Bearer ${semaphore.knobs.token}` && headers.accept === 'application/json',
      ),
  )
})

t.test('R19 the shapes of 2.10: nulls, no raw output, the limit as it comes', async (t) => {
  const { semaphore, service, gateway } = await startAll(t, {
    server: { knobs: { version: 'v2.10.32-a1b2c3d-1729814400' } },
    section: ', limit: nas1',
  })
  t.equal((await get(gateway)).status, 200)
  t.same(semaphore.state.runs[0]!.limit, ['nas1'])
  await gateway.instance('svc').stop('manual')
  t.same(service.journal, ['up', 'down'])
  const client = clientOf(semaphore)
  t.teardown(() => client.close())
  t.match(await client.output(1, 8), 'Task 8 added to queue\nStarted: 8')
  const legacy =
    '{"id":8,"template_id":3,"project_id":1,"status":"waiting","debug":false,"arguments":null,"start":null,"end":null,"message":"","inventory_id":null}'
  t.same(readTask(JSON.parse(legacy)), {
    id: 8,
    template: 3,
    status: 'waiting',
    message: '',
    start: null,
    created: null,
    end: null,
  })
  t.same(readTemplate({ id: 3, name: 'x', survey_vars: null, task_params: null, environment_id: 0, environment_ids: [2] }), {
    id: 3,
    name: 'x',
    app: '',
    hasVariableGroup: true,
    allowsLimit: false,
    allowsAnyVariable: false,
    survey: [],
  })
  for (const nonsense of [null, undefined, 3, 'x', []]) t.doesNotThrow(() => [readTask(nonsense), readTemplate(nonsense)])
})

t.test('R19 limit: refused before the start where the server would ignore it', async (t) => {
  const { semaphore, gateway } = await startAll(t, { section: ', limit: "nas1,nas2"' })
  t.match(await refusal(t, gateway), /template 3 \("svc start"\).*whole inventory: switch on "Ansible prompts: Limit"/)
  t.equal(semaphore.tasks().length, 0)
  t.same(semaphore.state.runs, [])

  const allowed = { task_params: { allow_override_limit: true } }
  const second = await startAll(t, { section: ', limit: "nas1,nas2"', startTemplate: allowed, stopTemplate: allowed })
  t.equal((await get(second.gateway)).status, 200)
  t.same(second.semaphore.state.runs[0]!.limit, ['nas1', 'nas2'])

  const shell = await startAll(t, { section: ', limit: nas1', startTemplate: { app: 'bash' } })
  t.match(await refusal(t, shell.gateway), /is of the kind bash, which knows no limit/)
  const group = await startAll(t, { section: ', limit: all', startTemplate: allowed })
  t.match(await refusal(t, group.gateway), /"all", which is no host/)
  const own = await startAll(t, { server: { knobs: { version: 'undefined-00000000-' } }, section: ', limit: nas1' })
  t.match(await refusal(t, own.gateway), /whole inventory/, 'a version that says nothing counts as new')
})

t.test(
  'R17 a limit that is a pattern, variables of Ansible, and values that could be code are refused in the file',
  async (t) => {
    const semaphore = await startSemaphore(t)
    const config = (section: string, plugin = 'token: x') => `
plugins: { semaphore: { base_url: ${semaphore.url}, ${plugin} } }
services: { svc: { base_url: "http://127.0.0.1:9", warmup_ms: 0, semaphore: { project: 1, start_template: 3, ${section} } } }`
    const refused = [
      ['limit: "web*"', /names of hosts/],
      ['limit: "!nas1"', /names of hosts/],
      ['limit: "a:&b"', /names of hosts/],
      ['vars: { ansible_connection: local }', /ansible_connection/],
      ['vars: { name: "{{ lookup() }}" }', /letters, digits/],
      ['start_tempate: 3', /start_template/],
      ['queue_timeout_ms: -1', /queue_timeout_ms/],
    ] as const
    for (const [section, message] of refused) {
      const error = await startGateway(t, { config: config(section) }).catch((thrown: unknown) => thrown)
      t.ok(error instanceof ProblemError, section)
      t.match(JSON.stringify((error as ProblemError).problems), message)
    }
    for (const plugin of ['user: hestia', 'token: x, user: hestia, password: y', 'timeout_ms: 5']) {
      const error = await startGateway(t, { config: config('limit: a', plugin) }).catch((thrown: unknown) => thrown)
      t.match((error as ProblemError).problems, [{ message: /"token", or "user" and "password"/ }], plugin)
    }
  },
)

t.test('R19 variables: only what the survey declares, as strings, with what it requires', async (t) => {
  const survey_vars = [
    { name: 'hestia_host', title: 'Host', required: true },
    { name: 'hestia_request', title: 'Request' },
    { name: 'port', title: 'Port', type: 'int', required: true },
    { name: 'colour', title: 'Colour', type: 'enum', values: [{ name: 'Red', value: 'red' }] },
    { name: 'token', title: 'Token', type: 'secret' },
  ]
  const { semaphore, gateway } = await startAll(t, {
    server: { knobs: { surveyStrict: true } },
    startTemplate: { survey_vars },
    section: ', vars: { port: 8096, colour: red, unheard_of: x }',
  })
  t.equal((await get(gateway)).status, 200)
  const { message, environment } = semaphore.tasks()[0]!
  t.same(JSON.parse(environment), { hestia_host: 'nas1', hestia_request: message.slice(-26), port: '8096', colour: 'red' })
  t.match(semaphore.state.runs[0]!.extraVars, { port: '8096' })

  const wrong = [
    ['', /requires the survey variable port, .* set it under "vars"/],
    [', vars: { port: abc }', /takes a whole number for port, not "abc"/],
    [', vars: { port: 1, colour: blue }', /takes red for colour, not "blue"/],
    [', vars: { port: 1, token: t }', /has token as a secret/],
  ] as const
  for (const [section, expected] of wrong) {
    const { gateway, semaphore } = await startAll(t, { startTemplate: { survey_vars }, section })
    t.match(await refusal(t, gateway), expected)
    t.equal(semaphore.tasks().length, 0)
  }
  const any = await startAll(t, {
    server: { knobs: { surveyStrict: true } },
    startTemplate: { survey_vars: null, allow_any_vars_in_task: true, app: 'bash' },
    stopTemplate: { survey_vars: null },
    section: ', vars: { size: 3, fast: true }',
  })
  t.equal((await get(any.gateway)).status, 200)
  t.same(any.semaphore.state.runs[0]!.argv?.toSorted(), ['fast=true', 'size=3'], 'a shell gets strings')
})

t.test('R19 variables and no variable group: refused before the start, which the server would fail', async (t) => {
  const { semaphore, gateway } = await startAll(t, { startTemplate: { environment_id: 0 } })
  t.match(await refusal(t, gateway), /has no variable group/)
  t.equal(semaphore.tasks().length, 0)
  const newer = await startAll(t, { startTemplate: { environment_id: 0, environment_ids: [1] } })
  t.equal((await get(newer.gateway)).status, 200)
  const none = await startAll(t, { startTemplate: { environment_id: 0, survey_vars: [] } })
  t.equal((await get(none.gateway)).status, 200, 'nothing to send, nothing to fail')
  t.equal(none.semaphore.tasks()[0]!.environment, '')
})

t.test('R19 C4 C5 projects and templates by name: unknown and ambiguous ones', async (t) => {
  const { semaphore, gateway, config } = await startAll(t)
  const use = async (section: string) => {
    await gateway.configure(config.replace('project: 1, start_template: 3', section))
    await gateway.gateway.reload()
    await until(() => gateway.instance('svc').cooling === undefined)
    return refusal(t, gateway)
  }
  t.match(await use('project: away, start_template: 3'), /no project in Semaphore .* is called "away"; there are: "home"/)
  t.match(
    await use('project: home, start_template: nothing'),
    /no template in project 1 .* is called "nothing"; there are: "svc start", "svc stop"/,
  )
  semaphore.template({ id: 5, name: 'twin' })
  semaphore.template({ id: 6, name: 'twin' })
  t.match(await use('project: home, start_template: twin'), /more than one template .* "twin"; say which by its number/)
  t.match(await use('project: 1, start_template: 99'), /was answered 404: there is no such project or template/)
  t.match(await use('project: 7, start_template: 3'), /404/)
  semaphore.state.projects.length = 0
  t.match(await use('project: home, start_template: svc start'), /there are: none/)
  t.equal(semaphore.tasks().length, 0)
})

t.test('R20 C2 a token that is refused: said, and not tried again for a minute', async (t) => {
  const semaphore = await startSemaphore(t)
  let now = 0
  const client = clientOf(semaphore, () => now)
  t.teardown(() => client.close())
  const { token } = semaphore.knobs
  semaphore.knobs.token = 'revoked and made anew'
  const expected = {
    kind: 'unauthorized',
    message: /does not take plugins.semaphore.token \(401\): the token was revoked, has expired/,
  }
  await t.rejects(client.check(), expected)
  now = 59_000
  await t.rejects(client.projects(), expected)
  t.equal(semaphore.seen.length, 1)
  now = 61_000
  await t.rejects(client.projects(), expected)
  t.equal(semaphore.seen.length, 2)
  semaphore.knobs.token = token
  now = 130_000
  t.equal((await client.projects()).length, 1)
})

t.test('R20 a token that expires in the middle: 503 with the cause, and never the token', async (t) => {
  const { semaphore, gateway } = await startAll(t, { start: { hang: 'running', run: () => undefined } })
  const answer = get(gateway)
  await until(() => semaphore.tasks()[0]?.status === 'running')
  const { token } = semaphore.knobs
  semaphore.knobs.token = 'other'
  const { status, text } = await answer
  t.equal(status, 503)
  t.match(text, /does not take plugins.semaphore.token/)
  t.notOk(text.includes(token) || JSON.stringify(gateway.events).includes(token))
})

t.test('R19 user and password instead of a token', async (t) => {
  const { semaphore, gateway } = await startAll(t, { credentials: 'user: hestia, password: correct horse' })
  t.equal((await get(gateway)).status, 200)
  t.equal(semaphore.count('POST', /^\/auth\/login/), 1)
  const others = semaphore.seen.filter(({ path }) => path !== '/ping' && path !== '/auth/login')
  t.ok(others.length > 3 && others.every(({ headers }) => headers.cookie?.startsWith('semaphore=')))
  t.notOk(semaphore.seen.some(({ headers }) => headers.authorization))

  const wrong = await startAll(t, { credentials: 'user: hestia, password: wrong' })
  t.match(await refusal(t, wrong.gateway), /does not take plugins.semaphore.user and password \(401\)/)
  const second = await startAll(t, { credentials: 'user: hestia, password: correct horse', server: { knobs: { totp: true } } })
  t.match(await refusal(t, second.gateway), /wants a second factor \(TOTP_REQUIRED\)/)
})

t.test('R20 403, 404, 400 with a reason: what to change', async (t) => {
  const guest = await startAll(t, { server: { knobs: { guest: true } } })
  t.match(await refusal(t, guest.gateway), /was answered 403: its user needs at least the role "Task Runner"/)
  const strict = await startAll(t, { server: { knobs: { surveyStrict: true } } })
  strict.semaphore.fault(400, isStart)
  t.match(await refusal(t, strict.gateway), /POST .*\/tasks was answered 400/)
  t.equal(strict.semaphore.count('POST', /\/tasks$/), 1, 'not tried again')
})

t.test('R20 an address that is not that of Semaphore: the page outside of its API, a redirect, text', async (t) => {
  const { semaphore, gateway, config } = await startAll(t, { server: { webroot: '/semaphore' } })
  t.equal((await get(gateway)).status, 200, 'behind a path')
  await gateway.instance('svc').stop('manual')
  await gateway.configure(config.replace(semaphore.url, semaphore.url.replace('/semaphore', '')))
  await gateway.gateway.reload()
  t.match(
    await refusal(t, gateway),
    /answered 200 with text\/html; charset=utf-8 instead of JSON: plugins.semaphore.base_url is not the address/,
  )
  const moved = await httpUpstream(t, (_request, response) => response.writeHead(307, { location: 'https://there/' }).end())
  const away = await startAll(t, {})
  await away.gateway.configure(away.config.replace(away.semaphore.url, moved.url))
  await away.gateway.gateway.reload()
  t.match(await refusal(t, away.gateway), /answered 307 and sends us on to https:\/\/there\//)
  const broken = await startAll(t, {})
  broken.semaphore.fault('html', (_method, path) => path.includes('templates'), 2)
  t.match(await refusal(t, broken.gateway), /instead of JSON/)
})

t.test('R20 TLS: an authority of our own, and without it', async (t) => {
  const trusted = await startAll(t, { server: { tls: true }, plugin: `, ca_file: ${CA}` })
  t.equal((await get(trusted.gateway)).status, 200)
  const untrusted = await startAll(t, { server: { tls: true } })
  t.match(await refusal(t, untrusted.gateway), /certificate of Semaphore at .* is not trusted .*: set plugins.semaphore.ca_file/)
  await untrusted.gateway.configure(untrusted.config.replace('poll_interval_ms', 'ca_file: no-such.pem, poll_interval_ms'))
  const thrown = await untrusted.gateway.gateway.reload().catch((error: unknown) => error)
  t.match(thrown, { problems: [{ message: /plugins\.semaphore\.ca_file cannot be read: ENOENT.*no-such\.pem/ }] })
  const blind = await startAll(t, { server: { tls: true }, plugin: ', reject_unauthorized: false' })
  t.equal((await get(blind.gateway)).status, 200)
})

t.test('R19 C7 the answer to a start is lost: the task is found by its marker, and there is one', async (t) => {
  for (const kind of ['drop', 'reset', 'hang'] as const) {
    const { semaphore, gateway } = await startAll(t, { plugin: ', timeout_ms: 700' })
    semaphore.fault(kind, isStart)
    t.equal((await get(gateway)).status, 200, kind)
    t.equal(semaphore.tasks().length, 1, kind)
    t.equal(semaphore.count('POST', /\/tasks$/), kind === 'drop' ? 1 : 2, kind)
    const messages = semaphore.seen.flatMap(({ method, path, body }) =>
      isStart(method, path) ? [(body as { message: string }).message] : [],
    )
    t.equal(new Set(messages).size, 1, 'always the same marker')
  }
})

t.test('R19 C7 500 with an `error` row: not tried again, its output tells why', async (t) => {
  const { semaphore, gateway } = await startAll(t)
  semaphore.fault('drop', isStart)
  const original = semaphore.state.add.bind(semaphore.state)
  semaphore.state.add = (given) => {
    const row = original(given, 'error')
    row.output.push('Failed to clone: repository not found')
    return row
  }
  t.match(
    await refusal(t, gateway),
    /task 8 of Semaphore \(start\) ended with error; .*\n.*\nFailed to clone: repository not found/,
  )
  t.equal(semaphore.tasks().length, 1, 'nor is anything stopped that never began')

  const bare = await startAll(t)
  bare.semaphore.fault(500, isStart)
  t.match(await refusal(t, bare.gateway), /POST .*\/tasks was answered 500: look into the log of Semaphore/)
  t.equal(bare.semaphore.count('POST', /\/tasks$/), 1)
  t.equal(bare.semaphore.tasks().length, 0)
})

t.test('R20 latency and nobody there', async (t) => {
  const { semaphore, gateway } = await startAll(t, { server: { knobs: { latencyMs: 60 } } })
  t.equal((await get(gateway)).status, 200)
  t.ok(semaphore.seen.length > 3)
  const nobody = new SemaphoreClient(
    { baseUrl: `http://127.0.0.1:${await deadPort()}`, ca: undefined, rejectUnauthorized: true, connectTimeoutMs: 500 },
    { token: 'x' },
    500,
  )
  await t.rejects(nobody.check(), { name: 'SemaphoreError', kind: 'unreachable' })
  await nobody.close()
})

t.test('R19 markers: found again, whatever the names; the time is in them', async (t) => {
  const instanceOf = (id: string, name: string) => ({ name, service: { id } }) as never
  const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,300}$/)
  fc.assert(
    fc.property(id, fc.oneof(fc.constant('default'), fc.string({ minLength: 1, maxLength: 300 })), (service, name) => {
      const instance = instanceOf(service, name)
      const before = Date.now()
      const marker = newMarker(instance, 'start')
      t.ok(marker.length <= 250)
      return (
        isOurs(marker, instance, 'start') &&
        !isOurs(marker, instance, 'stop') &&
        !isOurs(marker, instanceOf(`${service}x`, name), 'start') &&
        !isOurs(marker, instanceOf(service, `${name}:start`), 'start') &&
        markedAt(marker) >= before &&
        markedAt(marker) <= Date.now()
      )
    }),
  )
  for (const foreign of [
    '',
    'hestia:svc:start:',
    'hestia:svc:start:short',
    'by hand',
    'hestia:svc:start:01JDA0HQ2B3C4D5E6F7G8H9J0KX',
  ])
    t.notOk(isOurs(foreign, instanceOf('svc', 'default'), 'start'), foreign)
})

t.test('R19 how often a task is looked at', async (t) => {
  const delays = [0, 9_999, 10_000, 59_999, 60_000, 3_600_000].map((elapsed) => pollDelay(elapsed, 1000))
  t.same(delays, [1000, 1000, 2000, 2000, 5000, 5000])
})

t.test('R23 the tail of an output: short, plain, without secrets; from JSON that is cut anywhere', async (t) => {
  t.equal(tailOf('', []), '')
  t.equal(tailOf('a\n\n  \nb\r\n', []), 'a\nb')
  t.equal(tailOf('Authorization: Bearer abcdefghijkl', []), 'Authorization: ***')
  t.equal(tailOf('"api_key": "s3cr3t", x', []), '"api_key": ***, x')
  t.equal(tailOf('key is s3cr3t!', ['s3cr3t']), 'key is ***!')
  fc.assert(fc.property(fc.string(), (text) => tailOf(text, []).length <= 1003))
  t.equal(linesOfJson('put":"lost"},{"id":0,"output":"a \\"b\\"\\n"},{"output":"c'), 'a "b"\n')
  t.equal(linesOfJson('null'), '')
  t.equal(kindOf(new Error('x', { cause: new Error('y') })), undefined)
  t.ok(readFileSync(CA, 'utf8').startsWith('-----BEGIN CERTIFICATE'))
})

t.test(
  'R31 examples/semaphore: all YAML is valid, the configuration is taken as it is, and playbooks hold to their own rules',
  async (t) => {
    const folder = new URL('../../examples/semaphore/', import.meta.url)
    const read = (path: string): string => readFileSync(new URL(path, folder), 'utf8')
    const parsed = (path: string): unknown => {
      const document = parseDocument(read(path), { uniqueKeys: true })
      t.same(document.errors, [], path)
      return document.toJS()
    }
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => /\.ya?ml$/.test(path))
    t.ok(files.length >= 7)
    for (const path of files) parsed(path)

    const { services, volumes } = parsed('compose.yaml') as {
      services: Record<string, { image: string; volumes: string[] }>
      volumes: Record<string, unknown>
    }
    t.same(Object.keys(services), ['hestia', 'semaphore'])
    t.same(Object.keys(volumes), ['hestia_sqlite', 'semaphore_data'])
    const named = Object.values(services).flatMap((one) => one.volumes.map((volume) => volume.split(':')[0]!))
    t.same(
      named.filter((name) => !name.startsWith('./')),
      Object.keys(volumes),
      'each declared one is used, and no other',
    )

    for (const name of ['systemd', 'compose', 'wake-and-start', 'stop-and-suspend']) {
      const plays = parsed(`playbooks/${name}.yml`) as {
        name: string
        hosts: string
        gather_facts: boolean
        tasks: { name: string }[]
      }[]
      for (const play of plays) {
        t.equal(play.gather_facts, false, `${name}: ${play.name}`)
        t.ok(play.hosts === 'localhost' || play.hosts === '{{ hestia_host }}', 'never the whole inventory')
        t.ok(play.tasks.length > 0 && play.tasks.every((task) => task.name && Object.keys(task).length > 1))
      }
    }
    const inventory = parsed('playbooks/inventory.yml') as { all: { hosts: Record<string, unknown> } }
    const env = {
      SEMAPHORE_TOKEN: 'x',
      HESTIA_SERVER_HOST: '127.0.0.1',
      HESTIA_SERVER_PORT: '0',
      HESTIA_STORE_FILE: ':memory:',
      HESTIA_LOG_LEVEL: 'silent',
    }
    const gateway = await startGateway(t, { config: read('config/hestia_config.yml'), env })
    t.same(
      [...gateway.gateway.services].map(({ config }) => config.starters),
      [['semaphore'], ['semaphore'], ['semaphore']],
    )
    for (const { settings } of [...gateway.gateway.services].flatMap(({ all }) => all))
      t.ok(settings.machine && settings.machine in inventory.all.hosts)
  },
)
