import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { Pool } from 'undici'
import { WebSocket, WebSocketServer } from 'ws'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

const ADMIN = 'admin-key-0123456789-abcdefghij'
const A = 'key-of-a-0123456789-abcdefghijkl'
const A_USE = 'key-of-a-use-0123456789-abcdefgh'
const READER = 'key-of-reader-0123456789-abcdefg'
const ALL_SERVICES = 'key-of-services-0123456789-abcde'
const FAMILY = 'key-of-family-0123456789-abcdefg'
const MODEL = 'key-of-model-0123456789-abcdefgh'
const KEYS = [ADMIN, A, A_USE, READER, ALL_SERVICES, FAMILY, MODEL]
const hashed = (key: string) => `sha256:${createHash('sha256').update(key).digest('hex')}`

const AUTH = {
  keys: [
    { name: 'admin', key: '${ADMIN_KEY}', scopes: ['admin'] },
    { name: 'a', hash: hashed(A), scopes: ['services:a'] },
    { name: 'a-use', hash: hashed(A_USE), scopes: ['services:a:use'] },
    { name: 'reader', hash: hashed(READER), scopes: ['read'] },
    { name: 'services', hash: hashed(ALL_SERVICES), scopes: ['services:*'] },
    { name: 'family', hash: hashed(FAMILY), scopes: ['family'] },
    { name: 'model', hash: hashed(MODEL), scopes: ['models:small'] },
  ],
}

/** Those of the keys whose scopes mean something with these services. */
const authFor = (services: Record<string, unknown>) => ({
  keys: AUTH.keys.filter(({ scopes }) => {
    const [scope = ''] = scopes
    return scope === 'family' ? 'ours' in services : !scope.startsWith('services:a') || 'a' in services
  }),
})

