import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { readPlugin } from '../../core/plugin.ts'
import command from '../../plugins/command/index.ts'
import { LineSplitter } from '../../plugins/command/line-splitter.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { until } from '../helpers/until.ts'
import { deadPort, httpUpstream } from '../helpers/upstream.ts'

/** Pids of living processes that have `mark` in their environment. */
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

interface Setting {
  section: Record<string, unknown>
  service?: Record<string, unknown>
  options?: Record<string, unknown>
  top?: Record<string, unknown>
  plugins?: Record<string, unknown>
}

const configOf = (mark: string, { section, service, options, top, plugins }: Setting): string =>
  JSON.stringify({
    ...top,
    plugins: { defaults: false, command: options ?? {}, api: {}, ...plugins },
    services: {
      s: {
        base_url: 'http://127.0.0.1:9',
        warmup_ms: 0,
        ...service,
        command: { ...section, env: { MARK: mark, ...(section.env as object) } },
      },
    },
  })

async function gatewayWith(
  test: Test,
  setting: Setting,
): Promise<RunningGateway & { mark: string; written(file: string): string; change(to: Setting): Promise<void> }> {
  const mark = randomUUID()
  const running = await startGateway(test, { config: configOf(mark, setting) })
  test.teardown(() => {
    for (const pid of marked(mark)) process.kill(pid, 'SIGKILL')
  })
  return {
    ...running,
    mark,
    written: (file) => (existsSync(join(running.dir, file)) ? readFileSync(join(running.dir, file), 'utf8') : ''),
    change: async (to) => {
      const from = running.events.length
      await running.configure(configOf(mark, to))
      await running.event('reload.applied', () => true, from)
    },
  }
}

const linesOf = async (gateway: RunningGateway) => {
  const response = await fetch(`${gateway.url}/v1/services/s/logs`)
  const { instances } = (await response.json()) as { instances: { lines: { stream: string; line: string }[] }[] }
  return instances.flatMap(({ lines }) => lines.map(({ stream, line }) => `${stream}: ${line}`))
}

const STOP = 'echo stop $HESTIA_REASON >> said'

t.test('R19 a list is run as it is, a text by the shell; both know for what', async (t) => {
  process.env.NODE_OPTIONS_FOR_ALL = 'x'
  Object.assign(process.env, { HESTIA_QUEUE_SIZE: '7' })
  t.teardown(() => {
    delete process.env.NODE_OPTIONS_FOR_ALL
    delete process.env.HESTIA_QUEUE_SIZE
  })
  const gateway = await gatewayWith(t, {
    section: {
      start: ['sh', '-c', 'env > start.env; echo "$1"; echo warned >&2', 'sh', '$HOME; * "quoted"'],
      stop: 'env > stop.env && pwd > folder',
      env: { EXTRA: 7, FLAG: true },
      cwd: 'work',
    },
    service: { base_url: undefined, instances: [{ name: 'one', url: 'http://127.0.0.1:1234', machine: 'box', region: 'home' }] },
    top: { machines: { box: { role: 'remote', address: '192.0.2.7' } } },
  })
  await mkdir(join(gateway.dir, 'work'))
  const instance = gateway.instance('s')
  await instance.start()
  t.equal(instance.state, 'hot')
  t.same(instance.data.command, {
    cwd: join(gateway.dir, 'work'),
    address: '192.0.2.7',
    stop: 'env > stop.env && pwd > folder',
  })
  const told = {
    HESTIA_SERVICE: 's',
    HESTIA_INSTANCE: 'one',
    HESTIA_URL: 'http://127.0.0.1:1234',
    HESTIA_HOST: '127.0.0.1',
    HESTIA_PORT: '1234',
    HESTIA_MACHINE: 'box',
    HESTIA_MACHINE_ADDRESS: '192.0.2.7',
    HESTIA_REGION: 'home',
    EXTRA: '7',
    FLAG: 'true',
  }
  const parsed = (file: string) =>
    Object.fromEntries(
      gateway
        .written(file)
        .split('\n')
        .map((line) => line.split(/=(.*)/s, 2)),
    ) as Record<string, string>
  t.match(parsed('work/start.env'), { ...told, HESTIA_ACTION: 'start' })
  t.notOk('HESTIA_QUEUE_SIZE' in parsed('work/start.env'), 'overrides of the configuration are the gateway’s own')
  t.strictSame((await linesOf(gateway)).toSorted(), ['stderr: warned', 'stdout: $HOME; * "quoted"'])
  t.match(await gateway.event('instance.progress', ({ note }) => note === 'warned'), { service: 's', instance: 'one' })

  await instance.stop('manual')
  t.equal(instance.state, 'cold')
  t.match(parsed('work/stop.env'), { ...told, HESTIA_ACTION: 'stop', HESTIA_REASON: 'manual' })
  t.equal(gateway.written('work/folder').trim(), join(gateway.dir, 'work'))
  t.same(instance.data, {})
  t.equal((await linesOf(gateway)).length, 2, 'output stays readable')
  t.notOk(gateway.events.some(({ type }) => type === 'hook.failed' || type === 'instance.crashed'))
})

