import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Pool } from 'undici'
import { isAlive } from '../helpers/alive.ts'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'

const SERVER = fileURLToPath(new URL('../fixtures/boot-server.mjs', import.meta.url))

interface Note {
  what: string
  pid: number
  at: number
}

/** A gateway with the service `s`, a real process, and the service's own journal of what happened to it. */
async function startWithService(t: Parameters<typeof startGateway>[0], env: Record<string, string | number> = {}, more = '') {
  const port = await freePort()
  const config = (journal: string) => `
services:
  s:
    base_url: http://127.0.0.1:${port}
    process:
      command: ${JSON.stringify(plainNode(SERVER))}
      env: ${JSON.stringify({ ...env, JOURNAL: journal })}
    health: { url: /health }
${more}`
  const gateway = await startGateway(t, { config: 'services: {}' })
  const journal = join(gateway.dir, 'journal.ndjson')
  await gateway.configure(config(journal))
  await gateway.gateway.reload()
  const notes = (what: string): Note[] =>
    readFileSync(journal, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Note)
      .filter((note) => note.what === what)
  return { ...gateway, notes, config: () => config(journal), url: `${gateway.url}/services/s` }
}

const getJson = async (url: string) => (await (await fetch(url)).json()) as { pid: number; path: string }

t.test('R5 promise 11: 100 callers at once on a cold service: one start, 100 right answers', async (t) => {
  const { url, notes, instance, port } = await startWithService(t, { BOOT_MS: 400 })
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 100 })
  t.teardown(() => pool.destroy())
  const answers = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const { statusCode, body } = await pool.request({ method: 'GET', path: `/services/s/number/${index}` })
      const answer = (await body.json()) as { pid: number; path: string }
      return { statusCode, ...answer }
    }),
  )
  t.equal(notes('begin').length, 1, 'one start')
  const [{ pid }] = notes('begin') as [Note]
  t.match(
    answers,
    Array.from({ length: 100 }, (_, index) => ({ statusCode: 200, pid, path: `/number/${index}`, turn: Number })),
  )
  t.equal(instance('s').inFlight, 0)
  t.equal(instance('s').waiting, 0)
  t.equal((await getJson(`${url}/x`)).pid, pid, 'and it stays up')
})

t.test('R6 promise 11: those who wait on a cold service are served in the order in which they came', async (t) => {
  const { url, events } = await startWithService(t, { BOOT_MS: 200 }, '    queue: { concurrency: 1 }')
  const answers = await Promise.all(
    Array.from({ length: 30 }, async (_, index) => {
      const answer = await fetch(`${url}/x`, { headers: { 'x-request-id': `caller-${index}` } })
      return { id: answer.headers.get('x-request-id'), turn: ((await answer.json()) as { turn: number }).turn }
    }),
  )
  const came = events.flatMap((event) => (event.type === 'request.routed' ? [event.requestId] : []))
  t.equal(came.length, 30)
  t.same(
    answers.toSorted((a, b) => a.turn - b.turn).map(({ id }) => id),
    came,
  )
})

t.test('R8: the first request reaches the service soon after it listens', async (t) => {
  const { url, notes, instance } = await startWithService(t, { BOOT_MS: 400 })
  const delays: number[] = []
  for (let round = 0; round < 7; round++) {
    await getJson(`${url}/x`)
    const [listening, first] = [notes('listening').at(-1)!, notes('first request').at(-1)!]
    t.equal(listening.pid, first.pid)
    delays.push(first.at - listening.at)
    await instance('s').stop('manual')
  }
  t.comment(`from listening to the first request, ms: ${delays.join(' ')}`)
  // The probe comes at most 250 ms apart; anything beyond that means that something else was waited for.
  // One round in seven may meet a machine that is busy with something else; what is too slow is slow in most of them.
  t.ok(delays.toSorted((a, b) => a - b)[3]! <= 100, `${delays}`)
})

t.test('R9 promise 10: a request that arrives while the service stops is answered, by the next one', async (t) => {
  const { url, notes, instance } = await startWithService(t, { BOOT_MS: 50, STOP_MS: 300 })
  const first = await getJson(`${url}/a`)
  const stopped = instance('s').stop('manual')
  await until(() => notes('told to end').length === 1, 'the service to be told')
  t.equal(instance('s').state, 'stopping')
  const second = await getJson(`${url}/b`)
  await stopped
  t.not(second.pid, first.pid)
  t.notOk(isAlive(first.pid))
  t.equal(notes('begin').length, 2)
})

