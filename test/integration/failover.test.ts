import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Pool } from 'undici'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

const SERVER = fileURLToPath(new URL('../fixtures/boot-server.mjs', import.meta.url))

interface Answered {
  readonly method: string
  readonly sentAt: number
  readonly status: number
  /** Who answered; undefined when it was Hestia itself. */
  readonly pid: number | undefined
  readonly text: string
}

/** A process that nobody but the test looks after. */
function spawnServer(t: Parameters<typeof startGateway>[0], port: number): ChildProcess {
  const [program, ...args] = plainNode(SERVER)
  const env = { ...process.env, PORT: String(port), HOST: '127.0.0.1', BOOT_MS: '50', DELAY_MS: '100' }
  const child = spawn(program!, args, { env, stdio: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

const cases = [
  { title: 'load balancer, processes of Hestia', managed: true, more: 'load-balancer: { prefer_ready: false }' },
  { title: 'sticky, processes of Hestia', managed: true, more: 'strategy: sticky\n    routing: { header: x-client }' },
  { title: 'load balancer, processes that others look after', managed: false, more: '' },
  { title: 'least_busy, processes that others look after', managed: false, more: 'strategy: least_busy' },
]
const KINDS: readonly (readonly [method: 'GET' | 'DELETE' | 'POST', path: string])[] = [
  // Slow ones are in flight when it happens; a POST must not be sent twice, so that those in flight may be lost.
  ['GET', '/slow'],
  ['GET', '/x'],
  ['DELETE', '/x'],
  ['POST', '/x'],
]

for (const { title, managed, more } of cases) {
  t.test(`R13 ${title}: one of two killed with -9 under load; nobody notices, and it comes back by itself`, async (t) => {
    const ports = { a: await freePort(), b: await freePort() }
    const process_ = `process: { command: ${JSON.stringify(plainNode(SERVER))}, env: { BOOT_MS: "50", DELAY_MS: "100" } }`
    const { url, event, events, instance } = await startGateway(t, {
      config: `
services:
  s:
    instances:
      - { name: a, url: "http://127.0.0.1:${ports.a}" }
      - { name: b, url: "http://127.0.0.1:${ports.b}" }
    health: { url: /health, interval_ms: 50 }
    start: { timeout_ms: 1000, cooldown_ms: 200 }
    ${managed ? process_ : ''}
    ${more}
`,
    })
    const a = managed ? undefined : spawnServer(t, ports.a)
    if (!managed) spawnServer(t, ports.b)
    await until(
      () => Promise.all([instance('s', 'a').start(), instance('s', 'b').start()]).then(Boolean, () => false),
      'both to run',
    )
    const pool = new Pool(url, { connections: 16 })
    const answers: Answered[] = []
    let over = false
    t.teardown(() => {
      over = true
      return pool.close()
    })
    const client = async (number: number) => {
      const [method, path] = KINDS[number % KINDS.length]!
      while (!over) {
        const sentAt = performance.now()
        const headers = { 'x-client': `client-${number}` }
        const { statusCode: status, body } = await pool.request({ method, path: `/services/s${path}`, headers })
        const text = await body.text()
        answers.push({ method, sentAt, status, text, pid: (JSON.parse(text) as { pid?: number }).pid })
      }
    }
    const clients = Array.from({ length: 16 }, (_, number) => client(number))
    const pids = () => new Set(answers.flatMap(({ pid }) => pid ?? []))
    await until(() => pids().size === 2 && answers.length > 200, 'answers of both')
    const killed = a?.pid ?? [...pids()][0]!
    const before = pids()
    const from = events.length
    process.kill(killed, 'SIGKILL')
    await event('instance.health', ({ healthy }) => !healthy, from)
    const seenAt = performance.now()
    if (!managed) spawnServer(t, ports.a)
    const fromNew = () => answers.filter(({ pid }) => pid !== undefined && !before.has(pid)).length
    await until(() => fromNew() > 20, 'the traffic that the new process gets')
    over = true
    await Promise.all(clients)
    const lost = answers.filter(({ status }) => status !== 200)
    const must = lost.filter(({ method, sentAt }) => method !== 'POST' || sentAt > seenAt)
    t.same(must, [], 'all that could be repeated, or had not been sent, were answered')
    const isTold = lost.every(({ status }) => status === 502)
    t.ok(isTold, 'the others may have been processed, and are told so')
    t.equal(pids().size, 3)
    t.comment(`${answers.length} answers, ${lost.length} POST lost`)
  })
}

t.test('R13 health.unhealthy_status: what the service answers is passed on; the next request goes elsewhere', async (t) => {
  let isSick = true
  const a = await httpUpstream(t, (request, response) => {
    const isProbe = request.url === '/ready'
    response.writeHead(isSick ? 503 : 200, { 'x-own': 'header', 'retry-after': '7' }).end(isProbe ? '' : `a ${isSick}`)
  })
  const b = await httpUpstream(t, (_request, response) => response.end('b'))
  const config = (health: string) => `
services:
  s:
    instances: [{ name: a, url: "${a.url}" }, { name: b, url: "${b.url}" }]
    health: { url: /ready, interval_ms: 20, ${health} }
`
  const { url, instance, event, configure, gateway, events } = await startGateway(t, {
    config: config("unhealthy_status: [502, '503-504'], unhealthy_after: 2"),
  })
  isSick = false
  await Promise.all([instance('s', 'a').start(), instance('s', 'b').start()])
  isSick = true
  const get = async () => {
    const answer = await fetch(`${url}/services/s/x`)
    return `${answer.status} ${await answer.text()} ${answer.headers.get('x-own')} ${answer.headers.get('retry-after')}`
  }
  const first = [await get(), await get(), await get(), await get()].toSorted()
  t.same(first, ['200 b null null', '200 b null null', '503 a true header 7', '503 a true header 7'], 'unchanged')
  t.match(await event('instance.health', ({ healthy }) => !healthy), { instance: 'a', reason: 'it answered 503' })
  t.equal(instance('s', 'a').state, 'hot', 'it goes on running')
  for (let i = 0; i < 6; i++) t.equal(await get(), '200 b null null')
  isSick = false
  await event('instance.health', ({ healthy, reason }) => healthy && reason.includes('good probe'))
  t.same([await get(), await get()].toSorted(), ['200 a false header 7', '200 b null null'], 'a good probe brings it back')

  isSick = true
  const from = events.length
  const again = [await get(), await get()]
  t.ok(again.includes('503 a true header 7'))
  t.ok(instance('s', 'a').healthy, 'what was before its recovery no longer counts')
  await configure(config('timeout_ms: 1000'))
  await gateway.reload()
  for (let i = 0; i < 6; i++) await get()
  t.ok(instance('s', 'a').healthy, 'without the option its 503 is its own business')
  t.equal(events.slice(from).filter(({ type }) => type === 'instance.health').length, 0)
})

t.test('R13 health.active: an instance that runs is probed all the time, and avoided before any request fails', async (t) => {
  let probes = 0
  let isSick = false
  const a = await httpUpstream(t, (request, response) => {
    if (request.url === '/ready') probes++
    response.writeHead(request.url === '/ready' && isSick ? 500 : 200).end('a')
  })
  const b = await httpUpstream(t, (_request, response) => response.end('b'))
  const config = (active: boolean) => `
services:
  s:
    instances: [{ name: a, url: "${a.url}" }, { name: b, url: "${b.url}" }]
    health: { url: /ready, interval_ms: 10, active: ${active}, unhealthy_after: 2, healthy_after: 3 }
`
  const { url, instance, event, configure, gateway } = await startGateway(t, { config: config(true) })
  await Promise.all([instance('s', 'a').start(), instance('s', 'b').start()])
  await until(() => probes > 5, 'probes of one that is well')
  isSick = true
  t.match(await event('instance.health', ({ healthy }) => !healthy), { instance: 'a', reason: /^2 bad probe.*: status 500$/ })
  for (let i = 0; i < 4; i++) t.equal(await (await fetch(`${url}/services/s/x`)).text(), 'b')
  isSick = false
  await event('instance.health', ({ healthy, reason }) => healthy && reason.startsWith('3 good probe'))
  await instance('s', 'a').stop('manual')
  const asleep = probes
  await new Promise((resolve) => setTimeout(resolve, 60))
  t.ok(probes <= asleep + 1, 'nobody probes what does not run')
  await instance('s', 'a').start()
  await until(() => probes > asleep + 5, 'probes again')
  await configure(config(false))
  await gateway.reload()
  // A probe may be under way while the old generation ends.
  await new Promise((resolve) => setTimeout(resolve, 30))
  const off = probes
  await new Promise((resolve) => setTimeout(resolve, 60))
  t.equal(probes, off, 'switched off')
})

t.test('R13 one that runs elsewhere and goes away is passed over, and taken again when it is back', async (t) => {
  const a = await httpUpstream(t, (_request, response) => response.end('a'))
  const b = await httpUpstream(t, (_request, response) => response.end('b'))
  const { url, instance } = await startGateway(t, {
    config: `
services:
  s:
    instances: [{ name: a, url: "${a.url}" }, { name: b, url: "${b.url}" }]
    health: { tcp: true, interval_ms: 20 }
    start: { timeout_ms: 200, cooldown_ms: 50 }
`,
  })
  await Promise.all([instance('s', 'a').start(), instance('s', 'b').start()])
  const get = async () => {
    const answer = await fetch(`${url}/services/s/x`, { method: 'POST', body: 'text' })
    return `${answer.status} ${await answer.text()}`
  }
  await a.close()
  for (let i = 0; i < 10; i++) t.equal(await get(), '200 b', 'nothing of it had been sent, so that it could go elsewhere')
  const server = createServer((_request, response) => response.end('a again')).listen(a.port, '127.0.0.1')
  t.teardown(() => server.close())
  await until(async () => (await get()) === '200 a again', 'it to be taken again')
  server.closeAllConnections()
})
