import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { getEventListeners, once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { endTree } from '../../core/processes/tree.ts'
import { environmentFor } from '../../plugins/process/environment.ts'
import { addBytes, emptyLine, LONGEST_LINE, lastLine } from '../../plugins/process/lines.ts'
import { lookAt } from '../../plugins/process/occupied.ts'
import { freePort } from '../helpers/free-port.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { until } from '../helpers/until.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const SERVICE = join(ROOT, 'test/fixtures/process-service.mjs')
/** Where this file's processes write, so that what they leave behind is seen. */
const temporary = await mkdtemp(join(tmpdir(), 'hestia-test-process-'))
process.env.TMPDIR = temporary
t.teardown(() => rm(temporary, { recursive: true, force: true }))

const outputFolders = () => readdirSync(temporary).filter((name) => name.startsWith('hestia-process-'))

/** Pids of living processes that have `mark` in their environment; written without the code under test. */
function marked(mark: string): number[] {
  const isMarked = (pid: string) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      return !/\) [ZX] /.test(stat) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark)
    } catch {
      return false
    }
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isMarked(name))
    .map(Number)
}

function alive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Runs for ever at the end of `beforeStart`, as a health check of something that never answers; or until it answers. */
const WAIT = `
import { once } from 'node:events'
export default { name: 'wait', setup (app) { app.hestia.hook('beforeStart', { order: 'post', handler: ({ signal }) => once(signal, 'abort') }) } }
`
const ANSWERS = `
export default { name: 'answers', setup (app) { app.hestia.hook('beforeStart', { order: 'post', async handler ({ instance, signal }) {
  while (!signal.aborted) {
    if (await fetch(instance.url).then(() => true, () => false)) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
} }) } }
`

const SPY = `
export default { name: 'spy', setup (app) { (globalThis.hestiaTestApps ??= []).push(new WeakRef(app)) } }
`

interface Setting {
  section: Record<string, unknown>
  service?: Record<string, unknown>
  plugins?: Record<string, unknown>
  options?: Record<string, unknown>
  top?: Record<string, unknown>
}

const configOf = (port: number, mark: string, { section, service, plugins, options, top }: Setting): string =>
  JSON.stringify({
    ...top,
    plugins: { defaults: false, process: options ?? {}, api: {}, ...plugins },
    services: {
      s: {
        base_url: `http://127.0.0.1:${port}`,
        warmup_ms: 0,
        ...service,
        process: { ...section, env: { MARK: mark, ...(section.env as object) } },
      },
    },
  })

async function gatewayWith(test: Test, setting: Setting): Promise<RunningGateway & { mark: string; servicePort: number }> {
  const servicePort = await freePort()
  const mark = randomUUID()
  const running = await startGateway(test, {
    config: configOf(servicePort, mark, setting),
    files: { 'plugins/wait.ts': WAIT, 'plugins/answers.ts': ANSWERS, 'plugins/spy.ts': SPY },
  })
  // Whatever a failing test leaves behind ends with it.
  test.teardown(() => {
    for (const pid of marked(mark)) killIfThere(pid)
  })
  return { ...running, mark, servicePort }
}

const record = (gateway: RunningGateway) =>
  gateway.instance('s').data.process as { pid: number; startTime: number; cookie: string; command: string[]; output: string }

const sh = (script: string) => ['sh', '-c', script]
const IDLE = sh('sleep 1000 & wait')
const wait = { plugins: { wait: {} } }
const answers = { plugins: { answers: {} } }

