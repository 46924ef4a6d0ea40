import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { hashPassword, verifyPassword } from '../../core/password.ts'
import { count, partyOf, type Windows } from '../../plugins/auth/windows.ts'
import { startChildGateway } from '../helpers/child-gateway.ts'
import { startGateway } from '../helpers/gateway.ts'
import { startHestia } from '../helpers/hestia-command.ts'
import { type Ask, ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

const PASSWORD = 'correct horse battery staple'
// The least that is taken, so that the tests are fast.
const HASH = '$scrypt$ln=14,r=8,p=1$GIpJoQKCtWldGFvNdr4fhw$'

let users: { name: string; password_hash: string; scopes?: string[] }[]

t.before(async () => {
  const { scryptSync } = await import('node:crypto')
  const salt = Buffer.from('GIpJoQKCtWldGFvNdr4fhw', 'base64')
  const derive = (password: string) =>
    HASH +
    scryptSync(password, salt, 32, { N: 2 ** 14, r: 8, p: 1, maxmem: 2 ** 26 })
      .toString('base64')
      .replace(/=+$/, '')
  users = [
    { name: 'me', password_hash: derive(PASSWORD) },
    { name: 'guest', password_hash: derive('guest password'), scopes: ['services:a'] },
  ]
})

const configOf = (services: unknown, auth: Record<string, unknown>, store: unknown = { file: ':memory:' }, more: object = {}) =>
  `plugins: ${JSON.stringify({ auth, store, ...more })}\nservices: ${JSON.stringify(services)}\n`

const logIn = (url: string, name = 'me', password = PASSWORD, headers: Record<string, string> = {}) =>
  ask(`${url}/v1/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ name, password }),
  })
const cookieOf = (answer: { headers: { 'set-cookie'?: string[] | undefined } }): string =>
  answer.headers['set-cookie']![0]!.split(';')[0]!

async function world(t: Test, auth: Record<string, unknown> = {}) {
  const upstream = await httpUpstream(t)
  const service = { base_url: upstream.url, warmup_ms: 0 }
  const services = { a: service, b: service }
  const gateway = await startGateway(t, { config: configOf(services, { users, ...auth }) })
  const send = (path: string, headers: Record<string, string> = {}, options: Ask = {}) =>
    ask(gateway.url + path, { headers, ...options })
  return { gateway, upstream, services, send }
}

t.test('R22 log in, be somebody, log out', async (t) => {
  const { gateway, upstream, services, send } = await world(t)
  const answer = await logIn(gateway.url)
  t.equal(answer.status, 200)
  t.match(answer.headers['set-cookie'], [
    /^hestia_session=hss_[0-9a-f]{12}_[\w-]{43}; Max-Age=604800; Path=\/; HttpOnly; SameSite=Strict$/,
  ])
  t.notMatch(answer.text, /hss_/)
  const overTls = await logIn(gateway.url, 'me', PASSWORD, { 'x-forwarded-proto': 'https' })
  t.match(overTls.headers['set-cookie'], [/; Secure/])
  const cookie = cookieOf(answer)
  const who = async (headers = {}) => JSON.parse((await send('/v1/session', headers)).text) as Record<string, unknown>
  t.match(await who(), { authenticated: false, name: 'anonymous', services: {} })
  t.match(await who({ cookie }), { authenticated: true, name: 'me', kind: 'user', administer: true, expires_at: /^20/ })
  t.equal((await send('/v1/plugins', { cookie })).status, 200)
  t.equal((await send('/services/a/', { cookie: `theme=dark; ${cookie}; x=1` })).status, 200)
  const got = upstream.seen.findLast(({ url }) => url === '/')!
  t.equal(got.headers.cookie, 'theme=dark; x=1', 'the session ends here')

  const guest = cookieOf(await logIn(gateway.url, 'guest', 'guest password'))
  t.match(await who({ cookie: guest }), { administer: false, read: false, services: { a: ['use', 'wake', 'read'] } })
  t.equal((await send('/services/b/', { cookie: guest })).status, 403)

  for (const wrong of [`${cookie}x`, cookie.slice(0, -1), 'hestia_session=', 'hestia_session=hss_'])
    t.equal((await send('/v1/plugins', { cookie: wrong })).status, 401)
  t.equal(
    (await send('/v1/plugins', { cookie: `hestia_session=nonsense; ${cookie}` })).status,
    200,
    'whatever a service put beside it',
  )
  t.equal((await send('/v1/plugins', { 'x-api-key': cookie.split('=')[1]! })).status, 200, 'only as good as its cookie')

  await gateway.configure(configOf(services, { users, session_ms: 600_000 }))
  await gateway.event('reload.applied', ({ generation }) => generation === 2)
  t.equal((await send('/v1/plugins', { cookie })).status, 200, 'after a reload')

  const out = await send('/v1/session', { cookie }, { method: 'DELETE', headers: { cookie } })
  t.equal(out.status, 204)
  t.match(out.headers['set-cookie'], [/^hestia_session=; Max-Age=0; /])
  t.equal((await send('/v1/plugins', { cookie })).status, 401, 'for good, wherever the cookie is kept')

  await gateway.configure(configOf(services, { users: users.slice(0, 1) }))
  await gateway.event('reload.applied', ({ generation }) => generation === 3)
  t.equal((await send('/services/a/', { cookie: guest })).status, 401, 'a user that is gone')
  t.match(await gateway.event('auth.logged_in'), { user: 'me', address: '127.0.0.1' })
  t.match(await gateway.event('auth.logged_out'), { user: 'me' })
  const told = JSON.stringify(gateway.events) + (await send('/v1/activities', { cookie: cookieOf(overTls) })).text
  for (const secret of [PASSWORD, 'guest password', cookie.slice(32), HASH]) t.notOk(told.includes(secret), 'no secret is told')
})

t.test('R22 sessions survive a restart, and end with the password they began with', async (t) => {
  const file = `${t.testdir()}/sessions.sqlite`
  const config = (given: unknown) => configOf({}, { users: given }, { file })
  const first = await startGateway(t, { config: config(users.slice(0, 1)) })
  const cookie = cookieOf(await logIn(first.url))
  await first.close()
  const second = await startGateway(t, { config: config(users.slice(0, 1)) })
  const status = async () => (await ask(`${second.url}/v1/plugins`, { headers: { cookie } })).status
  t.equal(await status(), 200)
  t.equal(
    (JSON.parse((await ask(`${second.url}/v1/keys`, { headers: { cookie } })).text) as { keys: [] }).keys.length,
    0,
    'no keys',
  )
  await second.configure(config([{ ...users[0], password_hash: users[1]!.password_hash }]))
  await second.event('reload.applied', ({ generation }) => generation === 2)
  t.equal(await status(), 401)
})

t.test('R22 a session runs out', async (t) => {
  const { gateway, send } = await world(t, { session_ms: 1000 })
  const cookie = cookieOf(await logIn(gateway.url))
  t.equal((await send('/v1/plugins', { cookie })).status, 200)
  await gateway.event('auth.logged_in')
  await new Promise((resolve) => setTimeout(resolve, 1001))
  t.equal((await send('/v1/plugins', { cookie })).status, 401)
})

t.test('R22 a cookie counts for pages of this gateway only', async (t) => {
  const { gateway, upstream, send } = await world(t)
  const cookie = cookieOf(await logIn(gateway.url))
  const status = async (method: string, path: string, headers: Record<string, string>) =>
    (await send(path, {}, { method, headers: { cookie, ...headers } })).status
  const other = { origin: 'http://127.0.0.1:3000' }
  t.equal(await status('POST', '/v1/reload', { origin: gateway.url }), 200)
  t.equal(await status('POST', '/v1/reload', other), 403)
  t.equal(await status('POST', '/services/a/', other), 401, 'nor for services')
  t.equal(await status('GET', '/services/a/', { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' }), 401)
  t.equal(gateway.instance('a').state, 'cold')
  t.equal(await status('GET', '/services/a/', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }), 200, 'a link')
  t.equal(await status('POST', '/services/a/', { origin: gateway.url }), 200)
  t.equal((await logIn(gateway.url, 'me', PASSWORD, other)).status, 403, 'nobody is logged in behind their back')

  const server = new WebSocketServer({ server: upstream.server })
  t.teardown(() => server.close())
  const open = (headers: Record<string, string>) =>
    new Promise<number>((resolve) => {
      const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/services/a/`, { headers: { cookie, ...headers } })
      socket.on('open', () => {
        resolve(101)
        socket.close()
      })
      socket.on('unexpected-response', (_request, response) => {
        resolve(response.statusCode!)
        response.destroy()
      })
      socket.on('error', () => undefined)
    })
  t.equal(await open({ origin: gateway.url }), 101)
  t.equal(await open(other), 401)
})

