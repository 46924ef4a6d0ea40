import { createSocket } from 'node:dgram'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { openSqlite } from '../../plugins/store/sqlite.ts'
import { magicPacket, sendMagicPacket } from '../../plugins/wake-on-lan/magic-packet.ts'
import { probeOf, probeOnce } from '../../plugins/wake-on-lan/probe.ts'
import type { MachineStatus } from '../../schemas/wake-on-lan.ts'
import { freePort } from '../helpers/free-port.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

type Test = Parameters<typeof startGateway>[0]

const SERVICE = fileURLToPath(new URL('../fixtures/process-service.mjs', import.meta.url))
const MAC = 'b4:2e:99:00:00:01'
/** What this computer delivers to everybody on the loopback interface, if the socket may broadcast. */
const BROADCAST = '127.255.255.255'

interface Box {
  /** Listens for packets like a network card, whether the machine is up or not. */
  readonly wakePort: number
  readonly probePort: number
  readonly packets: Buffer[]
  /** How often it was told to sleep. */
  readonly slept: string[]
  isUp(): boolean
  shutDown(): Promise<void>
  /** Of a machine entry, as text. */
  entry(more?: Record<string, unknown>, wake?: Record<string, unknown>): string
}

/** A computer that is off: a packet makes it boot, after which a port of it takes connections; it sleeps when its command asks it to. */
async function makeBox(
  t: Test,
  { bootMs = 50, deafFor = 0, ignoresSleep = false, fallsAsleepMs = 0, commandHangs = false } = {},
): Promise<Box> {
  const packets: Buffer[] = []
  const slept: string[] = []
  const probePort = await freePort()
  let server: Server | undefined
  let booting: NodeJS.Timeout | undefined
  const sockets = new Set<Socket>()
  const boot = () => {
    booting = undefined
    server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    }).listen(probePort, '127.0.0.1')
  }
  const card = createSocket('udp4')
  card.on('message', (packet) => {
    packets.push(packet)
    if (!server && !booting && packets.length > deafFor) booting = setTimeout(boot, bootMs)
  })
  await new Promise<void>((resolve) => card.bind(0, '0.0.0.0', resolve))
  const shutDown = async () => {
    const old = server
    server = undefined
    for (const socket of sockets) socket.destroy()
    if (old) await new Promise((resolve) => old.close(resolve))
  }
  // The other end of its sleep command.
  const control = await httpUpstream(t, (request, response) => {
    slept.push(request.url ?? '')
    response.end('good night')
    if (!ignoresSleep) setTimeout(() => void shutDown(), fallsAsleepMs)
  })
  t.teardown(async () => {
    clearTimeout(booting)
    card.close()
    await shutDown()
  })
  const script = `fetch('${control.url}/' + process.env.HESTIA_MACHINE + '/' + process.env.HESTIA_ADDRESS)${commandHangs ? '; setTimeout(() => 0, 60_000)' : ''}`
  return {
    wakePort: card.address().port,
    probePort,
    packets,
    slept,
    isUp: () => server !== undefined,
    shutDown,
    entry: (more = {}, wake = {}) =>
      JSON.stringify({
        address: '127.0.0.1',
        mac: MAC,
        wake: { broadcast: BROADCAST, port: card.address().port, probe: `tcp://127.0.0.1:${probePort}`, resend_ms: 100, ...wake },
        sleep: [process.execPath, '-e', script],
        sleep_after_ms: 0,
        ...more,
      }),
  }
}

async function processService(more: Record<string, unknown> = {}, health = true): Promise<Record<string, unknown>> {
  return {
    base_url: `http://127.0.0.1:${await freePort()}`,
    machine: 'box',
    process: { command: plainNode(SERVICE) },
    ...(health ? { health: { tcp: true } } : {}),
    ...more,
  }
}

/** The same, brought up and down by commands. */
async function commandService(folder: string, more: Record<string, unknown> = {}) {
  const port = await freePort()
  const pidFile = join(folder, 'pid')
  const quoted = [...plainNode(SERVICE), '>', '/dev/null', '2>&1', '&'].join(' ')
  return {
    instances: [{ url: `http://127.0.0.1:${port}`, machine: 'box' }],
    command: {
      start: `${quoted} echo $! > ${pidFile}`,
      stop: `kill $(cat ${pidFile})`,
      env: { HOST: '127.0.0.1', PORT: String(port) },
    },
    health: { url: '/' },
    ...more,
  }
}

