import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Events } from '../../core/events.ts'
import { EventLog } from '../../core/log/event-log.ts'
import { levelOf, makeLogger } from '../../core/log/logger.ts'
import { redact } from '../../core/log/redact.ts'
import type { LogConfig } from '../../schemas/config.ts'
import { spawnGateway, startChildGateway } from '../helpers/child-gateway.ts'
import { ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

const CONFIG: LogConfig = { level: 'info', levels: {}, format: 'json', access: { level: 'info', sample: 1 } }

/** A log whose lines are kept. */
function makeLog(config: Partial<LogConfig> = {}) {
  const lines: string[] = []
  const events = new Events()
  const made = makeLogger({ ...CONFIG, ...config }, { write: (line) => lines.push(line) })
  const eventLog = new EventLog(events, made)
  eventLog.follow({ ...CONFIG, ...config })
  const follow = (next: Partial<LogConfig>) => eventLog.follow({ ...CONFIG, ...next })
  return { lines, events, log: made.log, follow, close: () => eventLog.close() }
}

const finished = {
  requestId: 'r1',
  method: 'GET',
  path: '/api/tags',
  service: 's',
  instance: 'i',
  reason: 'base_url' as const,
  strategy: undefined,
  status: 200,
  error: undefined,
  queueMs: 0,
  upstreamMs: 1.23456,
  totalMs: 2.34567,
  bytesIn: 1,
  bytesOut: 2,
  coldStart: false,
  aborted: false,
}

t.test('R23 no secret gets into a line, whatever field, text or error it stands in', async (t) => {
  const { lines, log } = makeLog({ level: 'trace' })
  const secret = 'S3CR3T-abcdef.123_456'
  const headers = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key']
  for (const name of headers) {
    for (const spelt of [name, name.toUpperCase(), name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase())]) {
      log.info({ [spelt]: `Bearer ${secret}` }, 'on top')
      log.info({ req: { deep: { headers: { [spelt]: [`a=${secret}; Path=/`, secret] } } } }, 'deep down')
      log.info({ rawHeaders: ['Host', 'x', spelt, secret, 'Accept', '*/*'] }, 'in turn')
      log.info(`got ${spelt}: ${secret}; more=${secret}`)
      log.child({ [spelt]: secret }).warn('bound')
    }
  }
  const options =
    'token api_token password password_hash api_key apiKey key secret client_secret access_token accessKey signature'
  for (const name of options.split(' ')) {
    log.info({ plugins: { semaphore: { [name]: secret } } }, 'option')
    log.info({ url: `/v1/models?a=1&${name}=${secret}&b=2` }, `GET /x?${name}=${secret}`)
    log.error({ err: new Error(`no answer from http://host/path?${name}=${secret}`) })
    log.error(new Error('outer', { cause: Object.assign(new Error('inner'), { [name]: secret }) }))
  }
  log.info(`authorization "Bearer ${secret}" refused, Basic ${secret} too`)
  log.info({ url: `http://user:${secret}@host/` }, 'in a URL')
  log.info({ text: `quote " then\ntoken="${secret}"\ncookie: x=${secret}\nnext` })
  t.ok(lines.length > 100)
  for (const line of lines) {
    t.notOk(line.includes('S3CR3T'), line)
    t.doesNotThrow(() => JSON.parse(line) as unknown, line)
  }
})

t.test('R23 what is no secret stays, and a line of JSON stays one', async (t) => {
  const { lines, log } = makeLog()
  const plain = { model_key: 'model', tokens: 12, max_tokens: '100', monkey: 'see', keyboard: 'qwerty', author: 'me' }
  log.info({ ...plain, url: 'http://host/a?page=2&sort=key', model: 'x' }, 'services.s.routing.model_key: wrong type')
  t.match(JSON.parse(lines[0]!), {
    ...plain,
    url: 'http://host/a?page=2&sort=key',
    msg: 'services.s.routing.model_key: wrong type',
  })
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), (value, text) => {
      lines.length = 0
      log.info({ value, token: value, text }, text)
      log.info({ authorization: text, text: `a?token=${text}&b` }, `cookie: ${text}`)
      for (const line of lines) JSON.parse(line)
      return lines.length === 2
    }),
  )
  t.equal(redact('nothing here'), 'nothing here')
})

