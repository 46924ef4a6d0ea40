import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { hestia, startHestia } from '../helpers/hestia-command.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'

const ADMIN = 'an-administrator-of-this-gateway'
const READER = 'somebody-who-only-looks-at-things'

/** Says what it does, and writes a line for each request. */
const SERVICE = `
import { createServer } from 'node:http'
console.log('booting')
const server = createServer((request, response) => {
  if (request.url.length === 2) console.log('asked for ' + request.url)
  response.end('ok')
})
setTimeout(() => server.listen(Number(process.env.PORT), process.env.HOST, () => console.log('listening')), 300)
`

const port = await freePort()
const gateway = await startGateway(t, {
  config: `
plugins:
  auth:
    keys:
      - { name: admin, key: ${ADMIN}, scopes: [admin] }
      - { name: reader, key: ${READER}, scopes: [read] }
services:
  works:
    base_url: http://127.0.0.1:${port}
    process: { command: ${JSON.stringify(plainNode('service.mjs'))}, stop_grace_ms: 1000 }
    health: { url: /health }
  breaks:
    base_url: http://127.0.0.1:1
    process: { command: ${JSON.stringify(plainNode('-e', 'console.error("no such model"); process.exit(3)'))} }
    health: { url: / }
    start: { cooldown_ms: 60000 }
`,
  files: { 'service.mjs': SERVICE },
})
const at = { cwd: gateway.dir, env: { HESTIA_URL: gateway.url, HESTIA_KEY: ADMIN } }

t.test('R30 status: a table, JSON, and one service', async (t) => {
  const [table, json, one] = await Promise.all([
    hestia(['status'], at),
    hestia(['status', '--json'], at),
    hestia(['status', 'works', '--json'], at),
  ])
  t.match(table, { code: 0, stderr: '' })
  t.match(table.stdout, /^SERVICE +STATE +STARTER +URL\nworks +cold +process +http:\/\/127\.0\.0\.1:\d+\nbreaks +cold +process /)
  t.match(JSON.parse(json.stdout), [{ serviceId: 'works', state: 'cold' }, { serviceId: 'breaks' }])
  t.match(JSON.parse(one.stdout), { serviceId: 'works', instances: [{ inFlight: 0 }] })
  t.equal(gateway.service('works').state, 'cold', 'looking starts nothing')
})

t.test('R30 start shows how a service comes up, logs what it writes, stop brings it down', async (t) => {
  const started = await hestia(['start', 'works'], at)
  t.match(started, { code: 0, stdout: /^✓ works is hot after \d/ })
  t.match(started.stderr, /^works: starting\n(?:.*\n)*works\/default: process has done its part in /)
  t.equal(gateway.service('works').state, 'hot')
  t.match(await hestia(['start', 'works'], at), { code: 0, stdout: 'works is hot already\n' })

  const logs = await hestia(['logs', 'works'], at)
  t.match(logs, { code: 0, stdout: 'booting\nlistening\n' })
  const follower = startHestia(['logs', 'works', '--follow', '--lines', '1', '--json'], at)
  t.teardown(() => follower.child.kill())
  await until(() => follower.texts.stdout.includes('listening'), 'what was written before')
  await fetch(`${gateway.url}/services/works/a`, { headers: { 'x-api-key': ADMIN } })
  await fetch(`${gateway.url}/services/works/b`, { headers: { 'x-api-key': ADMIN } })
  await until(() => follower.texts.stdout.includes('asked for /b'), 'what is written from then on')
  const lines = follower.texts.stdout.trim().split('\n')
  t.match(
    lines.map((line) => JSON.parse(line).line as string),
    ['listening', 'asked for /a', 'asked for /b'],
  )
  follower.child.kill()

  const top = JSON.parse((await hestia(['top', '--json'], at)).stdout)
  t.match(top, [{ service: 'works', state: 'hot', requests: 2, errors: 0 }, { service: 'breaks' }])
  t.match((await hestia(['top'], at)).stdout, /^SERVICE +STATE +.*REQUESTS.*\nworks +hot +2 /)

  const stopped = await hestia(['stop', 'works', '--json'], at)
  t.equal(stopped.code, 0, stopped.stderr)
  t.match(JSON.parse(stopped.stdout), { serviceId: 'works', state: 'cold' })
  t.match(await hestia(['stop', 'works'], at), { code: 0, stdout: 'works is cold already\n' })

  const activities = await hestia(['activities', '--service', 'works', '--kind', 'instance.', '--since', '1h'], at)
  t.match(activities.stdout, /^TIME +KIND +WHAT\n(?:.*\n)*.* instance\.ready +works\/default: ready after \d/)
  const two = JSON.parse((await hestia(['activities', '-n', '2', '--json'], at)).stdout)
  t.equal(two.length, 2)
})