const withKey = (key: string, more: Record<string, string> = {}) => ({ headers: { 'x-api-key': key, ...more } })
const json = (key: string, body: unknown, method = 'POST') => ({
  method,
  headers: { 'x-api-key': key, 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
const errorOf = (text: string) => (JSON.parse(text) as { error: string }).error

type Started = Awaited<ReturnType<typeof startGateway>>

const configOf = (services: Record<string, unknown>, auth: Record<string, unknown> = {}) =>
  `plugins: ${JSON.stringify({ auth: { ...authFor(services), ...auth }, exclusive: {} })}\nservices: ${JSON.stringify(services)}\n`

/** A gateway with auth, and all that it answers, to be looked through at the end. */
async function guarded(t: Test, services: Record<string, unknown>, auth: Record<string, unknown> = {}) {
  const told: string[] = []
  const gateway = await startGateway(t, {
    config: configOf(services, auth),
    env: { ADMIN_KEY: ADMIN },
  })
  const request: typeof ask = async (url, options) => {
    const answer = await ask(url.startsWith('/') ? gateway.url + url : url, options)
    told.push(answer.text, JSON.stringify(answer.headers))
    return answer
  }
  return { gateway, request, told }
}

/** No key, whole or in its most of its length, stands in anything that came out. */
async function noSecrets(
  t: Test,
  { gateway, told }: { gateway: Started; told: readonly string[] },
  secrets: readonly string[] = KEYS,
) {
  const activities = (await ask(`${gateway.url}/v1/activities?limit=1000`, withKey(ADMIN))).text
  const all = [...told, activities, JSON.stringify(gateway.events)].join('\n')
  for (const secret of secrets) t.notOk(all.includes(secret.slice(0, 24)), 'no secret is told')
}

t.test('R22 off by default, with a warning; on, nothing but liveness is open', async (t) => {
  const open = await startGateway(t, { config: 'services: {}' })
  t.equal((await ask(`${open.url}/v1/services`)).status, 200)
  await open.configure('services: {}\nlog: { level: silent, levels: { request: info } }\n')
  await open.event('reload.applied', ({ generation }) => generation === 2)
  t.notOk(
    open.events.some(({ type }) => type === 'server.open'),
    'not said again with each reload',
  )
  const everywhere = await startGateway(t, { config: 'server: { host: 127.0.0.1 }\nservices: {}\nplugins: { auth: {} }' })
  t.notOk(everywhere.events.some(({ type }) => type === 'server.open'))
  await everywhere.configure('services: {}')
  t.match(await everywhere.event('server.open'), { address: everywhere.url, exposed: false })
  await everywhere.configure('server: { host: 0.0.0.0 }\nservices: {}')
  t.match(await everywhere.event('server.open', ({ exposed }) => exposed), { exposed: true })

  const upstream = await httpUpstream(t)
  const all = await guarded(t, { a: { base_url: upstream.url, warmup_ms: 0 } })
  const { gateway, request } = all
  for (const path of ['/__health', '/__ready']) t.equal((await request(path)).status, 200, path)
  const routes = gateway.gateway.plugins().length
  t.ok(routes > 10)
  const closed = [
    '/v1/services',
    '/v1/services/a/status',
    '/v1/plugins',
    '/metrics',
    '/v1/metrics',
    '/v1/activities',
    '/v1/events',
  ]
  closed.push(
    '/v1/keys',
    '/v1/exclusive',
    '/v1/strategies',
    '/v1/models',
    '/services/a/',
    '/services/a',
    '/nothing',
    '/v1/services/a/logs',
  )
  for (const path of closed) {
    const answer = await request(path)
    t.equal(answer.status, 401, path)
    t.equal(answer.headers['www-authenticate'], 'Bearer realm="hestia"', path)
  }
  for (const path of ['/v1/reload', '/v1/services/a/start', '/v1/services/a/stop', '/v1/requests', '/v1/chat/completions'])
    t.equal((await request(path, { method: 'POST' })).status, 401, path)
  const door = await request('/v1/chat/completions', json('wrong', { model: 'x' }))
  t.match(JSON.parse(door.text), { error: { code: 'unauthorized', type: 'invalid_request_error' } }, "in the door's own shape")
  t.match(door.headers['www-authenticate'], /error="invalid_token"/)
  t.equal(gateway.instance('a').state, 'cold')
  t.equal(upstream.seen.length, 0)
  t.equal((await request('/v1/services', withKey(ADMIN))).status, 200)
  t.equal((await request('/v1/services', { headers: { authorization: `bearer ${ADMIN}` } })).status, 200)
  t.equal((await request('/nothing', withKey(ADMIN))).status, 404)
  t.equal((await request('/services/nobody/', withKey(ADMIN))).status, 404)
  await noSecrets(t, all)
})

t.test('R22 what each scope permits: use, wake, read and administer apart', async (t) => {
  const upstream = await httpUpstream(t)
  const service = (more = {}) => ({ base_url: upstream.url, warmup_ms: 0, ...more })
  const all = await guarded(t, {
    a: service(),
    b: service(),
    ours: service({ auth: { scopes: ['family'] } }),
    open: service({ auth: { public: true } }),
    half: service({ auth: { public: 'use' } }),
  })
  const { gateway, request } = all
  const status = async (path: string, key: string, method = 'GET') => (await request(path, { method, ...withKey(key) })).status

  t.equal(await status('/services/a/', A_USE), 403, 'cold, and may not be woken')
  t.equal(gateway.instance('a').state, 'cold')
  t.equal(await status('/v1/services/a/start', A_USE, 'POST'), 403)
  t.equal(await status('/services/a/', A), 200, 'wakes it')
  t.equal(await status('/services/a/', A_USE), 200, 'hot, it may be used')
  t.equal(await status('/v1/services/a/status', A_USE), 403)
  t.equal(await status('/v1/services/a/status', A), 200)
  t.equal(await status('/v1/services/a/logs', A), 200)
  t.equal(await status('/v1/services/a/metrics', A), 200)
  t.equal(await status('/v1/services/a/stop', A, 'POST'), 403)

  const refused = await request('/services/b/', withKey(A))
  t.equal(refused.status, 403)
  t.match(JSON.parse(refused.text), {
    error: 'forbidden',
    needs: 'services:b',
    message: /key a may not use service b; that takes the scope services:b/i,
  })
  for (const path of ['/v1/services/b/status', '/v1/services/b/logs', '/v1/services/b/metrics'])
    t.equal(await status(path, A), 403, path)
  t.equal(await status('/v1/services/b/start', A, 'POST'), 403)
  t.equal(await status('/services/nobody/', A), 403, 'what there is, is not told either')
  t.equal((await request('/v1/requests', json(A, { serviceId: 'b', method: 'GET', path: '/' }))).status, 403)
  t.equal((await request('/v1/requests', json(A, { serviceId: 'a', method: 'GET', path: '/' }))).status, 200)
  t.equal(gateway.instance('b').state, 'cold', 'nothing of that started it')

  const listed = JSON.parse((await request('/v1/services', withKey(A))).text) as { serviceId: string }[]
  t.same(
    listed.map(({ serviceId }) => serviceId),
    ['a'],
  )
  t.equal(await status('/v1/activities', A), 403)
  t.equal(await status('/v1/activities?service=a', A), 200)
  t.equal(await status('/v1/activities?service=b', A), 403)
  for (const path of ['/v1/plugins', '/v1/strategies', '/metrics', '/v1/metrics', '/v1/keys', '/v1/exclusive'])
    t.equal(await status(path, A), 403, path)

  for (const path of ['/v1/plugins', '/v1/services/b/logs', '/metrics', '/v1/activities', '/v1/exclusive'])
    t.equal(await status(path, READER), 200, path)
  for (const path of ['/v1/reload', '/v1/services/a/stop', '/v1/services/b/start'])
    t.equal(await status(path, READER, 'POST'), 403, path)
  t.equal(await status('/v1/keys', READER), 403)
  t.equal(await status('/services/a/', READER), 403)

  t.equal(await status('/services/b/', ALL_SERVICES), 200)
  t.equal(await status('/services/ours/', ALL_SERVICES), 403, 'services with scopes of their own are not among *')
  t.equal(await status('/services/ours/', FAMILY), 200)
  t.equal(await status('/services/b/', FAMILY), 403)

  t.equal((await request('/services/half/')).status, 401, 'cold')
  t.equal((await request('/v1/services/half/start', { method: 'POST', ...withKey(ADMIN) })).status, 202)
  await until(() => gateway.instance('half').state === 'hot')
  t.equal((await request('/services/half/')).status, 200)
  t.equal((await request('/services/open/')).status, 200)
  t.equal((await request('/v1/services/open/status')).status, 401, 'public is its use, not its logs')

  t.equal((await request('/v1/services/a/stop', { method: 'POST', ...withKey(ADMIN) })).status, 202)
  t.match(await gateway.event('auth.denied', ({ code }) => code === 'forbidden'), { caller: 'key a-use', service: 'a' })
  await noSecrets(t, all)
})

t.test('R22 a route that says nothing is for administrators; events only of what may be seen', async (t) => {
  const upstream = await httpUpstream(t)
  const gateway = await startGateway(t, {
    config: `plugins: { auth: ${JSON.stringify(authFor({ a: 1 }))}, mine: {} }\nservices: ${JSON.stringify({ a: { base_url: upstream.url, warmup_ms: 0 }, b: { base_url: upstream.url, warmup_ms: 0 } })}`,
    env: { ADMIN_KEY: ADMIN },
    files: {
      'plugins/mine.ts': `export default { name: 'mine', setup (app) {
        app.get('/mine', (request) => ({ caller: request.caller.name }))
        app.get('/everybody', { config: { permission: 'public' } }, () => ({ hello: 1 }))
      } }`,
    },
  })
  const get = (path: string, key?: string) => ask(gateway.url + path, key === undefined ? {} : withKey(key))
  t.same([(await get('/mine')).status, (await get('/mine', READER)).status], [401, 403])
  t.same(JSON.parse((await get('/mine', ADMIN)).text), { caller: 'admin' })
  t.equal((await get('/everybody')).status, 200)

  let seen = ''
  const { port } = gateway
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('data', (chunk) => {
    seen += String(chunk)
  })
  socket.write(`GET /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: ${A}\r\n\r\n`)
  await until(() => seen.includes(': connected'))
  await get('/services/b/', ADMIN)
  await get('/services/a/', A)
  await until(() => /"service":"a".*"to":"hot"/.test(seen))
  t.notMatch(seen, /"service":"b"/)
  t.notMatch(seen, /event: (?:reload|server)\./)
})

t.test('R22 credentials of the gateway end here, all others pass', async (t) => {
  const upstream = await httpUpstream(t)
  const all = await guarded(t, {
    a: { base_url: upstream.url, warmup_ms: 0 },
    open: { base_url: upstream.url, warmup_ms: 0, auth: { public: true } },
  })
  const { request } = all
  const sent = async (path: string, headers: Record<string, string>) => {
    t.equal((await request(path, { headers })).status, 200)
    return upstream.seen.findLast(({ url }) => url === '/')!.headers
  }
  let got = await sent('/services/a/', { 'x-api-key': A, authorization: 'Bearer for-the-service', cookie: 'theme=dark' })
  t.match(got, { authorization: 'Bearer for-the-service', cookie: 'theme=dark' })
  t.equal(got['x-api-key'], undefined)
  got = await sent('/services/a/', { authorization: `Bearer ${A}`, 'x-api-key': 'for-the-service' })
  t.equal(got.authorization, undefined)
  t.equal(got['x-api-key'], 'for-the-service')
  got = await sent('/services/a/', { authorization: `Bearer ${A}`, 'x-api-key': A })
  t.same([got.authorization, got['x-api-key']], [undefined, undefined])
  got = await sent('/services/open/', { authorization: 'Basic dXNlcjpwYXNz', 'x-api-key': A })
  t.same([got.authorization, got['x-api-key']], ['Basic dXNlcjpwYXNz', undefined], 'also where none is needed')
  got = await sent('/services/open/', { authorization: 'Bearer hst_000000000000_revoked' })
  t.equal(got.authorization, undefined, 'what looks like a key, too')
  got = await sent('/services/a/', { 'x-api-key': A, cookie: 'a=1; hestia_session=hss_0123; b="2"' })
  t.equal(got.cookie, 'a=1; b="2"')
  got = await sent('/services/a/', { 'x-api-key': A, cookie: 'hestia_session=hss_0123' })
  t.equal(got.cookie, undefined)
  const twice = ['host', 'localhost', 'x-api-key', 'somebody-elses', 'x-api-key', A]
  t.equal((await request('/services/a/', { headers: twice })).status, 200)
  t.equal(upstream.seen.at(-1)!.headers['x-api-key'], undefined, 'a second one is no hiding place')
  const both = ['host', 'localhost', 'x-api-key', A, 'authorization', 'Bearer for-the-service', 'authorization', `Bearer ${A}`]
  t.equal((await request('/services/a/', { headers: both })).status, 200)
  t.notOk(
    upstream.seen.at(-1)!.rawHeaders.some((value) => value.includes(A)),
    'nor is a second Authorization',
  )
  t.equal(upstream.seen.at(-1)!.headers.authorization, 'Bearer for-the-service')
  await request('/v1/requests', json(A, { serviceId: 'a', method: 'GET', path: '/', headers: { authorization: 'Bearer inner' } }))
  t.equal(upstream.seen.findLast(({ url }) => url === '/')!.headers.authorization, 'Bearer inner')
  t.equal(upstream.seen.findLast(({ url }) => url === '/')!.headers['x-api-key'], undefined)
  await noSecrets(t, all, [...KEYS, 'dXNlcjpwYXNz', 'for-the-service', 'hss_0123'])
})

t.test('R22 WebSockets with and without a key', async (t) => {
  const upstream = await httpUpstream(t)
  let headers: Record<string, unknown> = {}
  const server = new WebSocketServer({ server: upstream.server })
  t.teardown(() => server.close())
  server.on('connection', (socket, request) => {
    headers = request.headers
    socket.on('message', (data) => socket.send(data))
  })
  const { gateway } = await guarded(t, {
    a: { base_url: upstream.url, warmup_ms: 0 },
    b: { base_url: upstream.url, warmup_ms: 0 },
  })
  const open = (service: string, options = {}) =>
    new Promise<string>((resolve) => {
      const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/services/${service}/`, options)
      socket.on('open', () => socket.send('hello'))
      socket.on('message', (data) => {
        resolve(String(data))
        socket.close()
      })
      socket.on('unexpected-response', (_request, response) => {
        resolve(String(response.statusCode))
        response.destroy()
      })
      socket.on('error', () => undefined)
    })
  t.equal(await open('a'), '401')
  t.equal(gateway.instance('a').state, 'cold')
  t.equal(await open('b', withKey(A)), '403')
  t.equal(await open('a', withKey(A)), 'hello')
  t.equal(headers['x-api-key'], undefined)
  t.equal(await open('a', { headers: { authorization: `Bearer ${A}` } }), 'hello')
  t.equal(headers.authorization, undefined)
})

t.test(
  'R22 event streams follow the configuration: a key that is gone tells nothing more, and nobody stays in unasked',
  async (t) => {
    const upstream = await httpUpstream(t)
    const services = { a: { base_url: upstream.url, warmup_ms: 0 }, b: { base_url: upstream.url, warmup_ms: 0 } }
    const { gateway } = await guarded(t, services)
    const reload = async (auth: Record<string, unknown> | false) => {
      const plugins = { auth: auth && { ...authFor(services), ...auth } }
      await gateway.configure(JSON.stringify({ plugins, services }))
      await gateway.gateway.reload()
    }
    const keysWithout = (name: string) => authFor(services).keys.filter((key) => key.name !== name)
    const open = async (key?: string) => {
      const controller = new AbortController()
      t.teardown(() => controller.abort())
      const headers: Record<string, string> = key === undefined ? {} : { 'x-api-key': key }
      const { body } = await fetch(`${gateway.url}/v1/events?types=hook.`, { headers, signal: controller.signal })
      const stream = { text: '', over: false }
      const read = async () => {
        for await (const chunk of body!) stream.text += Buffer.from(chunk).toString()
      }
      read().then(
        () => (stream.over = true),
        () => undefined,
      )
      return stream
    }
    const tell = (plugin: string, service: string) =>
      gateway.gateway.events.emit('hook.failed', { hook: 'onReady', plugin, service, error: 'x' })

    const [admin, reader, ofA] = [await open(ADMIN), await open(READER), await open(A)]
    await reload({ keys: keysWithout('reader').map((key) => (key.name === 'a' ? { ...key, scopes: ['services:b'] } : key)) })
    tell('after-one', 'a')
    tell('after-one', 'b')
    await until(() => admin.text.split('after-one').length === 3, 'the administrator to hear of it')
    await until(() => reader.over, 'the stream of the key that is gone to end')
    t.notMatch(reader.text, 'after-one')
    await until(() => ofA.text.includes('"service":"b"'), 'the other one to hear of what it may see now')
    t.notMatch(ofA.text, '"service":"a"')

    await reload(false)
    const anybody = await open()
    tell('open-to-all', 'a')
    await until(() => anybody.text.includes('open-to-all'), 'it, while nobody is asked')
    await reload({})
    tell('asked-again', 'a')
    await until(() => anybody.over, 'the stream of nobody known to end')
    t.notMatch(anybody.text, 'asked-again')
    await until(() => admin.text.includes('asked-again'), 'the administrator, on the first stream still')
    t.notOk(admin.over)
  },
)

t.test('R22 R27 models through the front door', async (t) => {
  const models = ['small', 'large']
  const upstream = await httpUpstream(t, (_request, response, body) => response.end(body))
  const all = await guarded(t, {
    llm: { base_url: upstream.url, warmup_ms: 0, models, aliases: { tiny: 'small' } },
    hidden: { base_url: upstream.url, warmup_ms: 0, models: ['secret-model'] },
  })
  const { gateway, request } = all
  const chat = (body: unknown, key = MODEL) => request('/v1/chat/completions', json(key, body))
  const idsOf = async (key: string) =>
    (JSON.parse((await request('/v1/models', withKey(key))).text) as { data: { id: string }[] }).data.map(({ id }) => id)
  t.same(await idsOf(MODEL), ['small', 'tiny'])
  t.same(await idsOf(ADMIN), ['small', 'large', 'tiny', 'secret-model'])
  t.same(await idsOf(READER), [])
  t.equal((await request('/v1/models/large', withKey(MODEL))).status, 404)
  const missing = await chat({ model: 'nonsense' })
  t.equal(missing.status, 404)
  t.notMatch(missing.text, /secret-model|hidden|large/)

  const refused = await chat({ model: 'large' })
  t.equal(refused.status, 403)
  t.match(JSON.parse(refused.text), { error: { code: 'forbidden', message: /models:large/ } })
  t.equal(gateway.instance('llm').state, 'cold')
  t.equal((await chat({ model: 'small' })).status, 200, 'wakes it')
  t.match(JSON.parse((await chat({ model: 'tiny' })).text), { model: 'small' })
  t.equal((await request('/services/llm/', withKey(MODEL))).status, 403, 'only through the door')
  t.equal((await chat({ model: 'large' }, ADMIN)).status, 200)

  const { length } = upstream.seen
  const raw = (body: string, type = 'application/json', path = '/v1/chat/completions') =>
    request(path, { method: 'POST', headers: { 'x-api-key': MODEL, 'content-type': type }, body })
  const form = (...names: string[]) =>
    `${names.map((name) => `--x\r\ncontent-disposition: form-data; name="model"\r\n\r\n${name}\r\n`).join('')}--x--\r\n`
  t.equal((await raw('{"model":"large","model":"small"}')).status, 403, 'who reads the first would see another')
  t.equal((await raw('{"model":"small","Model":"large"}')).status, 403, 'who reads without regard to case, too')
  t.equal((await raw('{"mod\\u0065l":"large","model":"small"}')).status, 403)
  t.equal((await raw('{"model":"large"}{"model":"small"}')).status, 403, 'who reads one object only, too')
  t.equal((await raw('{"model":"large"}', 'text/plain', '/v1/chat/completions?model=small')).status, 403)
  t.equal((await raw(form('large', 'small'), 'multipart/form-data; boundary=x', '/v1/audio/speech')).status, 403)
  const speech = (body: string, type: string, query = '') => raw(body, `multipart/form-data; ${type}`, `/v1/audio/speech${query}`)
  const other = form('large').replaceAll('--x', '--y')
  t.equal((await speech(form('small') + other, 'boundary=x; boundary=y')).status, 400, 'which of the boundaries?')
  t.equal((await speech(form('small').replace('--x--', form('large').replaceAll('\r\n', '\n')), 'boundary=x')).status, 403)
  t.equal((await speech(form('small').replace('name="model"', "$&; name*=utf-8''model"), 'boundary=x')).status, 403)
  t.equal((await speech(form('small'), 'boundary=x', '?model=large')).status, 403, 'the query says otherwise')
  t.equal((await request('/v1/responses/x?model=small&model=large', withKey(MODEL))).status, 403)
  for (const path of [
    '/v1/audio/../../api/pull',
    '/v1/audio/%2E%2e/%2e%2E/api/pull',
    '/v1/images/..%2f..%5Capi/pull',
    '/v1/audio/..',
  ])
    t.equal((await request('/', { ...json(MODEL, { model: 'small' }), path })).status, 400, path)
  const types = ['multipart/form-data; boundary=x', 'multipart/form-data; boundary=y'].flatMap((type) => ['content-type', type])
  const headers = ['host', 'localhost', 'x-api-key', MODEL, ...types]
  t.equal((await request('/v1/audio/speech', { method: 'POST', headers, body: form('small') + other })).status, 400)
  t.equal(upstream.seen.length, length, 'none of them got through')
  t.equal((await raw(form('small'), 'multipart/form-data; boundary=x', '/v1/audio/speech')).status, 200)
  await noSecrets(t, all)
})

t.test('R22 keys of the API: made once, listed without, switched off and revoked at once, there after a restart', async (t) => {
  const upstream = await httpUpstream(t)
  const services = { a: { base_url: upstream.url, warmup_ms: 0 } }
  const all = await guarded(t, services)
  const { gateway, request } = all
  const made = await request('/v1/keys', json(ADMIN, { name: 'phone', scopes: ['services:a'] }))
  t.equal(made.status, 201)
  t.equal(made.headers['cache-control'], 'no-store')
  all.told.splice(all.told.indexOf(made.text), 1)
  const { key, id } = JSON.parse(made.text) as { key: string; id: string }
  t.match(key, /^hst_[0-9a-f]{12}_[\w-]{43}$/)
  t.ok(key.startsWith(id))
  const use = async () => (await request('/services/a/', withKey(key))).status
  t.equal(await use(), 200)
  const list = async () => JSON.parse((await request('/v1/keys', withKey(ADMIN))).text).keys as Record<string, unknown>[]
  const shown = (await list()).find((entry) => entry.id === id)
  t.match(shown, { name: 'phone', scopes: ['services:a'], source: 'store', disabled: false, last_used_at: /^20/ })
  t.ok((await list()).some((entry) => entry.id === 'config:admin' && entry.source === 'config'))

  for (const wrong of [`${key}x`, key.slice(0, -1), `${id}_${'A'.repeat(43)}`, id, key.toUpperCase()])
    t.equal((await request('/services/a/', withKey(wrong))).status, 401)
  const disable = (disabled: boolean) => request(`/v1/keys/${id}`, json(ADMIN, { disabled }, 'PATCH'))
  t.equal((await disable(true)).status, 200)
  t.equal(await use(), 401)
  t.equal((await disable(false)).status, 200)
  t.equal(await use(), 200)

  await gateway.configure(configOf(services, { session_ms: 5000 }))
  await gateway.event('reload.applied', ({ generation }) => generation === 2)
  t.equal(await use(), 200, 'a reload changes nothing')
  t.equal((await request(`/v1/keys/${id}`, { method: 'DELETE', ...withKey(key) })).status, 403, 'not by itself')
  t.equal((await request(`/v1/keys/${id}`, { method: 'DELETE', ...withKey(ADMIN) })).status, 204)
  t.equal(await use(), 401)
  t.equal((await request(`/v1/keys/${id}`, { method: 'DELETE', ...withKey(ADMIN) })).status, 404)
  t.equal((await request('/v1/keys/config:admin', { method: 'DELETE', ...withKey(ADMIN) })).status, 400)
  for (const [scope, hint] of [
    ['services:aa', /did you mean "a"/],
    ['service:a', /services:a/],
    ['services:a:start', /none of use, wake, read/],
  ] as const) {
    const refused = await request('/v1/keys', json(ADMIN, { name: 'x', scopes: [scope] }))
    t.equal(refused.status, 400, scope)
    t.match(JSON.parse(refused.text).message, hint)
  }
  t.match(await gateway.event('auth.key_made'), { name: 'phone', by: 'admin', id })
  t.match(await gateway.event('auth.key_changed', ({ change }) => change === 'revoked'), { name: 'phone', by: 'admin' })
  await noSecrets(t, all, [...KEYS, key])
})

t.test('R22 R18 keys of the API survive a restart; without a store there are those of the configuration', async (t) => {
  const file = `${t.testdir()}/keys.sqlite`
  const config = (store: unknown) =>
    `plugins: ${JSON.stringify({ auth: authFor({}), store, ...(store ? {} : { activity: false }) })}\nservices: {}\n`
  const options = { config: config({ file }), env: { ADMIN_KEY: ADMIN } }
  const first = await startGateway(t, options)
  const made = await ask(`${first.url}/v1/keys`, json(ADMIN, { name: 'k', scopes: ['read'] }))
  const { key } = JSON.parse(made.text) as { key: string }
  await first.close()
  const second = await startGateway(t, options)
  t.equal((await ask(`${second.url}/v1/plugins`, withKey(key))).status, 200)
  const bare = await startGateway(t, { ...options, config: config(false) })
  t.equal((await ask(`${bare.url}/v1/plugins`, withKey(READER))).status, 200)
  const refused = await ask(`${bare.url}/v1/keys`, json(ADMIN, { name: 'k', scopes: ['read'] }))
  t.equal(refused.status, 503)
  t.equal(errorOf(refused.text), 'store_unavailable')
})

t.test('R22 keys of the configuration are live at once with a reload', async (t) => {
  const upstream = await httpUpstream(t)
  const services = { a: { base_url: upstream.url, warmup_ms: 0 } }
  const { gateway, request } = await guarded(t, services)
  t.equal((await request('/services/a/', withKey(A))).status, 200)
  const fresh = 'a-new-key-0123456789-0123456789'
  const auth = { keys: [{ name: 'a', hash: hashed(fresh), scopes: ['services:a'] }] }
  await gateway.configure(configOf(services, auth))
  await gateway.event('reload.applied', ({ generation }) => generation === 2)
  t.equal((await request('/services/a/', withKey(A))).status, 401)
  t.equal((await request('/services/a/', withKey(fresh))).status, 200)
})

t.test('R17 R22 what is wrong with keys, users and scopes is refused, without telling them', async (t) => {
  const auth = {
    keys: [
      { name: 'one', hash: hashed(A), scopes: ['services:olama'] },
      { name: 'one', hash: hashed(A), scopes: ['admn'] },
      { name: 'both', hash: hashed(READER), key: READER, scopes: [] },
      { name: 'short', key: 'hunter2', scopes: [] },
    ],
    users: [{ name: 'me', password_hash: '$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA' }],
  }
  const services = { ollama: { base_url: 'http://127.0.0.1:9', warmup_ms: 0, auth: { scopes: ['read'] } } }
  const failing = (given: unknown) =>
    startGateway(t, { config: `plugins: ${JSON.stringify({ auth: given })}\nservices: ${JSON.stringify(services)}` }).then(
      () => '',
      (error: Error & { problems: { message: string }[] }) => error.problems.map(({ message }) => message).join('\n'),
    )
  const shape = await failing(auth)
  t.match(shape, /expected a key of 20 to 200 printable characters/)
  t.notMatch(shape, /hunter2/)
  const meaning = await failing({ ...auth, keys: auth.keys.slice(0, 3) })
  t.match(meaning, /there is no service "olama"; did you mean "ollama"/)
  t.match(meaning, /there is no scope "admn"; did you mean "admin"/)
  t.match(meaning, /another of the name "one"/)
  t.match(meaning, /has the same key/)
  t.match(meaning, /either key or hash/)
  t.match(meaning, /weaker than ln=14/)
  t.match(meaning, /"read" has a meaning of its own/)
  t.notMatch(meaning, new RegExp(READER))
})

t.test('R22 ten thousand wrong keys: throttled, told of in a few lines, and right ones pass all the while', async (t) => {
  const { gateway, request } = await guarded(t, {})
  const pool = new Pool(gateway.url, { connections: 8, pipelining: 1 })
  t.teardown(() => pool.destroy())
  const agent = async (count: number, keyOf: (i: number) => string) => {
    const statuses = new Set<number>()
    let next = 0
    const beganAt = performance.now()
    const worker = async () => {
      while (next < count) {
        const { statusCode, body } = await pool.request({
          method: 'GET',
          path: '/v1/services',
          headers: { 'x-api-key': keyOf(next++) },
        })
        statuses.add(statusCode)
        await body.dump()
      }
    }
    await Promise.all(Array.from({ length: 8 }, worker))
    return { usEach: ((performance.now() - beganAt) * 1000) / count, statuses }
  }
  const key = (
    JSON.parse((await request('/v1/keys', json(ADMIN, { name: 'k', scopes: ['services:*'] }))).text) as { key: string }
  ).key
  await agent(2000, () => key)
  await agent(2000, (i) => key.slice(0, -4) + String(i).padStart(4, '0'))
  global.gc?.()
  const before = process.memoryUsage().heapUsed
  const right = await agent(5000, () => key)
  const wrong = await agent(5000, (i) => key.slice(0, -4) + String(i).padStart(4, '0'))
  const unknown = await agent(5000, (i) => `hst_${String(i).padStart(12, '0')}_${'x'.repeat(43)}`)
  global.gc?.()
  const grownKb = Math.round((process.memoryUsage().heapUsed - before) / 1024)
  t.comment(
    `µs per request: right ${right.usEach.toFixed(0)}, wrong secret ${wrong.usEach.toFixed(0)}, unknown id ${unknown.usEach.toFixed(0)}; heap ${grownKb} KiB`,
  )
  t.same(right.statuses, new Set([200]))
  t.same(new Set([...wrong.statuses, ...unknown.statuses]), new Set([429]), 'after the first sixty')
  t.ok(gateway.events.filter(({ type }) => type === 'auth.denied').length <= 10)
  const throttled = await request('/v1/services', withKey('wrong-wrong-wrong'))
  t.equal(throttled.status, 429)
  t.match(throttled.headers['retry-after'], /^\d+$/)
  t.equal((await request('/v1/services')).status, 401, 'nothing shown is nothing wrong')
  t.equal((await request('/v1/services', withKey(key))).status, 200)
})

t.test('R22 a rate limit for each key, that a reload does not reset', async (t) => {
  const upstream = await httpUpstream(t)
  const services = { a: { base_url: upstream.url, warmup_ms: 0, auth: { public: true } } }
  const limited = (max: number) => ({ rate_limit: { max, window_ms: 600_000 } })
  const { gateway, request } = await guarded(t, services, limited(3))
  const statuses = async (count: number, options = {}) => {
    const all: number[] = []
    for (let i = 0; i < count; i++) all.push((await request('/services/a/', options)).status)
    return all
  }
  t.same(await statuses(4, withKey(A)), [200, 200, 200, 429])
  t.same(await statuses(1, withKey(ALL_SERVICES)), [200], 'each has its own')
  t.same(await statuses(4), [200, 200, 200, 429], 'and each address')
  const refused = await request('/services/a/', withKey(A))
  t.match(JSON.parse(refused.text), { error: 'rate_limited', retry_after_ms: Number })
  t.ok(Number(refused.headers['retry-after']) > 300)
  t.equal((await request('/__health')).status, 200, 'what is public is not counted')
  await gateway.configure(configOf(services, { ...limited(3), session_ms: 9000 }))
  await gateway.event('reload.applied', ({ generation }) => generation === 2)
  t.same(await statuses(1, withKey(A)), [429])
})