t.test('R22 browsers are sent to the page to log in, where a plugin has one', async (t) => {
  const gateway = await startGateway(t, {
    config: configOf({}, { users: users.slice(0, 1) }, { file: ':memory:' }, { page: {}, dashboard: false }),
    files: {
      'plugins/page.ts': `export default { name: 'page', setup (app) {
        app.decorate('loginPage', '/login')
        app.get('/login', { config: { permission: 'public' }, schema: { hide: true } }, (_request, reply) => reply.type('text/html').send('<form>'))
      } }`,
    },
  })
  const get = (path: string, headers: Record<string, string>) => ask(gateway.url + path, { headers })
  const sent = await get('/v1/plugins?x=1', { accept: 'text/html,*/*' })
  t.same([sent.status, sent.headers.location], [302, '/login?next=%2Fv1%2Fplugins%3Fx%3D1'])
  t.equal((await get('/v1/plugins', { 'sec-fetch-mode': 'navigate' })).status, 302)
  t.equal((await get('/v1/plugins', { 'sec-fetch-mode': 'cors', accept: 'text/html' })).status, 401)
  t.equal((await get('/v1/plugins', { accept: 'application/json' })).status, 401)
  t.equal((await get('/login', { accept: 'text/html' })).status, 200)
  for (let i = 0; i < 60; i++)
    t.equal((await get('/v1/plugins', { accept: 'text/html', authorization: `Bearer ${i}` })).status, 302)
  const guess = await get('/v1/plugins', { accept: 'text/html', authorization: 'Bearer one-too-many' })
  for (const path of ['/v1/session', '/__ready'])
    t.equal((await get(path, { authorization: 'Bearer another' })).status, 429, 'nor where right ones are told more')
  t.equal((await get('/v1/session', { authorization: 'Basic dXNlcjpwYXNz' })).status, 200)
  t.match(JSON.parse((await get('/v1/session', {})).text), { authenticated: false })
  t.equal(guess.status, 429, 'who passes for a browser guesses no more keys than others')
  t.equal((await get('/v1/plugins', { accept: 'text/html' })).status, 302)
})

