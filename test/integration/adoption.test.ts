import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'sqlite'
import { Database } from 'sqlite3'
import t, { type Test } from 'tap'
import { processInfo } from '../../core/processes/proc.ts'
import { isAlive } from '../helpers/alive.ts'
import { type ChildGateway, startChildGateway } from '../helpers/child-gateway.ts'
import { freePort } from '../helpers/free-port.ts'
import { until } from '../helpers/until.ts'

t.setTimeout(1_800_000)

/** Each is a start of a gateway, load on it, and a kill -9. */
const ROUNDS = Number(process.env.ADOPTION_ROUNDS ?? 5)

/** Says when it begins and when it is told to end, and its pid to all who ask. */
const SERVICE = `
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'
const { PORT, HOST, BOOT_MS = '0', STOP_MS = '0', JOURNAL } = process.env
const note = (what) => appendFileSync(JOURNAL, what + ' ' + process.pid + '\\n')
let count = 0
if (process.env.TALK) setInterval(() => console.log('line ' + ++count), 10)
process.on('SIGTERM', () => { note('told'); setTimeout(() => process.exit(0), Number(STOP_MS)) })
const server = createServer((request, response) => response.end(String(process.pid)))
server.on('error', (error) => note('conflict:' + error.code))
note('begin')
setTimeout(() => server.listen(Number(PORT), HOST), Number(BOOT_MS))
`

interface Settings {
  readonly env?: Record<string, string | number>
  readonly idleMs?: number
  readonly start?: Record<string, unknown>
  readonly command?: readonly string[]
  readonly process?: false
}

/** A folder with services; gateways come and go on it. */
async function makeWorld(t: Test, given: Record<string, Settings>) {
  const dir = await mkdtemp(join(tmpdir(), 'hestia-adoption-'))
  const file = join(dir, 'hestia_config.yml')
  const journal = join(dir, 'journal')
  const temporary = join(dir, 'tmp')
  await mkdir(temporary)
  await writeFile(join(dir, 'service.mjs'), SERVICE)
  await writeFile(journal, '')
  const ports = new Map<string, number>()
  for (const id of Object.keys(given)) ports.set(id, await freePort())

  const configure = async (services: Record<string, Settings>, top: Record<string, unknown> = {}) => {
    const sectionsOf = (id: string, settings: Settings) => ({
      base_url: `http://127.0.0.1:${ports.get(id)}`,
      health: { url: '/' },
      idle: { timeout_ms: settings.idleMs ?? 0 },
      ...(settings.start ? { start: settings.start } : {}),
      ...(settings.process === false
        ? {}
        : {
            process: {
              command: settings.command ?? [process.execPath, join(dir, 'service.mjs')],
              env: { JOURNAL: journal, WORLD: dir, ...settings.env },
              stop_grace_ms: 5000,
            },
          }),
    })
    const config = {
      server: { port: 0 },
      log: { level: 'debug', format: 'json' },
      ...top,
      services: Object.fromEntries(Object.entries(services).map(([id, settings]) => [id, sectionsOf(id, settings)])),
    }
    await writeFile(file, JSON.stringify(config))
  }
  await configure(given)

  /** Living processes of a service that lead their group. */
  const running = (id?: string): number[] =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
          if (!environment.includes(`WORLD=${dir}`) || !isAlive(pid)) return false
          return id === undefined || environment.includes(`HESTIA_SERVICE=${id}`)
        } catch {
          return false
        }
      })
  t.teardown(async () => {
    for (const pid of running()) process.kill(pid, 'SIGKILL')
    await rm(dir, { recursive: true, force: true })
  })
  const begin = () => startChildGateway(t, file, { env: { TMPDIR: temporary } })
  const noted = async () => (await readFile(journal, 'utf8')).trim().split('\n').filter(Boolean)
  const database = async <T>(work: (all: (sql: string, ...params: unknown[]) => Promise<T>) => Promise<T>): Promise<T> => {
    const opened = await open({ filename: join(dir, 'hestia.sqlite'), driver: Database })
    try {
      return await work((sql, ...params) => opened.all(sql, ...params) as Promise<T>)
    } finally {
      await opened.close()
    }
  }
  const outputs = () => readdirSync(temporary).filter((name) => name.startsWith('hestia-process-'))
  return { dir, configure, running, begin, noted, database, outputs, ports }
}