const configOf = (machines: Record<string, string>, services: Record<string, unknown>, options = '{}', store = '') => `
machines: {${Object.entries(machines)
  .map(([name, entry]) => `${name}: ${entry}`)
  .join(', ')}}
plugins: { wake-on-lan: ${options}${store && `, store: { file: ${store} }`} }
services: ${JSON.stringify(services)}
`

const machinesAt = async (gateway: RunningGateway) =>
  (await (await fetch(`${gateway.url}/v1/machines`)).json()) as MachineStatus[]
const states = (gateway: RunningGateway) =>
  gateway.events.flatMap((event) => (event.type === 'machine.state' ? [`${event.machine} ${event.to}`] : []))
const get = async (gateway: RunningGateway, id: string) => {
  const answer = await fetch(`${gateway.url}/services/${id}/`)
  const text = await answer.text()
  return answer.status === 200 ? 200 : `${answer.status} ${text}`
}

t.test('R19 a magic packet is six FF and sixteen times the address, and goes out as a broadcast', async (t) => {
  const packet = magicPacket(MAC)
  t.equal(packet.length, 102)
  t.same(packet.subarray(0, 6), Buffer.from('ffffffffffff', 'hex'))
  for (let i = 0; i < 16; i++) t.same(packet.subarray(6 + i * 6, 12 + i * 6), Buffer.from('b42e99000001', 'hex'))
  t.same(magicPacket('B4-2E-99-00-00-01'), packet)
  const box = await makeBox(t)
  await sendMagicPacket(MAC, BROADCAST, box.wakePort)
  await until(() => box.packets.length === 1, 'the packet')
  t.same(box.packets[0], packet)
  await t.rejects(sendMagicPacket(MAC, 'no-such-host.invalid', 9))
})

t.test('R19 probes: tcp, http, and any sign of life at the address', async (t) => {
  const { signal } = new AbortController()
  let status = 503
  const upstream = await httpUpstream(t, (_request, response) => response.writeHead(status).end())
  const closed = await freePort()
  t.equal(await probeOnce(probeOf(`tcp://127.0.0.1:${upstream.port}`, 'x'), signal), undefined)
  t.equal(await probeOnce(probeOf(`tcp://127.0.0.1:${closed}`, 'x'), signal), 'ECONNREFUSED')
  t.equal(await probeOnce(probeOf(`${upstream.url}/up`, 'x'), signal), 'status 503')
  status = 404
  t.equal(await probeOnce(probeOf(`${upstream.url}/up`, 'x'), signal), undefined)
  t.match(probeOf(undefined, '[::1]'), { host: '::1', port: 22, refusedIsFine: true })
  const refused = { ...probeOf(undefined, '127.0.0.1'), port: closed } as ReturnType<typeof probeOf>
  t.equal(await probeOnce(refused, signal), undefined, 'who refuses is there')
  t.match(probeOf('tcp://[::1]:2222', 'x'), { host: '::1', port: 2222, refusedIsFine: false })
  await t.rejects(probeOnce(refused, AbortSignal.abort(new Error('enough'))), { message: 'enough' })
})