t.test('R10 starts a process that knows where to listen, and stops it', async (t) => {
  const gateway = await gatewayWith(t, {
    section: { command: ['node', SERVICE], env: { EXTRA: 7, NODE_NAME: true } },
    ...answers,
  })
  const instance = gateway.instance('s')
  Object.assign(process.env, { NODE_OPTIONS: '--title=of-the-gateway', HESTIA_QUEUE_SIZE: '7' })
  t.teardown(() => {
    delete process.env.NODE_OPTIONS
    delete process.env.HESTIA_QUEUE_SIZE
  })
  await instance.start()
  const { pid, startTime, cookie, command } = record(gateway)
  t.equal(instance.state, 'hot')
  t.same(JSON.parse(JSON.stringify(instance.data.process)), instance.data.process, 'the record is plain JSON')
  t.match({ startTime, cookie, command }, { startTime: Number, cookie: /^[0-9a-f]{32}$/, command: ['node', SERVICE] })
  const told = (await (await fetch(instance.url)).json()) as Record<string, unknown>
  t.match(told, {
    pid,
    cwd: gateway.dir,
    HOST: '127.0.0.1',
    PORT: String(gateway.servicePort),
    HESTIA_SERVICE: 's',
    HESTIA_INSTANCE: 'default',
    HESTIA_URL: instance.url,
    EXTRA: '7',
  })
  // Asked directly, since tap adds NODE_OPTIONS of its own to every child of a test.
  const environment = environmentFor(instance, { command: [], stop_signal: 'SIGTERM', stop_grace_ms: 0, log_lines: 0 }, 'cookie')
  t.notOk('NODE_OPTIONS' in environment, 'options of the gateway are its own')
  t.notOk('HESTIA_QUEUE_SIZE' in environment, 'so are overrides of its configuration')
  t.equal(environment.PATH, process.env.PATH)
  await instance.stop('manual')
  t.same(marked(gateway.mark), [])
  t.same(instance.data, {})
  t.same(outputFolders(), [])
  t.notOk(gateway.events.some(({ type }) => type === 'instance.crashed' || type === 'hook.failed'))
})

t.test('R10 what ends politely is not killed; what does not is killed after its grace', async (t) => {
  const polite = sh(`trap 'sleep 0.2; echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done`)
  const gateway = await gatewayWith(t, { section: { command: polite } })
  await gateway.instance('s').start()
  await gateway.event('instance.output', ({ line }) => line === 'up')
  await gateway.instance('s').stop('manual')
  t.ok(
    gateway.events.some((event) => event.type === 'instance.output' && event.line === 'bye'),
    'the last words are kept',
  )

  const stubborn = await gatewayWith(t, {
    section: { command: ['node', SERVICE, 'ignores-term'], stop_grace_ms: 300 },
    ...answers,
  })
  await stubborn.instance('s').start()
  const beganAt = performance.now()
  await stubborn.instance('s').stop('manual')
  t.ok(performance.now() - beganAt >= 295, 'it had its grace')
  t.same(marked(stubborn.mark), [])
})

t.test('R10 the signal is the one that was configured, options being the defaults of sections', async (t) => {
  const command = sh(`trap 'echo got INT; exit 0' INT; trap '' TERM; echo up; while :; do sleep 0.05; done`)
  const gateway = await gatewayWith(t, { section: { command }, options: { stop_signal: 'SIGINT' } })
  await gateway.instance('s').start()
  await gateway.event('instance.output', ({ line }) => line === 'up')
  await gateway.instance('s').stop('manual')
  await gateway.event('instance.output', ({ line }) => line === 'got INT')
})