const pidOf = async ({ url }: ChildGateway, id: string): Promise<number> => {
  const answer = await fetch(`${url}/services/${id}/`)
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`${id}: ${answer.status} ${text}`)
  return Number(text)
}
const stateOf = async ({ url }: ChildGateway, id: string): Promise<string> =>
  ((await (await fetch(`${url}/v1/services/${id}/status`)).json()) as { state: string }).state
const stop = ({ url }: ChildGateway, id: string) => fetch(`${url}/v1/services/${id}/stop`, { method: 'POST' })
const line = ({ lines }: ChildGateway, type: string, match: (event: Record<string, unknown>) => boolean = () => true) =>
  until(() => lines.find((event) => event.type === type && match(event)), `the event ${type}`)
const of = (id: string) => (event: Record<string, unknown>) => event.service === id

t.test('R18 promise 15: what runs when the gateway is killed is found hot by the next, with the same pid', async (t) => {
  const world = await makeWorld(t, { s: { env: { TALK: 1 } } })
  const first = await world.begin()
  const pid = await pidOf(first, 's')
  await line(first, 'instance.output', ({ line }) => line === 'line 20')
  // At once: nothing of the last lines, and perhaps not even that it is hot, has been written down.
  await first.end('SIGKILL')
  const second = await world.begin()
  t.match(await line(second, 'instance.adopted', of('s')), { starters: ['process'] })
  t.equal(await stateOf(second, 's'), 'hot', 'without any request')
  t.equal(await pidOf(second, 's'), pid)
  t.same(world.running(), [pid])
  t.notOk(
    second.lines.some(({ type }) => type === 'instance.attempt' || type === 'instance.ready'),
    'that is no start',
  )

  const linesOf = ({ lines }: ChildGateway) =>
    lines.flatMap((event) => (event.type === 'instance.output' ? [String(event.line)] : []))
  const last = linesOf(first).at(-1)!
  await until(() => linesOf(second).length > 10, 'its output')
  const numberOf = (text: string) => Number(text.slice(5))
  const resumedAt = numberOf(linesOf(second)[0]!)
  t.ok(resumedAt <= numberOf(last) + 1, `no line is lost: ${last}, then ${resumedAt}`)
  t.ok(resumedAt > numberOf(last) - 10, `nearly none is told twice: ${last}, then ${resumedAt}`)
  const numbers = linesOf(second).map(numberOf)
  t.same(
    numbers,
    numbers.map((_, index) => resumedAt + index),
  )
  const logs = (await (await fetch(`${second.url}/v1/services/s/logs?lines=5`)).json()) as { instances: { lines: unknown[] }[] }
  t.equal(logs.instances[0]?.lines.length, 5)

  process.kill(pid, 'SIGKILL')
  t.match(await line(second, 'instance.crashed', of('s')), { error: /process has ended; its last line: line \d+/ })
  await until(async () => (await stateOf(second, 's')) === 'cold')
  t.same(world.outputs(), [])
  const next = await until(() => pidOf(second, 's').catch(() => undefined), 'its pause to be over, and its next start')
  t.not(next, pid)
  await stop(second, 's')
  await until(() => world.running().length === 0, 'its end')
  t.equal(await second.end(), 0)
})