t.test('R19 wake, start, probe, forward; the inverse when idle; each step with its duration in one timeline', async (t) => {
  const box = await makeBox(t, { bootMs: 200, deafFor: 1 })
  const gateway = await startGateway(t, {
    config: configOf(
      { box: box.entry(), other: '{ address: 10.0.0.1, capabilities: { gpu: true } }' },
      { a: await commandService(t.testdir({}), { idle: { timeout_ms: 200 } }) },
    ),
  })
  t.match(await machinesAt(gateway), [
    { name: 'box', state: 'unknown', since: null, available: true, wakes: true, sleeps: true, lastWakeMs: null },
    { name: 'other', state: 'unknown', wakes: false, sleeps: false, capabilities: { gpu: true }, services: [] },
  ])
  t.same(box.packets, [], 'nothing is woken before it is needed')
  t.equal(await get(gateway, 'a'), 200)
  t.ok(box.packets.length >= 2, 'it was sent again, as the first was not heard')
  const woken = await gateway.event('machine.woken')
  t.ok(woken.durationMs >= 300, `after resend_ms and the boot: ${woken.durationMs} ms`)
  t.match(await machinesAt(gateway), [
    { name: 'box', state: 'up', lastWakeMs: Math.round(woken.durationMs), services: [{ service: 'a', state: 'hot' }] },
    {},
  ])
  const steps = gateway.events.flatMap((event) => (event.type === 'instance.step' ? [event] : []))
  t.same(
    steps.map(({ plugin, attempt }) => [plugin, attempt]),
    [
      ['wake-on-lan', 1],
      ['command', 1],
      ['health', 1],
    ],
  )
  t.ok(steps[0]!.durationMs >= woken.durationMs)

  const { durationMs } = await gateway.event('machine.slept')
  t.ok(durationMs > 0)
  t.same(box.slept, ['/box/127.0.0.1'], 'the command knows whom it is for')
  t.notOk(box.isUp())
  const order = gateway.events.flatMap((event) =>
    event.type === 'instance.state' || event.type === 'machine.state' ? [`${event.type[0]} ${event.to}`] : [],
  )
  t.same(order, ['i starting', 'm waking', 'm up', 'i hot', 'i stopping', 'i cold', 'm sleeping', 'm off'])
  t.match((await machinesAt(gateway))[0], { state: 'off', available: true, since: /^20/ })

  const page = await until(async () => {
    const answer = await fetch(`${gateway.url}/v1/activities?service=a&kind=instance.step`)
    const { activities } = (await answer.json()) as { activities: { details: { plugin: string; durationMs: number } }[] }
    return activities.length === 3 ? activities : undefined
  }, 'the timeline')
  t.same(
    page.map(({ details }) => details.plugin),
    ['health', 'command', 'wake-on-lan'],
    'newest first',
  )
  t.ok(page[2]!.details.durationMs >= 300)
  const kinds = await until(async () => {
    const answer = await fetch(`${gateway.url}/v1/activities?kind=machine.`)
    const { activities } = (await answer.json()) as { activities: { kind: string; details: { machine: string } }[] }
    return activities.some(({ kind }) => kind === 'machine.slept') ? activities : undefined
  }, 'the machine in the timeline')
  t.ok(kinds.every(({ details }) => details.machine === 'box'))
  const whole = (await (await fetch(`${gateway.url}/v1/activities?limit=200`)).json()) as {
    activities: { kind: string; service_id: string | null; details: { durationMs?: number; plugin?: string } }[]
  }
  const timed = whole.activities
    .toReversed()
    .filter(({ kind, details }) => /^(instance|machine)\./.test(kind) && details.durationMs !== undefined)
  const start = timed.slice(0, timed.findIndex(({ kind }) => kind === 'instance.ready') + 1)
  t.same(
    start.map(({ kind, details }) => details.plugin ?? kind),
    ['machine.woken', 'wake-on-lan', 'command', 'health', 'instance.ready'],
    'one timeline of all three steps, and of the whole',
  )
  const took = start.map(({ details }) => details.durationMs!)
  t.ok(took[4]! >= took[1]! + took[2]! + took[3]!, `the whole is as long as its steps: ${took.map(Math.round).join(' ')}`)

  t.equal(await get(gateway, 'a'), 200, 'and again from the beginning')
})

t.test('R5 R19 three services share one wake-up; who leaves cancels it for nobody; the last to stop is waited for', async (t) => {
  const box = await makeBox(t, { bootMs: 400 })
  const services = { a: await processService(), b: await processService(), c: await processService() }
  const gateway = await startGateway(t, { config: configOf({ box: box.entry({}, { resend_ms: 60_000 }) }, services) })
  const leaver = new AbortController()
  const left = fetch(`${gateway.url}/services/a/`, { signal: leaver.signal }).catch(() => 'left')
  await gateway.event('machine.state', ({ to }) => to === 'waking')
  const answers = Promise.all(['a', 'b', 'c', 'b', 'c'].map((id) => get(gateway, id)))
  await until(() => gateway.instance('c').state === 'starting', 'all to wait')
  leaver.abort()
  t.equal(await left, 'left')
  t.same(await answers, [200, 200, 200, 200, 200])
  t.equal(box.packets.length, 1, 'one packet for all')
  t.same(states(gateway), ['box waking', 'box up'])

  await gateway.instance('a').stop('manual')
  await gateway.instance('b').stop('manual')
  t.same(box.slept, [])
  t.equal((await machinesAt(gateway))[0]!.state, 'up', 'one service still runs there')
  await gateway.instance('c').stop('manual')
  await gateway.event('machine.slept')
  t.equal(box.slept.length, 1)
})