t.test('R30 start that fails ends with 1 and says why', async (t) => {
  const { code, stderr, stdout } = await hestia(['start', 'breaks'], at)
  t.equal(code, 1)
  t.equal(stdout, '')
  t.match(stderr, /^hestia: breaks could not be started: .*3/m)
  t.match((await hestia(['status', 'breaks'], at)).stdout, /failed: .*; again in \d+ s/)
})

t.test('R30 on a terminal the progress is one moving line', async (t) => {
  const { code, stdout } = await hestia(['start', 'works'], { ...at, terminal: true })
  t.equal(code, 0, stdout)
  t.ok(stdout.includes('\r\u001b[K\u001b[36m⠋'), 'it moves')
  t.ok(stdout.includes('\r\u001b[K\u001b[32m✓\u001b[39m works is hot after '), 'and is gone at the end')
  await hestia(['stop', 'works', '--no-wait'], at)
  await until(() => gateway.service('works').state === 'cold', 'the service to stop')
})

t.test('R30 status --watch goes on, on a terminal in place', async (t) => {
  const plain = startHestia(['status', '--watch', '--json'], at)
  t.teardown(() => plain.child.kill())
  await until(() => plain.texts.stdout.includes('\n'), 'the first look')
  gateway
    .instance('works')
    .start('manual')
    .catch(() => undefined)
  await until(() => plain.texts.stdout.includes('"serviceId":"works","state":"hot"'), 'the change')
  plain.child.kill()
  const screen = startHestia(['status', '-w'], { ...at, terminal: true })
  t.teardown(() => screen.child.kill())
  await until(
    () => screen.texts.stdout.includes('\u001b[H\u001b[J') && screen.texts.stdout.includes('\u001b[32mhot'),
    'the screen',
  )
  screen.child.kill()
  await gateway.instance('works').stop('manual')
})

t.test('R30 keys: made, listed, used and revoked', async (t) => {
  const made = await hestia(['keys', 'create', '--name', 'laptop', '--scope', 'read', '--scope', 'services:works'], at)
  t.match(made, { code: 0, stdout: /^hst_[\w-]+\n$/, stderr: /^\S+ \(laptop\): read, services:works\n$/ })
  const key = made.stdout.trim()
  await writeFile(join(gateway.dir, 'key'), `${key}\n`)
  const withFile = { cwd: gateway.dir, env: { HESTIA_URL: gateway.url } }
  t.match(await hestia(['status', '--key-file', 'key'], withFile), { code: 0 })
  const id = made.stderr.split(' ')[0]!
  const list = await hestia(['keys', 'list'], at)
  t.match(list.stdout, new RegExp(`^ID +NAME +SCOPES +MADE.*\n(?:.*\n)*${id} +laptop +read services:works +20`))
  t.notOk(list.stdout.includes(key))
  t.match(await hestia(['keys', 'revoke', id], at), { code: 0, stdout: `${id} is revoked\n` })
  t.match(await hestia(['status', '--key-file', 'key'], withFile), { code: 4 })
  t.match(await hestia(['keys', 'create', '--name', 'x', '--scope', 'services:wroks'], at), {
    code: 1,
    stderr: /there is no service "wroks"/,
  })
})