t.test('R23 the access log: a line with its fields, at its level, for a share of requests, or not at all', async (t) => {
  const { lines, events, follow, close } = makeLog()
  events.emit('request.finished', finished)
  events.emit('request.finished', {
    ...finished,
    path: '/"quoted\\"',
    service: undefined,
    instance: undefined,
    error: 'x',
    upstreamMs: undefined,
  })
  t.same(lines, [], 'they wait for others')
  await until(() => lines.length > 0, 'the lines')
  t.equal(lines.length, 1, 'and are one write')
  lines.splice(0, 1, ...lines[0]!.trimEnd().split('\n'))
  t.match(JSON.parse(lines[1]!), { path: '/"quoted\\"', error: 'x', msg: 'no service: GET /"quoted\\" 200 in 2 ms' })
  t.match(JSON.parse(lines[0]!), {
    level: 30,
    type: 'request.finished',
    requestId: 'r1',
    method: 'GET',
    path: '/api/tags',
    service: 's',
    instance: 'i',
    reason: 'base_url',
    status: 200,
    queueMs: 0,
    upstreamMs: 1.23,
    totalMs: 2.35,
    bytesIn: 1,
    bytesOut: 2,
    coldStart: false,
    aborted: false,
    msg: 's/i: GET /api/tags 200 in 2 ms',
  })
  events.emit('request.finished', finished)
  events.emit('instance.health', { service: 's', instance: 'i', healthy: true, reason: 'ok' })
  t.same(
    lines.slice(2).map((line) => (JSON.parse(line) as { type: string }).type),
    ['request.finished', 'instance.health'],
    'in the order in which it happened',
  )
  const count = (config: Partial<LogConfig>, times = 1): number => {
    follow(config)
    lines.length = 0
    for (let i = 0; i < times; i++) events.emit('request.finished', finished)
    close()
    lines.splice(0, lines.length, ...lines.join('').split('\n').filter(Boolean))
    return lines.length
  }
  t.equal(count({ access: { level: 'info', sample: 0 } }), 0)
  t.equal(events.wants('request.finished'), false, 'no event is even made')
  t.equal(count({ access: { level: 'debug', sample: 1 } }), 0)
  t.equal(events.wants('request.finished'), false)
  t.equal(count({ level: 'debug', access: { level: 'debug', sample: 1 } }), 1)
  t.match(JSON.parse(lines[0]!), { level: 20 })
  t.equal(count({ level: 'warn' }), 0)
  t.equal(count({ level: 'warn', levels: { request: 'info' } }), 1)
  t.equal(count({ levels: { request: 'warn' } }), 0)
  follow({})
  lines.length = 0
  events.emit('request.finished', finished)
  follow({ level: 'debug', access: { level: 'debug', sample: 1 } })
  t.match(JSON.parse(lines[0]!), { level: 30 }, 'what had ended before is written as it was to be')
  follow({})
  lines.length = 0
  for (let i = 0; i < 20; i++) events.emit('request.finished', { ...finished, path: `/${'long'.repeat(1000)}` })
  t.equal(lines.length, 1, 'not too much of them waits')
  const warnings: Error[] = []
  const warn = (warning: Error) => warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  events.emit('instance.health', { service: 's', instance: 'i', healthy: true, reason: 'ok' })
  lines.length = 0
  events.tell({ ...finished, type: 'request.finished', at: Number.NaN })
  events.emit('request.finished', finished)
  close()
  t.equal(lines.join('').trimEnd().split('\n').length, 1, 'one that cannot be put into words takes no other along')
  await until(() => warnings.length > 0, 'the warning')
  t.match(warnings, [{ name: 'HestiaAccessLog' }])
  const sampled = count({ access: { level: 'info', sample: 0.25 } }, 4000)
  t.ok(sampled > 700 && sampled < 1300, `${sampled} of 4000`)
})

t.test('R23 levels: of events by family, live; what is not written is not listened to', async (t) => {
  const { lines, events, follow } = makeLog()
  const routed = { requestId: 'r', service: 's', instance: 'i', reason: 'base_url' as const, plugin: 'core' }
  events.emit('request.routed', routed)
  events.emit('instance.health', { service: 's', instance: 'i', healthy: true, reason: 'ok' })
  t.equal(lines.length, 1)
  t.equal(events.wants('request.routed'), false)
  follow({ levels: { request: 'debug', instance: 'warn' } })
  lines.length = 0
  events.emit('request.routed', routed)
  events.emit('instance.health', { service: 's', instance: 'i', healthy: true, reason: 'ok' })
  events.emit('instance.health', { service: 's', instance: 'i', healthy: false, reason: 'down' })
  t.same(
    lines.map((line) => (JSON.parse(line) as { msg: string }).msg),
    ['s/i: chosen by core (base_url)', 's/i: unhealthy: down'],
  )
  follow({ level: 'silent' })
  t.notOk(events.wants('server.stopping') || events.wants('request.finished'))
  t.equal(levelOf({ ...CONFIG, levels: { proxy: 'trace' } }, 'proxy'), 'trace')
  t.equal(levelOf({ ...CONFIG, levels: { proxy: 'trace' } }, 'queue'), 'info')
})

const CHATTY = `export default { name: 'chatty', setup (app) {
  const { log } = app.hestia
  app.get('/chat', () => { log.debug('a word'); log.info('louder'); return 'ok' })
} }`