t.test('R19 a start that comes while the machine falls asleep waits for that, then wakes it', async (t) => {
  const box = await makeBox(t, { fallsAsleepMs: 300 })
  const gateway = await startGateway(t, { config: configOf({ box: box.entry() }, { a: await processService() }) })
  t.equal(await get(gateway, 'a'), 200)
  await gateway.instance('a').stop('manual')
  await until(() => box.slept.length === 1, 'the command')
  t.ok(box.isUp(), 'it still answers, but not for long')
  t.equal(await get(gateway, 'a'), 200)
  t.same(
    states(gateway),
    ['waking', 'up', 'sleeping', 'off', 'waking', 'up'].map((state) => `box ${state}`),
  )
  t.equal(box.slept.length, 1)
})

t.test('R19 a start within sleep_after_ms keeps the machine up; a service that failed to start lets it sleep', async (t) => {
  const box = await makeBox(t)
  const broken = { ...(await processService()), process: { command: ['/no/such/program'] } }
  const services = { a: await processService(), broken }
  const gateway = await startGateway(t, { config: configOf({ box: box.entry({ sleep_after_ms: 400 }) }, services) })
  t.equal(await get(gateway, 'a'), 200)
  await gateway.instance('a').stop('manual')
  t.equal(await get(gateway, 'a'), 200)
  await gateway.instance('a').stop('manual')
  t.match(await get(gateway, 'broken'), /^503 .*no.such.program/)
  const cold = gateway.events.findLast((event) => event.type === 'instance.state' && event.to === 'cold')!
  const slept = await gateway.event('machine.state', ({ to }) => to === 'sleeping')
  t.ok(slept.at - cold.at >= 395, 'counted from the last one')
  t.same(states(gateway).slice(0, 3), ['box waking', 'box up', 'box sleeping'])
  await gateway.event('machine.slept')
})

t.test(
  'R7 R21 a machine that does not wake: the start fails in time, the fallback serves, others are preferred for a while',
  async (t) => {
    const box = await makeBox(t, { deafFor: Number.POSITIVE_INFINITY })
    const elsewhere = await httpUpstream(t, (_request, response) => response.end('elsewhere'))
    const gateway = await startGateway(t, {
      config: configOf(
        { box: box.entry({}, { timeout_ms: 300, retry_after_ms: 60_000 }), cloud: '{ address: 127.0.0.1 }' },
        {
          a: await processService({ fallback_url: elsewhere.url, start: { timeout_ms: 100 } }),
          b: {
            instances: [
              { name: 'here', url: `http://127.0.0.1:${await freePort()}`, machine: 'box' },
              { name: 'there', url: elsewhere.url, machine: 'cloud' },
            ],
            warmup_ms: 0,
          },
        },
        '{}',
        'hestia.sqlite',
      ),
    })
    const answer = await fetch(`${gateway.url}/services/a/`)
    t.equal(await answer.text(), 'elsewhere')
    const failed = await gateway.event('machine.wake_failed')
    t.ok(failed.durationMs >= 300, 'start.timeout_ms does not run while it is woken')
    t.ok(box.packets.length >= 3, 'sent again and again')
    t.match(failed.error, /^machine box did not wake within 300 ms \(machines\.box\.wake\.timeout_ms\): \d+ packets were sent/)
    t.match(await gateway.event('instance.start_failed'), { error: failed.error })
    t.match(
      gateway.events.find((event) => event.type === 'instance.step'),
      { plugin: 'wake-on-lan', error: failed.error },
      'the timeline says which step failed',
    )
    t.match((await machinesAt(gateway))[0], { state: 'off', available: false, lastError: failed.error })
    const packets = box.packets.length
    for (let i = 0; i < 4; i++) t.equal(await get(gateway, 'b'), 200)
    t.equal(box.packets.length, packets, 'nobody bothers the machine that did not wake')
    const status = (await (await fetch(`${gateway.url}/v1/services/b/status`)).json()) as {
      placement: { machine: string; reason: string }
    }
    t.match(status.placement, { machine: 'cloud', reason: '1 of 2 sites are not available' })
    const database = await openSqlite(join(gateway.dir, 'hestia.sqlite'))
    t.teardown(() => database.close())
    const stored = () => database.all('SELECT id, status FROM machines ORDER BY id')
    await until(async () => (await stored()).some(({ status }) => status === 'unavailable'), 'the table of machines')
    t.same(await stored(), [
      { id: 'box', status: 'unavailable' },
      { id: 'cloud', status: 'available' },
    ])
  },
)