t.test('R30 plugins, routes and reload', async (t) => {
  const [plugins, routes, json, reload] = await Promise.all([
    hestia(['plugins'], at),
    hestia(['routes'], at),
    hestia(['routes', '--json'], at),
    hestia(['reload'], at),
  ])
  t.match(plugins.stdout, /^queue +on +plugins\/queue\/index\.ts +\d+ ms/m)
  t.match(routes.stdout, /^POST +\/v1\/services\/\{id\}\/start +Start a service$/m)
  t.ok((JSON.parse(json.stdout) as { path: string }[]).some(({ path }) => path === '/v1/events'))
  t.match(reload, { code: 0, stdout: 'nothing has changed\n' })
  const { port: own } = gateway
  await gateway.write('hestia_config.yml', `server: { port: ${own} }\nservices: { a: { base_uri: x } }\n`)
  t.match(await hestia(['reload'], at), {
    code: 1,
    stderr: /^hestia: refused; the previous version keeps serving:\n(?:.*\n)*hestia_config\.yml:2:18 services\.a\.base_uri: /,
  })
})

t.test('R30 keys: what is missing is said; so it is where nobody could make any', async (t) => {
  t.match(await hestia(['keys', 'revoke', 'hst_none'], at), {
    code: 1,
    stderr: 'hestia: There is no key "hst_none"; GET /v1/keys lists all ids.\n',
  })
  const open = await startGateway(t, { config: 'services: {}\n' })
  const list = () => hestia(['keys', 'list'], { cwd: open.dir, env: { HESTIA_URL: open.url } })
  t.match(await list(), { code: 1, stderr: /^hestia: Auth is off, .*key: "\$\{file:admin\.key\}", scopes: \[admin\]/ })
})

t.test('R30 errors: who is not there, not permitted, not known', async (t) => {
  const closed = await freePort()
  const stranger = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi'))
  stranger.listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  t.teardown(() => stranger.close())
  const elsewhere = t.testdir({
    'hestia_config.yml': `server: { port: ${closed} }\nservices: { a: { base_url: "\${NOT_SET}" } }\n`,
  })
  const [gone, byConfig, denied, reader, unknown, noKey, noUrl] = await Promise.all([
    hestia(['status', '--url', `http://127.0.0.1:${closed}`], at),
    hestia(['status'], { cwd: elsewhere }),
    hestia(['status'], { ...at, env: { HESTIA_URL: gateway.url } }),
    hestia(['stop', 'works'], { ...at, env: { HESTIA_URL: gateway.url, HESTIA_KEY: READER } }),
    hestia(['start', 'wroks'], at),
    hestia(['status', '--key-file', 'nowhere'], at),
    hestia(['status', '--url', 'localhost:1'], at),
  ])
  t.match(gone, {
    code: 3,
    stderr:
      /^hestia: No gateway answers at http:\/\/127\.0\.0\.1:\d+ \(nothing listens there\); start one with "node \/.*\/bin\/hestia\.js"/,
  })
  t.match(byConfig, { code: 3, stderr: `http://127.0.0.1:${closed} ` }, 'the address is that of the configuration')
  t.match(denied, { code: 4, stderr: /Set HESTIA_KEY, or name a file with --key-file/ })
  t.match(reader, { code: 4, stderr: /administer/ })
  t.match(unknown, { code: 1, stderr: /There is no service "wroks"/ })
  t.match(noKey, { code: 2, stderr: /key file cannot be read/ })
  t.match(noUrl, { code: 2, stderr: /no address of a gateway/ })
})

t.test('R30 a command line that is not understood ends with 2 and a suggestion', async (t) => {
  const [command, option, argument, help, version] = await Promise.all([
    hestia(['statsu']),
    hestia(['status', '--jsn']),
    hestia(['logs']),
    hestia(['keys', '--help']),
    hestia(['--version']),
  ])
  t.match(command, { code: 2, stderr: /unknown command 'statsu'; did you mean "status"\?/ })
  t.match(option, { code: 2, stderr: /unknown option '--jsn'\n\(Did you mean --json\?\)/ })
  t.match(argument, { code: 2, stderr: /missing required argument 'service'/ })
  t.match(help, { code: 0, stdout: /Scopes: admin, read/ })
  t.match(version, { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
})