t.test('R5 promise 12: who leaves neither cancels nor fails the start for the others', async (t) => {
  const { url, notes, instance } = await startWithService(t, { BOOT_MS: 300 })
  const controller = new AbortController()
  const leaver = fetch(`${url}/leaver`, { signal: controller.signal })
  await until(() => instance('s').waiting === 1)
  const stayer = getJson(`${url}/stayer`)
  await until(() => instance('s').waiting === 2)
  controller.abort()
  await t.rejects(leaver)
  await until(() => instance('s').waiting === 1, 'the leaver to be forgotten')
  t.equal((await stayer).path, '/stayer')
  t.equal(notes('begin').length, 1)
  t.match(notes('first request').length, 1)
})

t.test('R9: stopped after its quiet, not before, and started again by the next request', async (t) => {
  const { url, instance, notes } = await startWithService(t, { BOOT_MS: 20, DELAY_MS: 600 }, '    idle: { timeout_ms: 300 }')
  const first = await getJson(`${url}/slow`)
  t.equal(notes('told to end').length, 0, 'a request that takes longer than the quiet is no quiet')
  await until(() => instance('s').state === 'cold', 'the idle stop')
  t.notOk(isAlive(first.pid))
  t.not((await getJson(`${url}/x`)).pid, first.pid)
})

t.test('R9: an open stream keeps the service up', async (t) => {
  const { url, instance } = await startWithService(t, { BOOT_MS: 20 }, '    idle: { timeout_ms: 150 }')
  const controller = new AbortController()
  const stream = await fetch(`${url}/stream`, { signal: controller.signal })
  let events = 0
  const reading = (async () => {
    for await (const _ of stream.body!) events++
  })().catch(() => undefined)
  await until(() => events > 40, 'events for far longer than the quiet')
  t.equal(instance('s').state, 'hot')
  controller.abort()
  await reading
  await until(() => instance('s').state === 'cold', 'the idle stop once the stream has ended')
})

t.test(
  'promise 9: the pid of a running service is the same after reloads that do not concern it, and soft settings count',
  async (t) => {
    const { url, configure, config, gateway, instance } = await startWithService(t, { BOOT_MS: 20 })
    const { pid } = await getJson(`${url}/x`)
    await configure(`${config()}    idle: { timeout_ms: 100000 }\n  other: { base_url: "http://127.0.0.1:9", warmup_ms: 0 }\n`)
    await gateway.reload()
    t.equal((await getJson(`${url}/x`)).pid, pid)
    await configure(`${config()}    idle: { timeout_ms: 100 }\n`)
    await gateway.reload()
    await until(() => instance('s').state === 'cold', 'the new quiet to count at once')
  },
)

t.test('R7: attempts, then the fallback, then 503 with the cause; nobody drives a crash loop', async (t) => {
  const port = await freePort()
  const fallback = await freePort()
  const { url, configure, gateway, events, event } = await startGateway(t, {
    config: `
services:
  bad:
    base_url: http://127.0.0.1:${port}
    process: { command: [${process.execPath}, -e, "console.error('no such model'); process.exit(3)"] }
    health: { url: / }
    start: { attempts: 3, delay_ms: 10, cooldown_ms: 60000 }
`,
  })
  const refused = await fetch(`${url}/services/bad/x`)
  t.equal(refused.status, 503)
  t.ok(Number(refused.headers.get('retry-after')) >= 1)
  t.match(await refused.json(), { error: 'start_failed', message: /code 3/, attempts: 3, retry_after_ms: Number, service: 'bad' })
  t.equal(events.filter(({ type }) => type === 'instance.attempt').length, 3)
  t.equal((await fetch(`${url}/services/bad/x`)).status, 503)
  t.equal(events.filter(({ type }) => type === 'instance.attempt').length, 3, 'left alone meanwhile')

  const { createServer } = await import('node:http')
  const server = createServer((request, response) => response.end(`fallback ${request.url}`)).listen(fallback, '127.0.0.1')
  t.teardown(() => server.close())
  await configure(`
services:
  bad:
    base_url: http://127.0.0.1:${port}
    process: { command: [${process.execPath}, -e, "process.exit(3)"] }
    health: { tcp: true }
    fallback_url: http://127.0.0.1:${fallback}
`)
  await gateway.reload()
  t.equal(await (await fetch(`${url}/services/bad/x`)).text(), 'fallback /x')
  t.match(await event('request.fallback'), { service: 'bad', from: 'default', to: 'fallback' })
})