t.test('R16 a reload in the middle of a wake-up: one wake-up, nobody is lost, the new settings count afterwards', async (t) => {
  const box = await makeBox(t, { bootMs: 600 })
  const services = { a: await processService(), b: await processService() }
  const gateway = await startGateway(t, {
    config: configOf({ box: box.entry({ sleep_after_ms: 60_000 }, { resend_ms: 60_000 }) }, services),
  })
  const first = get(gateway, 'a')
  await gateway.event('machine.state', ({ to }) => to === 'waking')
  await gateway.configure(configOf({ box: box.entry({}, { resend_ms: 60_000 }) }, services, '{ wake: { timeout_ms: 90000 } }'))
  await gateway.gateway.reload()
  t.equal(gateway.gateway.generation, 2)
  t.equal((await machinesAt(gateway))[0]!.state, 'waking')
  t.same(await Promise.all([first, get(gateway, 'b')]), [200, 200])
  t.equal(box.packets.length, 1)
  await Promise.all([gateway.instance('a').stop('manual'), gateway.instance('b').stop('manual')])
  await gateway.event('machine.slept')
  t.equal(box.slept.length, 1, 'after 0 ms, not after a minute')

  const before = gateway.events.length
  const again = get(gateway, 'a')
  await gateway.event('machine.state', ({ to }) => to === 'waking', before)
  await gateway.configure(configOf({ box: JSON.stringify({ address: '127.0.0.1', mac: MAC }) }, services, 'false'))
  await gateway.gateway.reload()
  t.equal((await fetch(`${gateway.url}/v1/machines`)).status, 404)
  t.equal(await again, 200, 'switched off meanwhile: who waited is served all the same')
})

t.test('R19 what could not be put to sleep is told, and the machine goes on', async (t) => {
  const box = await makeBox(t, { ignoresSleep: true })
  const dead = await makeBox(t)
  const gateway = await startGateway(t, {
    config: configOf(
      {
        box: box.entry({ sleep_timeout_ms: 1500 }),
        dead: dead.entry({ sleep: ['/no/such/program'] }),
        slow: dead.entry({ sleep: ['sleep', '60'], sleep_timeout_ms: 200 }),
      },
      {
        a: await processService(),
        b: await processService({ machine: 'dead' }),
        c: await processService({ machine: 'slow' }),
      },
    ),
  })
  t.same(await Promise.all(['a', 'b', 'c'].map((id) => get(gateway, id))), [200, 200, 200])
  await Promise.all(['a', 'b', 'c'].map((id) => gateway.instance(id).stop('manual')))
  t.match(await gateway.event('machine.sleep_failed', ({ machine }) => machine === 'box'), {
    error: /^it still answers 1500 ms later \(machines\.box\.sleep_timeout_ms\)/,
    retryAfterMs: 60_000,
  })
  t.match(await gateway.event('machine.sleep_failed', ({ machine }) => machine === 'dead'), {
    error: /"\/no\/such\/program" \(machines\.dead\.sleep\) could not be run/,
  })
  t.match(await gateway.event('machine.sleep_failed', ({ machine }) => machine === 'slow'), { error: /took longer than 200 ms/ })
  t.equal((await machinesAt(gateway))[0]!.state, 'up')
  t.equal(await get(gateway, 'a'), 200)
})

t.test(
  'R19 a command that hangs on the machine that it has put to sleep: the machine is off, and who needs it waits for nothing',
  async (t) => {
    const box = await makeBox(t, { commandHangs: true })
    const services = { a: await processService() }
    const gateway = await startGateway(t, { config: configOf({ box: box.entry({ sleep_timeout_ms: 3000 }) }, services) })
    t.equal(await get(gateway, 'a'), 200)
    await gateway.instance('a').stop('manual')
    await gateway.event('machine.slept')
    t.equal((await machinesAt(gateway))[0]!.state, 'off')
    const from = gateway.events.length
    t.equal(await get(gateway, 'a'), 200)
    await gateway.configure(configOf({ box: box.entry({ sleep_timeout_ms: 60_000 }) }, services))
    await gateway.gateway.reload()
    await gateway.instance('a').stop('manual')
    await until(() => box.slept.length === 2 && !box.isUp(), 'it to be gone')
    const beganAt = performance.now()
    t.equal(await get(gateway, 'a'), 200, 'woken, though the command still hangs')
    t.comment(`after ${Math.round(performance.now() - beganAt)} ms`)
    t.notOk(gateway.events.slice(from).some(({ type }) => type === 'machine.sleep_failed'))
  },
)