t.test('R18 what runs already is not started, and is stopped like anything else', async (t) => {
  const gateway = await gatewayWith(t, {
    section: { status: 'test -e up', start: 'touch up; echo start >> said', stop: `rm up; ${STOP}` },
  })
  const instance = gateway.instance('s')
  await writeFile(join(gateway.dir, 'up'), '')
  await instance.start()
  t.equal(gateway.written('said'), '', 'it ran already')
  t.ok(gateway.events.some((event) => event.type === 'instance.progress' && /runs already/.test(event.note)))
  await instance.stop('idle')
  t.equal(gateway.written('said'), 'stop idle\n')
  await instance.start()
  t.equal(gateway.written('said'), 'stop idle\nstart\n', 'it did not run any more')
})

t.test('a status command that hangs says no; one that cannot be run is an error', async (t) => {
  const gateway = await gatewayWith(t, {
    section: { status: ['sleep', '1000'], status_timeout_ms: 100, start: 'echo start >> said', stop: STOP },
  })
  const instance = gateway.instance('s')
  await instance.start()
  t.equal(gateway.written('said'), 'start\n')
  t.same(marked(gateway.mark), [])
  t.match(
    gateway.events.flatMap((event) => (event.type === 'instance.progress' ? [event.note] : [])).join(),
    /status command "sleep 1000" did not end within 100 ms/,
  )
  await instance.stop('manual')
  await gateway.change({ section: { status: ['no-such-program'], start: 'echo start >> said', stop: STOP } })
  await t.rejects(instance.start(), {
    message: /status command "no-such-program" could not be run: no such program on the PATH of the gateway/,
  })
  t.equal(gateway.written('said'), 'start\nstop manual\n')
})

t.test('R7 a start that fails says why, and is cleaned up after', async (t) => {
  const gateway = await gatewayWith(t, {
    section: { start: 'echo one; echo "\u001b[31mno such unit\u001b[0m" >&2; exit 5', stop: STOP },
    service: { start: { attempts: 2 } },
  })
  const instance = gateway.instance('s')
  await t.rejects(instance.start(), { message: /exited with code 5; its last lines: .*no such unit/ })
  t.notMatch((await gateway.event('instance.start_failed')).error, '\u001b', 'no escape sequences')
  t.equal(gateway.written('said'), 'stop start_failed\nstop start_failed\n', 'after each attempt')
  t.equal(instance.state, 'cold')

  await gateway.change({ section: { start: 'kill -9 $$', stop: STOP } })
  await t.rejects(instance.start(), { message: /was ended by SIGKILL/ })
})

t.test('what could not even be run needs no stop', async (t) => {
  const gateway = await gatewayWith(t, { section: { start: ['no-such-program', 'x'], stop: STOP } })
  const instance = gateway.instance('s')
  const fails = async (section: Record<string, unknown>, message: RegExp) => {
    await gateway.change({ section: { stop: STOP, ...section } })
    await t.rejects(instance.start(), { message })
  }
  await t.rejects(instance.start(), {
    message: /start command "no-such-program x" could not be run: no such program on the PATH .* services\.s\.command\.start/,
  })
  await fails({ start: ['./missing'] }, /no such file, seen from/)
  await writeFile(join(gateway.dir, 'script'), '#!/bin/sh\n')
  await fails({ start: ['./script'] }, /may not be executed: chmod \+x/)
  await fails(
    { start: 'true', cwd: 'nowhere' },
    /there is no folder .*nowhere to run its commands in: .*services\.s\.command\.cwd/,
  )
  t.equal(gateway.written('said'), '')
  t.notOk(gateway.events.some(({ type }) => type === 'hook.failed'))
})