t.test('R10 the whole tree is ended', async (t) => {
  const trees: Record<string, { command: string[]; processes: number; stop_grace_ms?: number }> = {
    'a shell around a server': { command: sh(`node ${SERVICE} & wait`), processes: 2 },
    'a forked grandchild': { command: sh('(sleep 1000 & sleep 1000) & wait'), processes: 3 },
    'a grandchild that left by setsid': { command: sh('setsid sleep 1000 & wait'), processes: 2 },
    'a grandchild in a session of its own': { command: ['node', SERVICE, 'escaped-grandchild'], processes: 2 },
    'an orphan that left': { command: sh('(setsid sleep 1000 &) ; exec sleep 1000'), processes: 2 },
    'a stubborn one that left': {
      command: sh(`setsid sh -c 'trap "" TERM; while :; do sleep 0.05; done' & wait`),
      processes: 3,
      stop_grace_ms: 100,
    },
  }
  for (const [name, { command, processes, ...section }] of Object.entries(trees)) {
    const gateway = await gatewayWith(t, { section: { command, ...section } })
    await gateway.instance('s').start()
    await until(() => marked(gateway.mark).length >= processes, `${processes} processes of ${name}`)
    const beganAt = performance.now()
    await gateway.instance('s').stop('manual')
    t.same(marked(gateway.mark), [], name)
    t.ok(performance.now() - beganAt < 5000, `${name} was asked, not only killed after 10 s`)
  }
})

t.test('R10 a grandchild without a trace of its origin is ended through its parent', async (t) => {
  const command = ['node', SERVICE, 'escaped-stubborn-grandchild']
  const gateway = await gatewayWith(t, { section: { command, stop_grace_ms: 100 }, ...answers })
  await gateway.instance('s').start()
  const { pid } = record(gateway)
  const grandchild = await until(() => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]))
  await gateway.instance('s').stop('manual')
  t.notOk(alive(grandchild))
})

t.test('R10 a pid that belongs to somebody else by now is left alone', async (t) => {
  const stranger = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })
  t.teardown(() => stranger.kill('SIGKILL'))
  t.same(await endTree({ pid: stranger.pid!, startTime: 1, cookie: randomUUID() }, 'SIGTERM', 50), [])
  t.ok(alive(stranger.pid!))
})

t.test('R8 a death during the start ends the wait at once and says how', async (t) => {
  const gateway = await gatewayWith(t, { section: { command: sh('echo fine; echo "no model here" >&2; exit 3') }, ...wait })
  const instance = gateway.instance('s')
  const beganAt = performance.now()
  await t.rejects(instance.start(), { message: /process exited with code 3; its last line: no model here\.$/ })
  t.ok(performance.now() - beganAt < 5000)
  t.equal(instance.state, 'cold')
  t.same(outputFolders(), [])
  const { instances } = (await (await fetch(`${gateway.url}/v1/services/s/logs`)).json()) as { instances: { lines: object[] }[] }
  t.match(
    instances[0]?.lines,
    [
      { line: 'fine', stream: 'stdout' },
      { line: 'no model here', stream: 'stderr' },
    ],
    'to be looked into',
  )

  const daemon = await gatewayWith(t, { section: { command: sh('sleep 1000 & exit 0') }, ...wait })
  await t.rejects(daemon.instance('s').start(), { message: /exited with code 0 \(it must stay in the foreground\)/ })
  t.same(marked(daemon.mark), [])

  const killed = await gatewayWith(t, { section: { command: sh('kill -SEGV $$') }, ...wait })
  await t.rejects(killed.instance('s').start(), { message: /was ended by SIGSEGV/ })
})

t.test(
  'R5 a crash of a hot instance makes it cold, nothing of it is left, and the next one who comes starts it again',
  async (t) => {
    const gateway = await gatewayWith(t, { section: { command: IDLE } })
    const instance = gateway.instance('s')
    await instance.start()
    const { pid } = record(gateway)
    await until(() => marked(gateway.mark).length === 2)
    process.kill(pid, 'SIGKILL')
    const { error } = await gateway.event('instance.crashed')
    t.equal(error, 'process was ended by SIGKILL')
    await until(() => instance.state === 'cold')
    t.same(marked(gateway.mark), [], 'the member that outlived its leader is gone too')
    await until(() => !instance.cooling, 'the end of its pause')
    instance.join()
    await until(() => instance.state === 'hot')
    instance.leave()
    t.not(record(gateway).pid, pid)
  },
)