t.test('R3 R22 under the name of a service there is no page to log in, so that nobody is sent there', async (t) => {
  const upstream = await httpUpstream(t)
  const services = { a: { base_url: upstream.url, warmup_ms: 0, hosts: ['a.home'] } }
  const gateway = await startGateway(t, { config: configOf(services, { users: users.slice(0, 1) }, { file: ':memory:' }) })
  const get = (path: string, host: string) => ask(gateway.url + path, { headers: { host, accept: 'text/html' } })
  for (const path of ['/', '/login', '/login?next=%2F']) {
    const answer = await get(path, 'a.home')
    t.equal(answer.status, 401)
    t.match(JSON.parse(answer.text), { error: 'unauthorized', message: /\/services\/a\// })
  }
  t.same(upstream.seen, [])
  const sent = await get('/services/a/', 'localhost')
  t.same([sent.status, sent.headers.location], [302, '/login?next=%2Fservices%2Fa%2F'])
})

t.test('R22 logins are throttled, and nobody is locked out by others', async (t) => {
  const { gateway } = await world(t)
  t.equal((await logIn(gateway.url)).status, 200)
  const { statuses, texts } = await attempts(gateway.url, 14)
  t.same(new Set(statuses.slice(0, 10)), new Set([401]))
  t.same(new Set(statuses.slice(10)), new Set([429]))
  t.equal(new Set(texts).size, 2, 'there is no telling which names exist')
  t.equal((await logIn(gateway.url)).status, 429, 'not even with the right one, for a minute')
  const denials = gateway.events.filter(({ type }) => type === 'auth.denied')
  t.ok(denials.length > 0 && denials.length <= 12)
  t.notMatch(JSON.stringify(denials), /secret-typed-as-name|wrong-password/)
})

async function attempts(url: string, number: number) {
  const statuses: number[] = []
  const texts: string[] = []
  for (let i = 0; i < number; i++) {
    const answer = await logIn(url, i % 2 ? 'me' : `secret-typed-as-name-${i}`, 'wrong-password')
    statuses.push(answer.status)
    texts.push((JSON.parse(answer.text) as { message: string }).message)
  }
  return { statuses, texts }
}

t.test('R22 passwords: a format that describes itself, and no shortcut for who is not there', async (t) => {
  const hash = await hashPassword('gr\u00fc\u00df gott')
  t.match(hash, /^\$scrypt\$ln=15,r=8,p=3\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  t.ok(await verifyPassword('gr\u00fc\u00df gott', hash))
  t.ok(await verifyPassword('gru\u0308\u00df gott', hash), 'however the keyboard composes it')
  t.notOk(await verifyPassword('gruss gott', hash))
  t.notOk(await verifyPassword('anything', undefined))
})

t.test('R22 R30 hestia password hashes what comes in, and asks without showing it on a terminal', async (t) => {
  const piped = startHestia(['password'], { input: 'from a script\n' })
  piped.child.stdin!.end()
  const { code, stdout } = await piped.ended
  t.equal(code, 0)
  t.ok(await verifyPassword('from a script', stdout.trim()))

  const { child, texts, ended } = startHestia(['password'], { terminal: true, input: '' })
  t.teardown(() => child.kill('SIGKILL'))
  await until(() => texts.stdout.includes('Password: '), 'the question', 30_000)
  child.stdin!.write('typed by hand\r')
  await until(() => texts.stdout.includes('The same again: '), 'the second one')
  child.stdin!.write('typed by hand\r')
  t.equal((await ended).code, 0)
  t.notMatch(texts.stdout, /typed/)
  t.ok(await verifyPassword('typed by hand', /\$scrypt\S+/.exec(texts.stdout)![0]))
  const none = startHestia(['password'], { input: '' })
  none.child.stdin!.end()
  t.match(await none.ended, { code: 1, stderr: /No password came/ })
})

t.test('windows: never more than the limit in one, and what is kept is bounded', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5 }), fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 60 }), (max, steps) => {
      const windows: Windows = new Map()
      const let_in: number[] = []
      let now = 1000
      for (const step of steps) {
        now += step
        const wait = count(windows, 'x', max, 100, now)
        if (wait === undefined) let_in.push(now)
        else if (wait <= 0 || wait > 100) return false
      }
      // Two windows that touch may have twice as many in the time of one.
      return let_in.every((at) => let_in.filter((other) => other >= at && other < at + 100).length <= 2 * max)
    }),
  )
  const windows: Windows = new Map()
  for (let i = 0; i < 20_000; i++) count(windows, `x ${i}`, 1, 1e6, i)
  t.equal(windows.size, 10_000)
  t.same(
    ['::ffff:10.0.0.1', '10.0.0.1', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::9', '::1', 'fe80::1', undefined].map((a) =>
      partyOf(a),
    ),
    ['10.0.0.1', '10.0.0.1', '2001:db8:1:2', '2001:db8:1:2', '0:0:0:0', 'fe80:0:0:0', ''],
  )
})