t.test('R10 a start that hangs is ended with everything that it started, before the stop', async (t) => {
  const hang = 'trap "echo asked >> said" TERM; setsid sleep 1000 & sleep 1000 & wait; wait; sleep 1000'
  const gateway = await gatewayWith(t, {
    section: { start: hang, stop: STOP, timeout_ms: 300, kill_grace_ms: 300 },
  })
  const instance = gateway.instance('s')
  await t.rejects(instance.start(), { message: /did not end within 300 ms \(it must end once the service is on its way\)/ })
  t.same(marked(gateway.mark), [], 'nothing is left')
  t.equal(gateway.written('said'), 'asked\nstop start_failed\n', 'asked first; stopped when it was gone')
})

t.test('R5 a start that is not wanted any more is ended before the stop', async (t) => {
  const gateway = await gatewayWith(t, {
    section: {
      start: 'trap "sleep 0.3; echo start ended >> said; exit" TERM; echo begun; while :; do sleep 0.01; done',
      stop: STOP,
    },
  })
  const instance = gateway.instance('s')
  const started = instance.start()
  started.catch(() => undefined)
  await gateway.event('instance.output', ({ line }) => line === 'begun')
  await instance.stop('manual')
  await t.rejects(started, { message: /given up/ })
  t.equal(gateway.written('said'), 'start ended\nstop start_failed\n')
  t.equal(instance.state, 'cold')
})

t.test('R10 a stop that fails or hangs is bounded, and says that it may run still', async (t) => {
  const gateway = await gatewayWith(t, { section: { start: 'true', stop: 'echo locked; exit 3' } })
  const instance = gateway.instance('s')
  await instance.start()
  await instance.stop('manual')
  t.equal(instance.state, 'cold')
  t.match(await gateway.event('hook.failed'), {
    hook: 'onIdle',
    plugin: 'command',
    service: 's',
    error:
      /stop command "echo locked; exit 3" exited with code 3; its last lines: locked\. s\/default counts as stopped, but may run still/,
  })

  const from = gateway.events.length
  await gateway.change({
    section: { start: 'true', stop: 'trap "" TERM; echo deaf; sleep 1000', timeout_ms: 100, kill_grace_ms: 100 },
  })
  await instance.start()
  await instance.stop('manual')
  t.equal(instance.state, 'cold')
  t.match((await gateway.event('hook.failed', () => true, from)).error, /did not end within 100 ms; its last lines: deaf/)
  t.same(marked(gateway.mark), [])

  const [before] = [gateway.events.length]
  await gateway.change({ section: { start: 'true', stop: ['no-such-program'] } })
  await instance.start()
  await instance.stop('manual')
  t.match((await gateway.event('hook.failed', () => true, before)).error, /no such program/)
})

t.test('without a stop command what was started goes on', async (t) => {
  const gateway = await gatewayWith(t, { section: { start: 'true' } })
  const instance = gateway.instance('s')
  await instance.start()
  await instance.stop('idle')
  t.equal(instance.state, 'cold')
  t.notOk(gateway.events.some(({ type }) => type === 'hook.failed'))
})

t.test('what a start leaves in the background goes on, and its output is seen', async (t) => {
  const gateway = await gatewayWith(t, {
    section: {
      start: '(while [ ! -e go ]; do sleep 0.01; done; echo later; sleep 1000) & echo $! > pid',
      stop: 'kill $(cat pid)',
      timeout_ms: 5000,
      log_lines: 2,
    },
  })
  const instance = gateway.instance('s')
  await instance.start()
  t.equal(instance.state, 'hot')
  t.notSame(marked(gateway.mark), [], 'it runs')
  await writeFile(join(gateway.dir, 'go'), '')
  await until(async () => (await linesOf(gateway)).includes('stdout: later'), 'its output')
  await instance.stop('manual')
  t.notOk(gateway.events.some(({ type }) => type === 'hook.failed'))
})

t.test('settings that change while it runs: a better stop counts at once, another service at the next start', async (t) => {
  const gateway = await gatewayWith(t, { section: { start: 'echo start a >> said', stop: 'echo stop a >> said' } })
  const instance = gateway.instance('s')
  await instance.start()
  await gateway.change({ section: { start: 'echo start a >> said', stop: 'echo better >> said' } })
  await instance.stop('manual')
  t.equal(gateway.written('said'), 'start a\nbetter\n')
  await instance.start()
  await gateway.change({ section: { start: 'echo start b >> said', stop: 'echo stop b >> said' } })
  await instance.stop('manual')
  t.equal(gateway.written('said'), 'start a\nbetter\nstart a\nbetter\n')
  await instance.start()
  await instance.stop('manual')
  t.match(gateway.written('said'), /start b\nstop b\n$/)
})