t.test('R7 what cannot be started says what is missing, where, and what to do', async (t) => {
  const folder = await mkdtemp(join(temporary, 'programs-'))
  await writeFile(join(folder, 'data'), 'no program')
  await writeFile(join(folder, 'script'), '#!/nowhere/at/all\n')
  await chmod(join(folder, 'script'), 0o755)
  const cases: [Record<string, unknown>, RegExp][] = [
    [
      { command: ['no-such-program-here'] },
      /"no-such-program-here" could not be started: no such program on the PATH.*services\.s\.process\.command/,
    ],
    [{ command: ['./missing'] }, /no such file, seen from .*services\.s\.process\.command/],
    [{ command: [join(folder, 'data')] }, /may not be executed: chmod \+x/],
    [{ command: [join(folder, 'script')] }, /interpreter that it names is missing/],
    [{ command: ['sleep', '1'], cwd: 'not-there' }, /there is no folder .*\/not-there .*services\.s\.process\.cwd/],
    [{ command: ['sleep', 'x'.repeat(3_000_000)] }, /E2BIG/],
  ]
  for (const [section, message] of cases) {
    const gateway = await gatewayWith(t, { section })
    await t.rejects(gateway.instance('s').start(), { message }, String(message))
    t.same(outputFolders(), [])
  }
})

t.test('R15 cwd is relative to the configuration file', async (t) => {
  const gateway = await gatewayWith(t, { section: { command: sh('pwd; exec sleep 1000'), cwd: 'below' } })
  await mkdir(join(gateway.dir, 'below'))
  await gateway.instance('s').start()
  const { line } = await gateway.event('instance.output')
  t.equal(line, join(gateway.dir, 'below'))
})

t.test('promise 13: a failed attempt leaves nothing running, and the next one starts from nothing', async (t) => {
  const command = sh('setsid sleep 1000 & echo attempt; sleep 1000 & sleep 0.1; exit 1')
  const gateway = await gatewayWith(t, { section: { command }, service: { start: { attempts: 3, delay_ms: 20 } }, ...wait })
  const counts: number[] = []
  gateway.gateway.events.subscribe(({ type }) => {
    if (type === 'instance.attempt' || type === 'instance.attempt_failed') counts.push(marked(gateway.mark).length)
  })
  await t.rejects(gateway.instance('s').start(), { message: /exited with code 1; its last line: attempt/ })
  t.same(counts, [0, 0, 0, 0, 0, 0], 'before and after each attempt')

  const slow = await gatewayWith(t, {
    section: { command: IDLE },
    service: { start: { attempts: 2, timeout_ms: 150 } },
    ...wait,
  })
  await t.rejects(slow.instance('s').start(), { message: /not ready within 150 ms/ })
  t.same(marked(slow.mark), [])
})

t.test('R9 stopped while it starts: nothing is left', async (t) => {
  const gateway = await gatewayWith(t, { section: { command: IDLE }, ...wait })
  const instance = gateway.instance('s')
  const failed = t.rejects(instance.start(), { code: 'start_failed' })
  await until(() => marked(gateway.mark).length === 2)
  await instance.stop('manual')
  await failed
  t.equal(instance.state, 'cold')
  t.same(marked(gateway.mark), [])

  const early = t.rejects(instance.start(), { code: 'start_failed' })
  await instance.stop('manual')
  await early
  await new Promise((resolve) => setImmediate(resolve))
  t.same(marked(gateway.mark), [], 'also when it came before the process was there')
})