t.test('R19 a machine that vanishes under its services is not told to sleep, and is woken by the next request', async (t) => {
  const box = await makeBox(t)
  const gateway = await startGateway(t, { config: configOf({ box: box.entry() }, { a: await processService() }) })
  t.equal(await get(gateway, 'a'), 200)
  await box.shutDown()
  process.kill((gateway.instance('a').data.process as { pid: number }).pid, 'SIGKILL')
  await gateway.event('machine.state', ({ to }) => to === 'off')
  t.same(box.slept, [])
  t.same(
    states(gateway),
    ['waking', 'up', 'unknown', 'off'].map((state) => `box ${state}`),
  )
  await until(() => !gateway.instance('a').cooling, 'the pause after a crash')
  t.equal(await get(gateway, 'a'), 200)
  t.equal(box.packets.length >= 2, true, 'woken anew')
})

t.test('R19 the end of the gateway puts to sleep what it has stopped; with shutdown: leave it lets all run', async (t) => {
  for (const shutdown of ['stop', 'leave']) {
    const box = await makeBox(t)
    const gateway = await startGateway(t, {
      config: `shutdown: ${shutdown}\n${configOf({ box: box.entry({ sleep_after_ms: 60_000 }) }, { a: { ...(await processService()), process: undefined, warmup_ms: 0, health: undefined } })}`,
    })
    await gateway.instance('a').start()
    await gateway.close()
    t.equal(box.slept.length, shutdown === 'stop' ? 1 : 0)
  }
})

t.test('R17 keys of machines: defaults, overrides, and what is wrong with them', async (t) => {
  const machine = (more: string) => `
machines:
  gpu-box: { address: 127.0.0.1, ${more} }
plugins: { wake-on-lan: { wake: { timeout_ms: 90000 }, sleep_after_ms: 7 } }
services: {}
`
  const env = { HESTIA_MACHINES_GPU_BOX_WAKE_PORT: '7', HESTIA_MACHINES_GPU_BOX_SLEEP: 'ssh,box,suspend' }
  const gateway = await startGateway(t, { config: machine(`mac: "${MAC}", wake: { resend_ms: 500 }`), env })
  t.match(gateway.gateway.config.machines['gpu-box'], {
    mac: MAC,
    named: ['wake-on-lan'],
    sections: {
      'wake-on-lan': {
        wake: { broadcast: '255.255.255.255', port: 7, timeout_ms: 90_000, resend_ms: 500 },
        sleep: ['ssh', 'box', 'suspend'],
        sleep_after_ms: 7,
      },
    },
  })
  const wrong = async (config: string, message: RegExp) => {
    await gateway.configure(config)
    const thrown = await gateway.gateway.reload().catch((error: unknown) => error)
    t.match(thrown, { problems: [{ message, line: Number }] }, String(message))
  }
  await wrong(machine(`mac: "${MAC}", wake: { resend_mss: 5 }`), /unknown key; did you mean "resend_ms"\?/)
  await wrong(machine(`mac: "${MAC}", slep: [a]`), /unknown key; did you mean "sleep"\?/)
  await wrong(machine(`mac: "${MAC}", wake: { probe: "gpu-box:22" }`), /expected a probe as "tcp:\/\/host:22", or an http/)
  await wrong(machine(`mac: "${MAC}", wake: { probe: "tcp://gpu-box:99999" }`), /this is not a URL/)
  await wrong(machine('wake: {}'), /needs the "mac" of its network card/)
  await wrong(machine(`mac: "${MAC}", wake-on-lan: {}`), /stands directly under the machine: wake, sleep/)
  const off = machine(`mac: "${MAC}", wake: {}`).replace(/plugins: .*/, '')
  await wrong(off, /the plugin "wake-on-lan" is off; write "wake-on-lan: \{\}" under "plugins" to switch it on/)
  await wrong(`${off}plugins: { wake-on-lan: false }`, /is off; replace "wake-on-lan: false" by "wake-on-lan: \{\}"/)
  await gateway.write(
    'plugins/rival.ts',
    "import { Type } from 'hestia'\nexport default { name: 'rival', machine: Type.Object({ sleep: Type.String({ default: 'x' }) }), setup: () => undefined }",
  )
  await wrong(
    machine(`mac: "${MAC}"`).replace('sleep_after_ms: 7 }', 'sleep_after_ms: 7 }, rival: {}'),
    /its key "sleep" of machines belongs to the plugin "wake-on-lan" already/,
  )
})
