import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { getPriority } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { isAlive } from '../helpers/alive.ts'
import { cleanEnv, spawnGateway, startChildGateway } from '../helpers/child-gateway.ts'
import { freePort } from '../helpers/free-port.ts'
import { startHestia } from '../helpers/hestia-command.ts'
import { until } from '../helpers/until.ts'

/** A service that says its pid, answers `/slow` when told so by `/go`, and is ready 100 ms after its start. */
const SERVICE = `
import { createServer } from 'node:http'
let go = () => {}
const server = createServer((request, response) => {
  if (request.url === '/slow') { go = () => response.end('slow ' + process.pid); response.writeHead(200).flushHeaders(); return }
  if (request.url === '/go') go()
  response.end(String(process.pid))
})
setTimeout(() => server.listen(Number(process.env.PORT), process.env.HOST), 100)
`
async function makeFolder(t: { testdir(files: Record<string, string>): string }, more = '') {
  const port = await freePort()
  const config = `server: { port: 0, drain_timeout_ms: 5000 }
log: { level: debug, format: json }
${more}
services:
  s:
    base_url: http://127.0.0.1:${port}
    process: { command: [${process.execPath}, service.mjs], stop_grace_ms: 1000 }
    health: { url: / }
`
  const file = join(t.testdir({ 'hestia_config.yml': config, 'service.mjs': SERVICE }), 'hestia_config.yml')
  return { file, upstream: `http://127.0.0.1:${port}` }
}

t.test('R10: SIGTERM lets requests under way end, then stops what was started, and exits 0', async (t) => {
  const { file, upstream } = await makeFolder(t)
  const gateway = await startChildGateway(t, file)
  const pid = Number(await (await fetch(`${gateway.url}/services/s/`)).text())
  const slow = await fetch(`${gateway.url}/services/s/slow`)
  gateway.child.kill('SIGTERM')
  await until(() => gateway.lines.some(({ type }) => type === 'server.stopping'), 'the gateway to begin to end')
  t.ok(isAlive(pid), 'the service runs while a request does')
  await t.rejects(fetch(`${gateway.url}/__health`, { headers: { connection: 'close' } }), 'no new connections')
  t.equal(await (await fetch(`${upstream}/go`)).text(), String(pid))
  t.equal(await slow.text(), `slow ${pid}`)
  t.equal(await gateway.end(), 0)
  t.notOk(isAlive(pid), 'the service is gone')
})

t.test(
  'threads that help V8 give way to the one that serves, and what is started does not',
  { skip: process.platform !== 'linux' && 'only Linux has threads with a niceness of their own' },
  async (t) => {
    const gateway = await startChildGateway(t, (await makeFolder(t)).file)
    const service = Number(await (await fetch(`${gateway.url}/services/s/`)).text())
    /** By name where Node gives them one (24 on). */
    const threadsOf = async (pid: number) =>
      Promise.all(
        (await readdir(`/proc/${pid}/task`)).map(async (id) => {
          const stat = await readFile(`/proc/${pid}/task/${id}/stat`, 'utf8')
          return {
            isMain: id === String(pid),
            name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
            niceness: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]),
          }
        }),
      )
    const threads = await threadsOf(gateway.child.pid!)
    t.equal(threads.find(({ isMain }) => isMain)?.niceness, getPriority())
    t.equal(threads.filter(({ niceness }) => niceness === Math.min(19, getPriority() + 10)).length, 5)
    for (const { name, niceness } of threads) if (name === 'V8Worker') t.not(niceness, getPriority())
    for (const { name, niceness } of threads) if (name === 'libuv-worker') t.equal(niceness, getPriority())
    t.ok((await threadsOf(service)).every(({ niceness }) => niceness === getPriority()))
    await gateway.end()
  },
)

t.test('R10: SIGINT twice does not wait for requests under way', async (t) => {
  const gateway = await startChildGateway(t, (await makeFolder(t)).file)
  const pid = Number(await (await fetch(`${gateway.url}/services/s/`)).text())
  const slow = await fetch(`${gateway.url}/services/s/slow`)
  gateway.child.kill('SIGINT')
  await until(() => gateway.lines.some(({ type }) => type === 'server.stopping'))
  gateway.child.kill('SIGINT')
  t.equal(await gateway.end(), 0)
  await t.rejects(slow.text(), 'cut off')
  t.notOk(isAlive(pid))
})

t.test('R10: shutdown: leave leaves the services running', async (t) => {
  const gateway = await startChildGateway(t, (await makeFolder(t, 'shutdown: leave')).file)
  const pid = Number(await (await fetch(`${gateway.url}/services/s/`)).text())
  t.teardown(() => isAlive(pid) && process.kill(pid, 'SIGKILL'))
  t.equal(await gateway.end(), 0)
  t.ok(isAlive(pid))
})

t.test('R10: signals that come while it starts are heeded when it has, a second one at once', async (t) => {
  const slow = `export default { name: 'slow', async setup() {
    console.log('setting up')
    await new Promise((resolve) => setTimeout(resolve, 1000))
  } }`
  const { file } = await makeFolder(t, 'plugins: { slow: {} }')
  await mkdir(join(dirname(file), 'plugins'))
  await writeFile(join(dirname(file), 'plugins/slow.ts'), slow)
  const startAnd = async (...signals: NodeJS.Signals[]) => {
    const child = spawnGateway(file)
    t.teardown(() => child.kill('SIGKILL'))
    let out = ''
    child.stdout.on('data', (chunk) => (out += String(chunk)))
    await until(() => out.includes('setting up'), 'the gateway to start')
    for (const signal of signals) child.kill(signal)
    const [code, killedBy] = await once(child, 'exit')
    return { code, killedBy, served: out.includes('server.listening'), ended: out.includes('server.stopping') }
  }
  t.strictSame(await startAnd('SIGHUP', 'SIGTERM'), { code: 0, killedBy: null, served: true, ended: true })
  t.match(await startAnd('SIGINT', 'SIGTERM'), { code: 143, killedBy: null, served: false })
})