t.test('R18 what already serves at the address is neither doubled nor stopped', async (t) => {
  const gateway = await gatewayWith(t, { section: { command: ['node', SERVICE] }, ...answers })
  const instance = gateway.instance('s')
  const other = spawn(process.execPath, [SERVICE], {
    env: { ...process.env, NODE_OPTIONS: '', HOST: '127.0.0.1', PORT: String(gateway.servicePort) },
    stdio: 'ignore',
  })
  t.teardown(() => other.kill('SIGKILL'))
  await until(
    () =>
      fetch(instance.url).then(
        () => true,
        () => false,
      ),
    'the other server',
  )
  await instance.start()
  t.same(instance.data.process, { external: true })
  t.match(await gateway.event('instance.progress'), { note: /accepts connections at .* already.*will not be stopped/ })
  t.same(marked(gateway.mark), [])
  await instance.stop('idle')
  t.equal(instance.state, 'cold')
  t.equal(((await (await fetch(instance.url)).json()) as { pid: number }).pid, other.pid)
})

t.test('R18 what serves at the address and goes away before it was ready is followed by the service itself', async (t) => {
  const healthy = { service: { health: { url: '/' }, warmup_ms: undefined }, plugins: { health: {} } }
  const gateway = await gatewayWith(t, { section: { command: ['node', SERVICE] }, ...healthy })
  const instance = gateway.instance('s')
  const other = createServer((_, response) => response.writeHead(503).end())
  t.teardown(() => other.close())
  await once(other.listen(gateway.servicePort, '127.0.0.1'), 'listening')

  const started = instance.start()
  await gateway.event('instance.progress', ({ note }) => note.includes('status 503'))
  t.same(instance.data.process, { external: true })
  other.close()
  await started
  t.same([instance.state, marked(gateway.mark)], ['hot', [record(gateway).pid]])
  const { attempt, attempts } = await gateway.event('instance.attempt_failed', ({ error }) =>
    /nothing accepts .* any more/.test(error),
  )
  t.same([attempt, attempts], [1, 1], 'that was no attempt of ours')
  await instance.stop('manual')
  t.same(marked(gateway.mark), [], 'and it is ended as any other')
})