async function makeFolder(t: Test, log: string, upstream: string) {
  const dir = t.testdir({ plugins: { 'chatty.ts': CHATTY } })
  const file = join(dir, 'hestia_config.yml')
  const write = (changed: string) =>
    writeFile(
      file,
      `server: { port: 0 }
log: ${changed}
plugins: { chatty: {} }
services: { s: { base_url: "${upstream}", health: { tcp: true } } }
`,
    )
  await write(log)
  return { file, write }
}

t.test('R16 R23 a whole gateway: request ids, levels of plugins live at a reload, nothing of a secret', async (t) => {
  const upstream = await httpUpstream(t)
  const { file, write } = await makeFolder(t, '{ level: info, format: json }', upstream.url)
  const gateway = await startChildGateway(t, file)
  const { lines } = gateway
  const secret = 'hunter2hunter2'
  const headers = { 'x-request-id': 'mine-1', authorization: `Bearer ${secret}`, cookie: `sid=${secret}`, 'x-api-key': secret }
  const answer = await ask(`${gateway.url}/services/s/deep/path?token=${secret}&api_key=${secret}`, { headers })
  t.equal(answer.headers['x-request-id'], 'mine-1')
  const access = await until(() => lines.find(({ type }) => type === 'request.finished'), 'the line of the request')
  t.match(access, { requestId: 'mine-1', path: '/deep/path', service: 's', status: 200, coldStart: true })
  await ask(`${gateway.url}/services/nobody/?token=${secret}`, { headers })
  await until(() => lines.find(({ error }) => error === 'unknown_service'))

  await ask(`${gateway.url}/chat`)
  await until(() => lines.some(({ plugin, msg }) => plugin === 'chatty' && msg === 'louder'))
  t.notOk(lines.some(({ msg }) => msg === 'a word'))
  const generations = () => lines.filter(({ type }) => type === 'reload.applied').length
  await write('{ level: info, format: json, levels: { chatty: debug, request: debug }, access: { sample: 0 } }')
  await until(() => generations() === 2, 'the reload')
  await ask(`${gateway.url}/chat`)
  await until(() => lines.some(({ plugin, msg }) => plugin === 'chatty' && msg === 'a word'), 'the line of the plugin')
  const before = lines.filter(({ type }) => type === 'request.finished').length
  await ask(`${gateway.url}/services/s/again`, { headers: { 'x-request-id': 'mine-2' } })
  await until(() => lines.some(({ type, requestId }) => type === 'request.routed' && requestId === 'mine-2'), 'how it was routed')
  await write('{ level: warn, format: json, levels: { reload: info } }')
  await until(() => generations() === 3, 'the second reload')
  t.equal(lines.filter(({ type }) => type === 'request.finished').length, before)
  const heard = lines.length
  await ask(`${gateway.url}/chat`)
  await ask(`${gateway.url}/services/s/quiet`)
  await write('{ level: info, format: json }')
  await until(() => generations() === 4, 'the third reload')
  t.notOk(lines.slice(heard).some(({ msg, path }) => msg === 'louder' || path === '/quiet'))
  t.notMatch(JSON.stringify(lines), secret)
  t.equal(await gateway.end(), 0)
})

t.test('R22 R23 auth that lets nobody in says how to make the first key', async (t) => {
  const dir = t.testdir({ 'admin.key': 'an-administrator-of-this-gateway\n' })
  const file = join(dir, 'hestia_config.yml')
  const write = (auth: string) =>
    writeFile(file, `server: { port: 0 }\nlog: { format: json }\nplugins: { auth: ${auth} }\nservices: {}\n`)
  await write('{}')
  const gateway = await startChildGateway(t, file)
  const line = gateway.lines.find(({ plugin }) => plugin === 'auth')
  t.match(line, {
    level: 40,
    msg: /nobody is an administrator.* plugins\.auth\.keys, as \{ name: me, key: "\$\{file:admin\.key\}"/,
  })
  const before = gateway.lines.length
  await write('{ keys: [{ name: me, key: "${file:admin.key}", scopes: [admin] }] }')
  await until(() => gateway.lines.some(({ type, generation }) => type === 'reload.applied' && generation === 2), 'the reload')
  t.notOk(
    gateway.lines.slice(before).some(({ plugin }) => plugin === 'auth'),
    'what it says to do is enough',
  )
  t.equal((await ask(`${gateway.url}/v1/keys`, { headers: { 'x-api-key': 'an-administrator-of-this-gateway' } })).status, 200)
})

t.test('R23 pretty lines for people', async (t) => {
  const upstream = await httpUpstream(t)
  const { file } = await makeFolder(t, '{ level: info, format: pretty }', upstream.url)
  const child = spawnGateway(file)
  t.teardown(() => child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  const url = (await until(() => /listening on (http:\/\/\S+)/.exec(text), 'the gateway to listen'))[1]!
  await ask(`${url}/services/s/`)
  await until(() => /INFO: s\/default: GET \/ 200 in \d/.test(text), 'a line for people')
})