t.test('R12: a model that is mapped to no instance of the service is refused, with its line', async (t) => {
  const config = `
services:
  llm:
    instances: [{ url: "http://a:1" }, { url: "http://b:1" }]
    warmup_ms: 0
    strategy: model_router
    routing:
      by_model: { llama: "http://a:1", mistral: "http://c:1" }
`
  await t.rejects(startGateway(t, { config }), {
    message: /hestia_config\.yml:\d+:\d+ services\.llm\.routing: by_model\.mistral names "http:\/\/c:1"/,
  })
})

t.test('R16: a service or an instance that gets another name at the same place loses no request', async (t) => {
  const { url, configure, config, gateway, notes } = await startWithService(t, { BOOT_MS: 50, STOP_MS: 300 })
  const base = url.replace(/\/services\/s$/, '')
  const { pid } = await getJson(`${url}/x`)
  let answers = 0
  let failed = 0
  let over = false
  let id = 's'
  const clients = Array.from({ length: 4 }, async () => {
    while (!over) {
      const { status } = await fetch(`${base}/services/${id}/x`)
      // A request that named the service by its former name just when that ended is rightly told so.
      if (status === 200) answers++
      else if (status !== 404) failed++
    }
  })
  const renamed = config().replace(/base_url: (\S+)/, 'instances: [{ url: "$1", name: one }]')
  await configure(renamed)
  await gateway.reload()
  await until(() => notes('first request').length === 2, 'the start under the new name')
  await configure(renamed.replace('  s:', '  other:'))
  await gateway.reload()
  id = 'other'
  await until(() => notes('begin').length === 3, 'the start of the renamed service')
  const before = answers
  await until(() => answers > before + 10)
  over = true
  await Promise.all(clients)
  t.equal(failed, 0)
  t.notOk(isAlive(pid))
  t.equal(notes('told to end').length, 2)
})

t.test('R13: what Hestia does not start is reached again with the first request after it has come back', async (t) => {
  const port = await freePort()
  const { createServer } = await import('node:http')
  const { url } = await startGateway(t, {
    config: `services: { s: { base_url: "http://127.0.0.1:${port}", warmup_ms: 0, models: [] } }`,
  })
  for (let n = 0; n < 5; n++) t.equal((await fetch(`${url}/services/s/`)).status, 502)
  const server = createServer((_request, response) => response.end('back')).listen(port, '127.0.0.1')
  t.teardown(() => server.close())
  await until(() => server.listening)
  t.equal(await (await fetch(`${url}/services/s/`)).text(), 'back')
})

t.test('R16: the URL of what Hestia does not start counts at once', async (t) => {
  const { createServer } = await import('node:http')
  const [a, b] = await Promise.all(
    ['a', 'b'].map(async (name) => {
      const server = createServer((_request, response) => response.end(name)).listen(0, '127.0.0.1')
      t.teardown(() => server.close())
      await until(() => server.listening)
      return `http://127.0.0.1:${(server.address() as { port: number }).port}`
    }),
  )
  const config = (to: string) => `services: { s: { base_url: "${to}", warmup_ms: 0, models: [] } }`
  const { url, configure, gateway } = await startGateway(t, { config: config(a!) })
  t.equal(await (await fetch(`${url}/services/s/`)).text(), 'a')
  await configure(config(b!))
  await gateway.reload()
  t.equal(await (await fetch(`${url}/services/s/`)).text(), 'b')
})

t.test('R9: a removed service with an open stream goes when the time for requests under way is over', async (t) => {
  const { url, configure, gateway, instance } = await startWithService(t, { BOOT_MS: 20 })
  const s = instance('s')
  const stream = await fetch(`${url}/stream`)
  await configure('server: { drain_timeout_ms: 100 }\nservices: {}\n')
  await gateway.reload()
  await until(() => s.state === 'cold', 'the removed service to go')
  await stream.text().catch(() => undefined)
})