t.test('R18 what serves at an address is looked at again and again, which leaves nothing behind', async (t) => {
  const server = createServer((_, response) => response.end())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { signal } = new AbortController()
  t.equal(await lookAt(url, signal), 'accepts')
  server.close()
  await once(server, 'close')
  t.equal(await lookAt(url, signal), 'refuses')
  t.equal(await lookAt(url, AbortSignal.abort()), 'silent')
  t.equal(await lookAt('http://192.0.2.1:80', signal), 'silent', 'of another machine')
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('R18 one that can not be started in its place fails the start', async (t) => {
  const healthy = { service: { health: { url: '/' }, warmup_ms: undefined }, plugins: { health: {} } }
  const gateway = await gatewayWith(t, { section: { command: ['no-such-program'] }, ...healthy })
  const other = createServer((_, response) => response.writeHead(503).end())
  t.teardown(() => other.close())
  await once(other.listen(gateway.servicePort, '127.0.0.1'), 'listening')
  const failed = t.rejects(gateway.instance('s').start(), { message: /"no-such-program" could not be started/ })
  await gateway.event('instance.progress', ({ note }) => note.includes('status 503'))
  other.close()
  await failed
})

const hasPython = spawnSync('python3', ['--version']).status === 0

t.test(
  'R18 a process is there until the last of its threads has ended',
  { skip: !hasPython && 'there is no python3, in which one thread can end and leave the others' },
  async (t) => {
    // Shown as a zombie from then on, though it serves. With no thread left that handles signals, SIGTERM ends it.
    const script = `
import ctypes, http.server, os, threading
server = http.server.HTTPServer((os.environ['HOST'], int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever).start()
ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)
`
    const gateway = await gatewayWith(t, { section: { command: ['python3', '-c', script], stop_grace_ms: 5000 }, ...answers })
    const instance = gateway.instance('s')
    await instance.start()
    const { pid } = record(gateway)
    await until(() => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')), 'its first thread to end')
    t.equal((await fetch(instance.url)).status, 200)
    await instance.stop('manual')
    await t.rejects(fetch(instance.url), 'nothing of it serves')
    t.notOk(existsSync(`/proc/${pid}/task`) && readdirSync(`/proc/${pid}/task`).length > 1)
  },
)

t.test('R29 output: lines as they come, whole characters, a bounded number of them, over HTTP', async (t) => {
  const script = `process.stdout.write(Buffer.from([0x68, 0xc3]));
    setTimeout(() => { process.stdout.write(Buffer.from([0xa9, 0x0a])); console.error('wrong'); process.stdout.write('10%\\r20%\\r');
    for (let i = 1; i <= 8; i++) console.log('line ' + i); process.stdout.write('no end') }, 50); setTimeout(() => {}, 1e6)`
  const gateway = await gatewayWith(t, { section: { command: ['node', '-e', script], log_lines: 5 }, ...wait })
  const started = t.rejects(gateway.instance('s').start())
  await gateway.event('instance.output', ({ line }) => line === 'line 8')
  await gateway.event('instance.output', ({ stream }) => stream === 'stderr')
  const seen = gateway.events.flatMap((event) =>
    event.type === 'instance.output' && event.stream === 'stdout' ? [event.line] : [],
  )
  t.same(seen.slice(0, 4), ['hé', '10%', '20%', 'line 1'])
  t.ok(
    gateway.events.some((event) => event.type === 'instance.progress' && event.note === 'line 8'),
    'lines are signs of progress',
  )
  const logs = async (path: string) => {
    const response = await fetch(`${gateway.url}/v1/services/${path}`)
    return {
      status: response.status,
      body: (await response.json()) as { instances: { lines: { at: number; line: string }[] }[] },
    }
  }
  const { status, body } = await logs('s/logs')
  t.equal(status, 200)
  t.match(body, { serviceId: 's', instances: [{ name: 'default', lines: [{ at: Number }] }] })
  t.equal(body.instances[0]?.lines.length, 5)
  t.equal((await logs('s/logs?lines=2')).body.instances[0]?.lines.length, 2)
  t.equal((await logs('s/logs?lines=no')).status, 400)
  t.match(await logs('other/logs'), { status: 404, body: { error: 'unknown_service' } })
  await gateway.instance('s').stop('manual')
  await started
  t.equal((await logs('s/logs')).body.instances[0]?.lines.at(-1)?.line, 'no end', 'a last line without an end is kept')
})

t.test('R29 a flood of output is followed in bounded space, and what is left out is said', async (t) => {
  const gateway = await gatewayWith(t, {
    section: { command: sh(`yes '${'y'.repeat(200)}' | head -c 60000000; echo; echo done; exec yes`) },
  })
  await gateway.instance('s').start()
  const file = join(record(gateway).output, 'stdout.log')
  await gateway.event('instance.output', ({ line }) => /bytes left out: output comes faster/.test(line))
  for (let times = 0; times < 3; times++) {
    await until(() => statSync(file).size > 1_000_000, 'the file to grow')
    await until(() => statSync(file).size < 1_000_000, 'the file to be emptied')
  }
  t.equal((await fetch(`${gateway.url}/v1/services/s/logs`)).status, 200, 'the gateway serves')
  await gateway.instance('s').stop('manual')
  t.same(marked(gateway.mark), [])
})

t.test('R10 where the system tells nothing about processes, the group is ended as a whole', async (t) => {
  for (const ignores of [false, true]) {
    const script = `${ignores ? 'process.on("SIGTERM", () => {});' : ''} console.log('up'); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['-e', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    const pids = await endTree({ pid: child.pid!, startTime: null, cookie: randomUUID() }, 'SIGTERM', ignores ? 100 : 5000)
    t.same(pids, ignores ? [child.pid] : [])
    t.notOk(alive(child.pid!))
  }
})

t.test('R29 lines: any split of the bytes gives the same lines', (t) => {
  const feed = (pieces: Uint8Array[]) => {
    const buffer = emptyLine()
    const lines = pieces.flatMap((piece) => addBytes(buffer, Buffer.from(piece)))
    const rest = lastLine(buffer)
    return rest === undefined ? lines : [...lines, rest]
  }
  const text = fc.array(fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('\n', '\r', '\r\n', 'é', '界', '😀')), {
    maxLength: 40,
  })
  fc.assert(
    fc.property(text, fc.array(fc.nat(200), { maxLength: 8 }), (parts, cuts) => {
      const bytes = Buffer.from(parts.join(''))
      const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
      const pieces = at.slice(1).map((end, index) => bytes.subarray(at[index], end))
      assert.deepEqual(feed(pieces), feed([bytes]))
      assert.equal(feed(pieces).join(''), bytes.toString('utf8').replaceAll(/[\r\n]/g, ''))
    }),
    { numRuns: 200 },
  )
  t.same(feed([Buffer.from('a\r\n\nb\rc')]), ['a', '', 'b', 'c'])
  const [long, next] = feed([Buffer.from('界'.repeat(5000)), Buffer.from('界\nnext')])
  t.equal(long, `${'界'.repeat(Math.floor(LONGEST_LINE / 3))} [cut]`)
  t.equal(next, 'next')
  t.end()
})

t.test('R16 a reload leaves processes alone; the next generation sees their output and death, and stops them', async (t) => {
  const setting = { section: { command: sh('while :; do date +%N; sleep 0.02; done') }, plugins: { spy: {} } }
  const gateway = await gatewayWith(t, setting)
  const instance = gateway.instance('s')
  await instance.start()
  const { pid } = record(gateway)
  for (const log_lines of [10, 20, 30, 40]) {
    await gateway.configure(configOf(gateway.servicePort, gateway.mark, { ...setting, options: { log_lines } }))
    await gateway.gateway.reload()
  }
  t.equal(record(gateway).pid, pid)
  t.ok(alive(pid))
  const from = gateway.events.length
  await gateway.event('instance.output', () => true, from)
  const apps = (globalThis as unknown as { hestiaTestApps: WeakRef<object>[] }).hestiaTestApps
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  t.ok(apps.length >= 4)
  await until(async () => {
    gc()
    await new Promise((resolve) => setTimeout(resolve, 20))
    return apps.slice(0, -1).every((app) => app.deref() === undefined)
  }, 'old generations to be forgotten')

  process.kill(pid, 'SIGKILL')
  await gateway.event('instance.crashed')
  await until(() => instance.state === 'cold')
  await instance.start()
  await gateway.configure(configOf(gateway.servicePort, gateway.mark, { ...setting, options: { log_lines: 50 } }))
  await gateway.gateway.reload()
  await instance.stop('manual')
  t.same(marked(gateway.mark), [])
})

t.test('R15 switched off by a reload: what it started ends with it', async (t) => {
  const setting = { section: { command: IDLE } }
  const gateway = await gatewayWith(t, setting)
  const instance = gateway.instance('s')
  await instance.start()
  await until(() => marked(gateway.mark).length === 2)
  await gateway.configure(
    JSON.stringify({ plugins: { defaults: false }, services: { s: { base_url: instance.url, warmup_ms: 0 } } }),
  )
  await gateway.gateway.reload()
  await until(() => marked(gateway.mark).length === 0, 'the end of its process')
  await until(() => instance.state === 'cold')
  t.same(outputFolders(), [])
  t.same(gateway.gateway.pool.keys(), [])
})

t.test('R18 shutdown: leave lets processes run, and keeps nothing of them', async (t) => {
  const gateway = await gatewayWith(t, { section: { command: IDLE }, top: { shutdown: 'leave' } })
  await gateway.instance('s').start()
  const { pid, output } = record(gateway)
  await gateway.gateway.stop()
  t.ok(alive(pid))
  t.ok(existsSync(output))
  t.same(gateway.gateway.pool.keys(), [])
  await endTree(record(gateway), 'SIGTERM', 5000)
  t.same(marked(gateway.mark), [])
  await rm(output, { recursive: true })
})

/** Some of what a shell starts is gone before one gets to it. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown
  }
}

t.test('R18 a service survives a kill -9 of the gateway, and can go on writing', { timeout: 60_000 }, async (t) => {
  const mark = randomUUID()
  const dir = await mkdtemp(join(temporary, 'killed-'))
  const file = join(dir, 'hestia_config.yml')
  const command = sh('while :; do echo tick || exit 9; sleep 0.02; done')
  const top = { server: { port: 0 }, log: { level: 'silent' } }
  await writeFile(file, configOf(await freePort(), mark, { section: { command }, top, plugins: { go: {} } }))
  await mkdir(join(dir, 'plugins'))
  await writeFile(
    join(dir, 'plugins/go.ts'),
    `export default { name: 'go', setup (app) { setTimeout(() => app.hestia.services.get('s').instances[0].start(), 50) } }`,
  )
  const gateway: ChildProcess = spawn(process.execPath, ['bin/hestia.js', '--config', file], {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: 'ignore',
  })
  t.teardown(() => {
    gateway.kill('SIGKILL')
    for (const pid of marked(mark)) killIfThere(pid)
  })
  await until(() => marked(mark).length > 0, 'the service', 30_000)
  const log = await until(() =>
    outputFolders()
      .map((name) => join(temporary, name, 'stdout.log'))
      .find(existsSync),
  )
  gateway.kill('SIGKILL')
  await until(() => gateway.signalCode !== null)
  const { size } = statSync(log)
  await until(() => statSync(log).size > size + 20, 'more lines')
  t.ok(marked(mark).length > 0)
  for (const pid of marked(mark)) killIfThere(pid)
  await until(() => marked(mark).length === 0)
  await rm(resolve(log, '..'), { recursive: true })
})

t.test('R10 fifty starts and stops leave no process, handle, listener or file', async (t) => {
  const gateway = await gatewayWith(t, { section: { command: IDLE } })
  const instance = gateway.instance('s')
  const cycle = async () => {
    await instance.start()
    await instance.stop('manual')
  }
  await cycle()
  const handles = () =>
    process.getActiveResourcesInfo().filter((name) => !/FSReqPromise|FSReqCallback|Immediate|TickObject/.test(name)).length
  const files = () => readdirSync('/proc/self/fd').length
  const before = { handles: handles(), files: files(), listeners: gateway.gateway.events.size }
  for (let i = 0; i < 50; i++) await cycle()
  t.same(marked(gateway.mark), [])
  t.same(outputFolders(), [])
  await until(() => handles() <= before.handles && files() <= before.files, 'handles to be closed')
  t.equal(gateway.gateway.events.size, before.listeners)
})

t.test('the demo service boots, serves, streams, echoes and ends on SIGTERM', async (t) => {
  const port = await freePort()
  const demo = spawn(process.execPath, [join(ROOT, 'examples/demo-service.mjs')], {
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: String(port), BOOT_MS: '50' },
    stdio: 'ignore',
  })
  t.teardown(() => demo.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  await until(
    () =>
      fetch(`${url}/health`).then(
        ({ status }) => status === 200,
        () => false,
      ),
    'the demo service',
  )
  t.match(await (await fetch(url)).json(), { message: /Hello/, pid: demo.pid })
  t.match(await (await fetch(url, { headers: { accept: 'text/html' } })).text(), '<h1>Hello')
  const events = await (await fetch(`${url}/stream?count=3&interval_ms=1`)).text()
  t.equal(events.match(/^data: /gm)?.length, 3)
  t.equal(await (await fetch(`${url}/echo`, { method: 'POST', body: 'back' })).text(), 'back')
  t.equal((await fetch(`${url}/nowhere`)).status, 404)
  demo.kill('SIGTERM')
  await until(() => demo.exitCode !== null)
  t.equal(demo.exitCode, 0)
})