t.test('R9 R18 idle clocks go on while there is no gateway', async (t) => {
  const world = await makeWorld(t, { due: { idleMs: 2000 }, later: { idleMs: 3_600_000 } })
  const first = await world.begin()
  await Promise.all([pidOf(first, 'due'), pidOf(first, 'later')])
  const usedAt = Date.now()
  const later = world.running('later')
  const states = () => world.database<{ state: string }[]>((all) => all('SELECT state FROM instance_states'))
  await until(async () => (await states()).filter(({ state }) => state === 'hot').length === 2, 'that to be written')
  await first.end('SIGKILL')
  await until(() => Date.now() > usedAt + 2000, 'its time to be over')
  t.equal(world.running('due').length, 1)
  const second = await world.begin()
  await line(second, 'instance.adopted', of('due'))
  await line(second, 'instance.stopped', ({ service, reason }) => service === 'due' && reason === 'idle')
  t.same(world.running('due'), [])
  t.equal(await stateOf(second, 'later'), 'hot')
  t.same(world.running('later'), later)
  await second.end('SIGKILL')
  const record = () =>
    world.database<{ idle_since: number }[]>((all) => all(`SELECT idle_since FROM instance_states WHERE service_id = 'later'`))
  t.ok((await record())[0]!.idle_since <= usedAt + 1000, 'its clock was not set back')
})

t.test('R9 R18 a gateway that is killed while it adopts leaves what it found', async (t) => {
  const world = await makeWorld(t, { frozen: { idleMs: 3_600_000 }, other: {} })
  const recordsOf = (id: string) =>
    world.database<{ state: string; idle_since: number; since: number }[]>((all) =>
      all('SELECT state, idle_since, since FROM instance_states WHERE service_id = ?', id),
    )
  const first = await world.begin()
  const pid = await pidOf(first, 'frozen')
  const usedAt = Date.now()
  await until(async () => (await recordsOf('frozen'))[0]?.state === 'hot', 'that to be written')
  await first.end('SIGKILL')
  const found = await recordsOf('frozen')
  // It is there, but says nothing.
  process.kill(pid, 'SIGSTOP')
  const second = await world.begin()
  await until(async () => (await stateOf(second, 'frozen')) === 'starting', 'its adoption')
  await pidOf(second, 'other')
  await until(async () => (await recordsOf('other'))[0]?.state === 'hot', 'what happened later to be written')
  t.same(await recordsOf('frozen'), found)
  await second.end('SIGKILL')
  process.kill(pid, 'SIGCONT')
  const third = await world.begin()
  await line(third, 'instance.adopted', of('frozen'))
  t.same(world.running('frozen'), [pid])
  const status = await fetch(`${third.url}/v1/services/frozen/status`)
  const { instances } = (await status.json()) as { instances: { idleMs: number }[] }
  t.ok(instances[0]!.idleMs >= Date.now() - usedAt - 1500, `idle since it was used: ${instances[0]!.idleMs} ms`)
})

