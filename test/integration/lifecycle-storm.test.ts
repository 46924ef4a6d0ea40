import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { isAlive } from '../helpers/alive.ts'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'

const SERVER = fileURLToPath(new URL('../fixtures/device-service.mjs', import.meta.url))
const STORM_MS = 6000
const NAMES = ['a', 'b', 'alone']

/** Numbers from 0 to 1 that a seed decides (xorshift), so that a storm can be had again. */
function randomFrom(seed: number): () => number {
  let state = seed | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

t.test(
  'R5 R9 R28 whatever starts, stops, kills and reconfigures services at once: all is answered, nothing is left over',
  async (t) => {
    const seed = Number(process.env.STORM_SEED ?? Date.now() % 1_000_000)
    t.comment(`STORM_SEED=${seed}`)
    const random = randomFrom(seed)
    const anyName = () => NAMES[Math.floor(random() * NAMES.length)]!
    const ports = new Map<string, number>()
    for (const name of NAMES) ports.set(name, await freePort())
    const gateway = await startGateway(t, { config: 'services: {}' })
    const { url, instance, configure, events } = gateway
    const config = (n: number) =>
      JSON.stringify({
        plugins: { exclusive: { groups: { gpu: { capacity: 1 } } } },
        services: Object.fromEntries(
          NAMES.map((name) => [
            name,
            {
              base_url: `http://127.0.0.1:${ports.get(name)}`,
              process: {
                command: plainNode(SERVER),
                env: { NAME: name, JOURNAL: join(gateway.dir, 'journal'), BOOT_MS: 20, STOP_MS: 10 },
              },
              health: { url: '/' },
              queue: { size: 6, timeout_ms: 10_000, concurrency: n % 3 },
              idle: { timeout_ms: 40 + n },
              start: { attempts: 2, cooldown_ms: 50, abandon: n % 2 === 0 ? 'finish' : 'abort', linger_ms: 5 },
              ...(name === 'alone' ? {} : { exclusive: { group: 'gpu', max_wait_ms: 500 + n } }),
            },
          ]),
        ),
      })
    await configure(config(0))
    await gateway.gateway.reload()
    const pidOf = (name: string) => (instance(name).data.process as { pid?: number } | undefined)?.pid

    const answers = new Map<number | 'left', number>()
    const ask = (name: string) =>
      new Promise<void>((resolve) => {
        const count = (what: number | 'left') => {
          answers.set(what, (answers.get(what) ?? 0) + 1)
          resolve()
        }
        const request = httpRequest(`${url}/services/${name}/?ms=${Math.floor(random() * 40)}`, { agent: false }, (response) => {
          response.resume().once('close', () => count(response.statusCode!))
        })
        request.once('error', () => count('left')).end()
        if (random() < 0.15) setTimeout(() => request.destroy(new Error('enough')), random() * 80)
      })

    const end = performance.now() + STORM_MS
    const isOver = () => performance.now() > end
    const clients = Array.from({ length: 14 }, async () => {
      while (!isOver()) {
        await ask(anyName())
        if (random() < 0.3) await sleep(random() * 200)
      }
    })
    let reloads = 0
    const deeds: ((name: string) => unknown)[] = [
      (name) => fetch(`${url}/v1/services/${name}/stop`, { method: 'POST' }),
      (name) => fetch(`${url}/v1/services/${name}/start`, { method: 'POST' }),
      (name: string) => {
        const pid = pidOf(name)
        if (pid !== undefined && isAlive(pid)) process.kill(pid, 'SIGKILL')
      },
      async () => {
        await configure(config(++reloads))
        await gateway.gateway.reload()
      },
    ]
    const disorder = (async () => {
      while (!isOver()) {
        await Promise.resolve(deeds[Math.floor(random() * deeds.length)]!(anyName()))
        await sleep(40 + random() * 100)
      }
    })()
    const pids = new Map<number, string>()
    const together = new Set<string>()
    const eye = setInterval(() => {
      for (const name of NAMES) {
        const pid = pidOf(name)
        if (pid !== undefined) pids.set(pid, name)
      }
      for (const pid of pids.keys()) if (!isAlive(pid)) pids.delete(pid)
      const up = [...pids.values()].filter((name) => name !== 'alone')
      if (up.length > 1) together.add(up.toSorted().join('+'))
    }, 5)
    await Promise.all([...clients, disorder])
    await until(() => NAMES.every((name) => instance(name).state === 'cold'), 'all to be cold again')
    clearInterval(eye)

    t.comment(`${JSON.stringify([...answers])}, ${reloads} reloads`)
    t.ok((answers.get(200) ?? 0) > 20)
    const odd = [...answers.keys()].filter((status) => status !== 'left' && ![200, 502, 503].includes(status))
    t.same(odd, [], 'a service that was killed, could not start, or had too many in line; nothing else')
    for (const name of NAMES) {
      const { inFlight, waiting } = instance(name)
      t.same({ inFlight, waiting }, { inFlight: 0, waiting: 0 }, name)
    }
    t.same([...together], [], 'never two on one device')
    t.same([...pids.keys()].filter(isAlive), [], 'no process is left')
    t.same(
      events.filter(({ type }) => type === 'hook.failed'),
      [],
    )
    const failed = new Set(events.flatMap((event) => (event.type === 'request.failed' ? [event.code] : [])))
    for (const code of ['internal_error', 'queue_timeout']) t.notOk(failed.has(code), `${code} is no answer here`)
  },
)