t.test('R15 switched off, it brings down what it brought up; at the end of the gateway as well', async (t) => {
  const gateway = await gatewayWith(t, { section: { start: 'echo start >> said', stop: STOP } })
  await gateway.instance('s').start()
  await gateway.configure(
    JSON.stringify({ plugins: { defaults: false, api: {} }, services: { s: { base_url: 'http://127.0.0.1:9', warmup_ms: 0 } } }),
  )
  await until(() => gateway.written('said') === 'start\nstop removed\n', 'the stop')
  await until(() => gateway.instance('s').state === 'cold', 'it to be cold')

  const other = await gatewayWith(t, { section: { start: 'true', stop: `echo $HESTIA_REASON > ${join(gateway.dir, 'end')}` } })
  await other.instance('s').start()
  await other.gateway.stop('test', AbortSignal.abort())
  t.equal(gateway.written('end'), 'shutdown\n')
})

t.test('R18 whether it runs still says its status command, or its port', async (t) => {
  const { starter } = readPlugin('command', command).definition
  const upstream = await httpUpstream(t)
  const gateway = await gatewayWith(t, {
    section: { start: 'true', status: 'test -e up' },
    service: { base_url: upstream.url },
  })
  const instance = gateway.instance('s')
  t.equal(await starter?.stillRuns?.(instance), false, 'nothing was recorded')
  await instance.start()
  t.equal(await starter?.stillRuns?.(instance), false, 'the status command is believed, whoever has the port')
  await writeFile(join(gateway.dir, 'up'), '')
  t.equal(await starter?.stillRuns?.(instance), true)
  await gateway.change({
    section: { start: 'true', status: 'sleep 1000', status_timeout_ms: 50 },
    service: { base_url: upstream.url },
  })
  await t.rejects(Promise.resolve(starter?.stillRuns?.(instance)), { message: /did not end within 50 ms/ })
  await gateway.change({ section: { start: 'true' }, service: { base_url: upstream.url } })
  t.equal(await starter?.stillRuns?.(instance), true, 'without one: it takes connections')
  await instance.stop('manual')
  await gateway.change({ section: { start: 'true' }, service: { base_url: `http://127.0.0.1:${await deadPort()}` } })
  await instance.start()
  t.equal(await starter?.stillRuns?.(instance), false)
})

t.test('R17 wrong settings are refused with their place', async (t) => {
  const gateway = await gatewayWith(t, { section: { start: 'true' } })
  const refused = async (section: Record<string, unknown>, message: RegExp) => {
    const from = gateway.events.length
    await gateway.configure(configOf(gateway.mark, { section }))
    const { problems } = await gateway.event('reload.rejected', () => true, from)
    t.match(problems.map((problem) => JSON.stringify(problem)).join(), message)
  }
  await refused({}, /start/)
  await refused({ start: [] }, /a list of program and arguments, or a text for the shell/)
  await refused({ start: 'true', stopp: 'x' }, /did you mean \\?"stop/)
  await refused({ start: 'true', timeout_ms: -1 }, /timeout_ms/)
})

t.test('lines come whole, whatever the pieces', async (t) => {
  const linesFrom = (pieces: Buffer[]) => {
    const lines: string[] = []
    const splitter = new LineSplitter((line) => lines.push(line))
    for (const piece of pieces) splitter.add(piece)
    splitter.end()
    return lines
  }
  const line = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !/[\r\n]/.test(text))
  const eol = fc.constantFrom('\n', '\r\n', '\r', '\n\n')
  fc.assert(
    fc.property(fc.array(fc.tuple(line, eol)), fc.array(fc.nat({ max: 40 })), (parts, cuts) => {
      const bytes = Buffer.from(parts.flat().join(''))
      const pieces: Buffer[] = []
      let from = 0
      for (const cut of cuts) {
        pieces.push(bytes.subarray(from, from + cut))
        from += cut
      }
      t.same(
        linesFrom([...pieces, bytes.subarray(from)]),
        parts.map(([text]) => text),
      )
    }),
    { numRuns: 200 },
  )
  const long = 'x'.repeat(100_000)
  t.same(linesFrom([Buffer.from(long), Buffer.from(`${long}\nnext`)]), [`${'x'.repeat(8192)} [cut]`, 'next'])
})

t.test('the example is a valid configuration', async (t) => {
  const config = readFileSync(new URL('../../examples/command.yml', import.meta.url), 'utf8')
  const gateway = await startGateway(t, { config })
  t.equal(gateway.gateway.services.size, 3)
})