t.test('R16: SIGHUP reads everything anew', async (t) => {
  const { file } = await makeFolder(t)
  const gateway = await startChildGateway(t, file)
  await writeFile(file, `${await readFile(file, 'utf8')}  more: { base_url: "http://127.0.0.1:9", warmup_ms: 1 }\n`)
  gateway.child.kill('SIGHUP')
  await until(async () => (await fetch(`${gateway.url}/v1/services/more/status`)).status === 200, 'the new service')
  t.equal(await gateway.end(), 0)
})

t.test('a terminal that is closed takes the gateway along, and SIGHUP while it is open does not', async (t) => {
  const port = await freePort()
  const config = (services: string) => `server: { port: ${port} }\nplugins: { me: {} }\nservices: ${services}\n`
  const dir = t.testdir({
    'hestia_config.yml': config('{}'),
    plugins: { 'me.ts': `export default { name: 'me', setup (app) { app.get('/pid', () => process.pid) } }` },
  })
  const { child, texts } = startHestia([], { cwd: dir, terminal: true })
  t.teardown(() => child.kill('SIGKILL'))
  await until(() => texts.stdout.includes('listening on'), 'the gateway', 60_000)
  t.match(texts.stdout, /INFO.*: .*generation 1 serves after [^\r\n]*\r?\n\[/, 'one line for each event')
  const url = `http://127.0.0.1:${port}`
  const pid = Number(await (await fetch(`${url}/pid`)).text())
  await writeFile(join(dir, 'hestia_config.yml'), config('{ a: { base_url: "http://127.0.0.1:9", warmup_ms: 1 } }'))
  process.kill(pid, 'SIGHUP')
  await until(async () => (await fetch(`${url}/v1/services/a/status`)).status === 200, 'the new service')
  child.kill('SIGKILL')
  await until(() => !isAlive(pid), 'the gateway to end')
})

t.test('R17: a configuration that is not valid ends the start with every problem and exit code 1', async (t) => {
  const dir = t.testdir({ 'hestia_config.yml': 'server: { port: many }\nservices:\n  a: { base_uri: http://x }\n' })
  const child = spawnGateway(join(dir, 'hestia_config.yml'))
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  const [code] = (await once(child, 'exit')) as [number]
  t.equal(code, 1)
  t.match(errors, /hestia cannot start/)
  t.match(errors, /hestia_config\.yml:1:17 server\.port: /)
  t.match(errors, /hestia_config\.yml:3:8 services\.a\.base_uri: unknown key.*base_url/)
})

t.test('R16: a port that is taken ends the start, told once and with what to do', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as AddressInfo
  const dir = t.testdir({ 'hestia_config.yml': `server: { port: ${port} }\nlog: { format: json }\nservices: {}\n` })
  const child = spawnGateway(join(dir, 'hestia_config.yml'))
  const texts = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => (texts.stdout += String(chunk)))
  child.stderr.on('data', (chunk) => (texts.stderr += String(chunk)))
  t.same(await once(child, 'close'), [1, null])
  t.match(texts.stderr, /hestia_config\.yml server: cannot listen on .*another program listens there; .*HESTIA_SERVER_PORT/)
  t.notMatch(texts.stdout, /keeps serving/)
})

t.test('a configuration that is not there is named, with what to do', async (t) => {
  const child = spawnGateway('/nowhere/hestia_config.yml')
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  const [code] = (await once(child, 'exit')) as [number]
  t.equal(code, 1)
  t.match(errors, /\/nowhere\/hestia_config\.yml.*HESTIA_CONFIG/)
})

t.test('R15: an error that nobody caught in a plugin is logged, and the gateway serves on', async (t) => {
  const dir = t.testdir({
    'hestia_config.yml': 'server: { port: 0 }\nlog: { format: json }\nplugins: { bomb: {} }\nservices: {}\n',
    plugins: {
      'bomb.ts': `export default { name: 'bomb', setup (app) { app.get('/boom', async () => { setTimeout(() => { throw new Error('boom') }); return {} }) } }`,
    },
  })
  const gateway = await startChildGateway(t, join(dir, 'hestia_config.yml'))
  await fetch(`${gateway.url}/boom`)
  const line = await until(() => gateway.lines.find(({ err }) => err !== undefined), 'the error in the log')
  t.match(line, { level: 50, err: { message: 'boom', stack: /plugins\/bomb\.ts:1/ } })
  t.equal((await fetch(`${gateway.url}/__health`)).status, 200)
  t.equal(await gateway.end(), 0)
})

t.test('the installed command runs the gateway', async (t) => {
  const { spawn } = await import('node:child_process')
  const dir = t.testdir({ 'hestia_config.yml': 'server: { port: 0 }\nlog: { format: json }\nservices: {}\n' })
  const command = new URL('../../bin/hestia.js', import.meta.url).pathname
  const child = spawn(process.execPath, [command], { cwd: dir, env: cleanEnv(), stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let out = ''
  child.stdout.on('data', (chunk) => (out += String(chunk)))
  child.stderr.on('data', (chunk) => (out += String(chunk)))
  await until(() => out.includes('listening on http://127.0.0.1:'), 'the command to listen')
  child.kill('SIGTERM')
  t.same(await once(child, 'exit'), [0, null])
})
