import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { cleanEnv, spawnGateway, startChildGateway } from '../helpers/child-gateway.ts'
import { freePort } from '../helpers/free-port.ts'
import { until } from '../helpers/until.ts'

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

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
  t.ok(alive(pid), 'the service runs while a request does')
  await t.rejects(fetch(`${gateway.url}/__health`, { headers: { connection: 'close' } }), 'no new connections')
  t.equal(await (await fetch(`${upstream}/go`)).text(), String(pid))
  t.equal(await slow.text(), `slow ${pid}`)
  t.equal(await gateway.end(), 0)
  t.notOk(alive(pid), 'the service is gone')
})

t.test('R10: SIGINT twice does not wait for requests under way', async (t) => {
  const gateway = await startChildGateway(t, (await makeFolder(t)).file)
  const pid = Number(await (await fetch(`${gateway.url}/services/s/`)).text())
  const slow = await fetch(`${gateway.url}/services/s/slow`)
  gateway.child.kill('SIGINT')
  await until(() => gateway.lines.some(({ type }) => type === 'server.stopping'))
  gateway.child.kill('SIGINT')
  t.equal(await gateway.end(), 0)
  await t.rejects(slow.text(), 'cut off')
  t.notOk(alive(pid))
})

t.test('R10: shutdown: leave leaves the services running', async (t) => {
  const gateway = await startChildGateway(t, (await makeFolder(t, 'shutdown: leave')).file)
  const pid = Number(await (await fetch(`${gateway.url}/services/s/`)).text())
  t.teardown(() => alive(pid) && process.kill(pid, 'SIGKILL'))
  t.equal(await gateway.end(), 0)
  t.ok(alive(pid))
})

t.test('R16: SIGHUP reads everything anew', async (t) => {
  const { file } = await makeFolder(t)
  const gateway = await startChildGateway(t, file)
  await writeFile(file, `${await readFile(file, 'utf8')}  more: { base_url: "http://127.0.0.1:9", warmup_ms: 1 }\n`)
  gateway.child.kill('SIGHUP')
  await until(async () => (await fetch(`${gateway.url}/v1/services/more/status`)).status === 200, 'the new service')
  t.equal(await gateway.end(), 0)
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