t.test('R18 a pid that belongs to somebody else by now is neither adopted nor killed', async (t) => {
  const world = await makeWorld(t, { s: {}, other: {} })
  const first = await world.begin()
  await Promise.all([pidOf(first, 's'), pidOf(first, 'other')])
  const records = () => world.database<{ state: string; data: string }[]>((all) => all('SELECT state, data FROM instance_states'))
  await until(async () => (await records()).filter(({ state }) => state === 'hot').length === 2, 'both to be recorded')
  await first.end('SIGKILL')
  for (const pid of world.running()) process.kill(pid, 'SIGKILL')
  await until(() => world.running().length === 0)
  const strangers: ChildProcess[] = [1, 2].map(() => spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' }))
  t.teardown(() => {
    for (const stranger of strangers) stranger.kill('SIGKILL')
  })
  const [recycled, lookalike] = strangers.map(({ pid }) => pid!) as [number, number]
  await world.database(async (all) => {
    const set = `UPDATE instance_states SET data = json_set(data, '$.process.pid', ?`
    await all(`${set}) WHERE service_id = 's'`, recycled)
    // Even one that was started in the same hundredth of a second.
    const startTime = processInfo(lookalike)!.startTime
    await all(`${set}, '$.process.startTime', ?) WHERE service_id = 'other'`, lookalike, startTime)
  })
  const second = await world.begin()
  for (const id of ['s', 'other']) {
    t.match(await line(second, 'instance.not_adopted', of(id)), {
      reason: /what process had started runs no more/,
      orphaned: false,
    })
    await until(async () => (await stateOf(second, id)) === 'cold')
    t.ok(world.ports.has(id))
  }
  t.same(world.running(), [], 'nothing was started for nobody')
  await pidOf(second, 's')
  t.equal(await second.end(), 0)
  t.ok(isAlive(recycled))
  t.ok(isAlive(lookalike))
})

t.test('R18 a start that was under way is finished', async (t) => {
  const world = await makeWorld(t, { s: { env: { BOOT_MS: 1000 } } })
  const first = await world.begin()
  const request = pidOf(first, 's').catch(() => undefined)
  // The very moment at which it runs: what is recorded may not be written yet.
  await until(async () => (await world.noted()).length === 1, 'its process')
  await first.end('SIGKILL')
  await request
  const [pid] = world.running()
  const second = await world.begin()
  const answered = pidOf(second, 's')
  t.match(await line(second, 'instance.adopted', of('s')), { was: 'starting' })
  t.equal(await answered, pid, 'who comes meanwhile waits for it')
  t.equal((await world.noted()).length, 1, 'it was started once')
  await second.end()
})

t.test('R18 a process that no record knows is found by its cookie', async (t) => {
  const world = await makeWorld(t, { s: {}, gone: {} })
  const first = await world.begin()
  const [pid] = await Promise.all([pidOf(first, 's'), pidOf(first, 'gone')])
  await first.end('SIGKILL')
  await world.database((all) => all('DELETE FROM instance_states'))
  await world.configure({ s: {} })
  const second = await world.begin()
  await until(() => world.running('gone').length === 0, 'the end of what nobody is configured to look after')
  await until(async () => (await stateOf(second, 's')) === 'hot', 'the other to be hot')
  t.equal(await pidOf(second, 's'), pid)
  t.equal(await second.end(), 0)
  t.same(world.running(), [])
  t.same(world.outputs(), [])
})

t.test('R18 a start that was under way and never answers fails as any other', async (t) => {
  const world = await makeWorld(t, { s: { env: { BOOT_MS: 1_000_000 }, start: { timeout_ms: 600 } } })
  const first = await world.begin()
  const request = pidOf(first, 's').catch(() => undefined)
  await until(() => world.running('s').length === 1, 'its process')
  await first.end('SIGKILL')
  await request
  const second = await world.begin()
  t.match(await line(second, 'instance.start_failed', of('s')), { error: /not ready within 600 ms/ })
  await until(() => world.running().length === 0, 'the end of its process')
  t.equal(await stateOf(second, 's'), 'cold')
  t.equal((await world.noted()).filter((what) => what.startsWith('begin')).length, 1, 'nobody asked for another')
  await second.end()
})

t.test('R18 a stop that was under way is finished, and who comes meanwhile starts it anew', async (t) => {
  const world = await makeWorld(t, { s: { env: { STOP_MS: 1500 } } })
  const first = await world.begin()
  const pid = await pidOf(first, 's')
  await stop(first, 's')
  const isTold = async () => (await world.noted()).includes(`told ${pid}`)
  await until(isTold, 'it to be told to end')
  const stopping = () => world.database<{ state: string }[]>((all) => all('SELECT state FROM instance_states'))
  await until(async () => (await stopping())[0]?.state === 'stopping', 'that to be written')
  await first.end('SIGKILL')
  const second = await world.begin()
  const next = await pidOf(second, 's')
  t.not(next, pid)
  t.notOk(isAlive(pid))
  t.same(world.running('s'), [next])
  t.notOk((await world.noted()).some((what) => what.startsWith('conflict')))
  await second.end()
})

t.test('R18 shutdown: leave, a planned restart: services serve on', async (t) => {
  const world = await makeWorld(t, { s: {} })
  await world.configure({ s: {} }, { shutdown: 'leave' })
  const first = await world.begin()
  const pid = await pidOf(first, 's')
  t.equal(await first.end('SIGTERM'), 0)
  const direct = await fetch(`http://127.0.0.1:${world.ports.get('s')}/`)
  t.equal(Number(await direct.text()), pid, 'also while there is no gateway')
  const second = await world.begin()
  await line(second, 'instance.adopted', of('s'))
  t.equal(await pidOf(second, 's'), pid)
  t.equal(await second.end('SIGTERM'), 0)
  await world.configure({ s: {} })
  const third = await world.begin()
  t.equal(await pidOf(third, 's'), pid)
  t.equal(await third.end('SIGTERM'), 0)
  t.same(world.running(), [], 'shutdown: stop also ends what was adopted')
})

t.test('R16 R18 the configuration changed while there was no gateway', async (t) => {
  const world = await makeWorld(t, { moved: {}, changed: {}, removed: {}, off: {} })
  const first = await world.begin()
  const ids = ['moved', 'changed', 'removed', 'off']
  const pids = new Map(await Promise.all(ids.map(async (id) => [id, await pidOf(first, id)] as const)))
  await first.end('SIGKILL')
  const oldPort = world.ports.get('moved')!
  world.ports.set('moved', await freePort())
  await world.configure({
    moved: {},
    changed: { command: ['sh', '-c', `exec ${process.execPath} ${join(world.dir, 'service.mjs')}`] },
    off: { process: false },
  })
  const second = await world.begin()
  for (const id of ['moved', 'changed']) {
    await line(second, 'instance.adopted', of(id))
    t.equal(await pidOf(second, id), pids.get(id), `${id}: a hard setting counts at the next start`)
  }
  for (const id of ['removed', 'off']) await until(() => !isAlive(pids.get(id)!), `the end of ${id}`)
  await stop(second, 'moved')
  await until(async () => (await stateOf(second, 'moved')) === 'cold')
  t.not(await pidOf(second, 'moved'), pids.get('moved'))
  await t.rejects(fetch(`http://127.0.0.1:${oldPort}/`), 'it has moved')
  await until(
    async () =>
      (await world.database<unknown[]>((all) => all(`SELECT 1 FROM instance_states WHERE service_id = 'removed'`))).length === 0,
    'the record of what was removed to be gone',
  )
  await second.end('SIGKILL')

  await world.configure({ moved: { process: false }, changed: { process: false } }, { plugins: { process: false } })
  const third = await world.begin()
  t.match(await line(third, 'instance.not_adopted', of('changed')), { orphaned: true, level: 40, reason: /end it by hand/ })
  t.ok(isAlive(pids.get('changed')!))
  await third.end()
})

t.test('R18 a gateway that is started beside another takes nothing from it', async (t) => {
  const world = await makeWorld(t, { s: {} })
  const first = await world.begin()
  const pid = await pidOf(first, 's')
  await until(
    async () => (await world.database<unknown[]>((all) => all(`SELECT 1 FROM instance_states WHERE state = 'hot'`))).length === 1,
    'the record',
  )
  const second = await world.begin()
  await line(second, 'instance.not_adopted', of('s'))
  t.equal(await second.end(), 0)
  t.ok(isAlive(pid))
  t.equal(await pidOf(first, 's'), pid)
  await first.end()
})

/** A generator of numbers from 0 to below 1 that can be repeated (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

t.test(`R18 ${ROUNDS} kills at random moments under load`, { timeout: 60_000 + ROUNDS * 30_000 }, async (t) => {
  const seed = Number(process.env.ADOPTION_SEED ?? Date.now() % 1_000_000)
  t.comment(`ADOPTION_SEED=${seed}`)
  const random = randomFrom(seed)
  const world = await makeWorld(t, {
    always: {},
    fast: { idleMs: 100 },
    slow: { idleMs: 250, env: { BOOT_MS: 200, STOP_MS: 100 } },
  })
  const told: { type: string; service: string; time: number; writtenUntil: number }[] = []
  const worst = new Map<string, number>()
  const durations: number[] = []
  let always: number | undefined
  let answered = 0
  let adopted = 0
  for (let round = 0; round < ROUNDS; round++) {
    const beganAt = performance.now()
    const gateway = await world.begin()
    let over = false
    const load = ['always', 'fast', 'slow'].flatMap((id) =>
      [1, 2].map(async () => {
        while (!over) {
          const answer = await fetch(`${gateway.url}/services/${id}/`).catch(() => undefined)
          const text = await answer?.text().catch(() => undefined)
          if (answer?.status === 200 && text) answered++
          else if (answer && !over) t.fail(`round ${round}: ${id} answered ${answer.status}: ${text}`)
          if (id === 'always' && answer?.status === 200 && text) {
            if (always === undefined) always = Number(text)
            else if (Number(text) !== always) t.fail(`round ${round}: ${id} has pid ${text}, not ${always}`)
          }
          await new Promise((resolve) => setTimeout(resolve, random() * 400))
        }
      }),
    )
    // What was told before the database had all that there was is in it.
    let writtenUntil = 0
    const watch = async () => {
      while (!over) {
        const at = Date.now()
        const answer = await fetch(`${gateway.url}/__ready`).catch(() => undefined)
        const ready = (await answer?.json().catch(() => undefined)) as { store: { queued: number } } | undefined
        if (ready?.store.queued === 0) writtenUntil = at
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    load.push(watch())
    const killAt = performance.now() + random() * 900
    await until(() => {
      for (const id of ['always', 'fast', 'slow']) {
        const count = world.running(id).length
        if (count > 1) t.fail(`round ${round}: ${id} runs ${count} times`)
        worst.set(id, Math.max(worst.get(id) ?? 0, count))
      }
      return performance.now() > killAt
    }, 'the moment of the kill')
    over = true
    await gateway.end('SIGKILL')
    await Promise.all(load)
    adopted += gateway.lines.filter(({ type }) => type === 'instance.adopted').length
    for (const { type, service, time } of gateway.lines)
      if (/^instance\.(ready|stopped|adopted)$/.test(String(type)))
        told.push({ type: String(type), service: String(service), time: new Date(time as string).getTime(), writtenUntil })
    t.strictSame(await world.database((all) => all('PRAGMA integrity_check')), [{ integrity_check: 'ok' }])
    durations.push(performance.now() - beganAt)
  }
  t.same([...worst.values()], [1, 1, 1], 'each has run, and none of them twice')

  const rows = await world.database<{ kind: string; service_id: string; at: number }[]>((all) =>
    all(`SELECT kind, service_id, at FROM activities WHERE kind IN ('instance.ready', 'instance.stopped', 'instance.adopted')`),
  )
  const due = told.filter(({ time, writtenUntil }) => time < writtenUntil)
  // A line is written after its event, on a busy machine by a while; each row is one line's only.
  const left = new Set(rows.toSorted((a, b) => a.at - b.at))
  const missing = due.filter(({ type, service, time }) => {
    const row = [...left].find(
      ({ kind, service_id, at }) => kind === type && service_id === service && at <= time && time - at < 1000,
    )
    return row === undefined || !left.delete(row)
  })
  t.same(missing, [], 'no activity is missing')
  t.ok(due.length > 0, 'and there were some')

  const last = await world.begin()
  if (always !== undefined) t.equal(await pidOf(last, 'always'), always, 'one process over all gateways')
  await stop(last, 'always')
  await until(async () => {
    const states = await Promise.all(['always', 'fast', 'slow'].map((id) => stateOf(last, id)))
    return states.every((state) => state === 'cold')
  }, 'all to be cold')
  t.same(world.running(), [], 'none is orphaned')
  t.same(world.outputs(), [], 'nor what they wrote')
  t.same(
    (await world.noted()).filter((what) => what.startsWith('conflict')),
    [],
    'nobody fought for a port',
  )
  t.equal(await last.end(), 0)
  durations.sort((a, b) => a - b)
  const begun = (await world.noted()).filter((what) => what.startsWith('begin')).length
  t.comment(
    `${ROUNDS} rounds, ${answered} answers, ${begun} processes started, ${adopted} adopted, ${due.length} of ${told.length} activities due, ` +
      `median round ${Math.round(durations[durations.length >> 1]!)} ms`,
  )
})