t.test(
  'R22 R23 a whole gateway at its most talkative writes no key, password, cookie or Authorization, nor into its database',
  async (t) => {
    const upstream = await httpUpstream(t)
    const dir = t.testdir({})
    const file = join(dir, 'hestia_config.yml')
    const configured = `configured-${'k'.repeat(30)}`
    const config = {
      server: { port: 0 },
      log: { level: 'trace', format: 'json', access: { level: 'info' } },
      plugins: { auth: { users, keys: [{ name: 'c', key: '${KEY}', scopes: ['admin'] }] } },
      services: { a: { base_url: upstream.url, warmup_ms: 0 } },
    }
    await writeFile(file, JSON.stringify(config))
    const gateway = await startChildGateway(t, file, { env: { KEY: configured } })
    let errors = ''
    gateway.child.stderr!.on('data', (chunk) => (errors += String(chunk)))
    const send = (path: string, headers: Record<string, string>, options: Ask = {}) =>
      ask(gateway.url + path, { headers, ...options })
    const session = cookieOf(await logIn(gateway.url))
    const made = await send(
      '/v1/keys',
      { 'x-api-key': configured, 'content-type': 'application/json' },
      {
        method: 'POST',
        body: JSON.stringify({ name: 'made', scopes: ['services:a'] }),
      },
    )
    const { key } = JSON.parse(made.text) as { key: string }
    const wrong = `${key.slice(0, -4)}WRNG`
    const basic = Buffer.from('me:upstream password').toString('base64')
    t.equal((await send('/services/a/x?token=in-the-query', { 'x-api-key': key, authorization: `Basic ${basic}` })).status, 200)
    t.equal((await send('/services/a/y', { authorization: `Bearer ${key}` })).status, 200)
    t.equal((await send('/services/a/z', { cookie: `${session}; other=cookie-of-the-service` })).status, 200)
    t.equal((await send('/services/a/w', { authorization: `Bearer ${wrong}` })).status, 401)
    t.equal((await logIn(gateway.url, 'me', 'a wrong password')).status, 401)
    t.equal((await logIn(gateway.url, 'password typed as a name', PASSWORD)).status, 401)
    // The line of the last request is the last of all.
    await send('/services/a/last', { 'x-api-key': key })
    await until(() => gateway.lines.some(({ path }) => path === '/last'), 'the line of the last request')
    t.equal(await gateway.end(), 0)
    const written = JSON.stringify(gateway.lines) + errors
    const stored = (await readFile(join(dir, 'hestia.sqlite'))).toString('latin1')
    t.match(written, /"caller":"key made"|key made/, 'who it was is told')
    // 32 bytes as base64url; one of its characters may be the `_` that stands before it.
    const secretOf = (token: string): string => token.slice(-43)
    for (const [what, secret] of Object.entries({
      'the key': secretOf(key),
      'the wrong key': secretOf(wrong),
      'the configured key': configured,
      'the session': secretOf(session),
      'the password': PASSWORD,
      'the wrong password': 'a wrong password',
      'what was typed as a name': 'password typed as a name',
      'an upstream Authorization': basic,
      'another cookie': 'cookie-of-the-service',
      'the query': 'in-the-query',
    })) {
      t.notOk(written.includes(secret), `${what} is in no line`)
      t.notOk(stored.includes(secret), `${what} is not in the database`)
    }
  },
)
