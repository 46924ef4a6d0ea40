import { createServer } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../test/helpers/free-port.ts'
import { startHestia } from '../contestants/hestia.ts'
import type { Context } from '../context.ts'
import { ask } from '../measure/ask.ts'
import { start } from '../measure/children.ts'
import { percentile } from '../measure/statistics.ts'
import { below, figure, type Section } from '../report/section.ts'
import type { Workload } from './workload.ts'

const [SHORTEST_MS, LONGEST_MS] = [5, 500]
const PROGRAM = [process.execPath, join(import.meta.dirname, '../upstreams/slow-start.js')]

async function mustBe(status: number, url: string, method = 'GET'): Promise<void> {
  const answer = await ask(url, { method })
  if (answer.status !== status) throw new Error(`${method} ${url} was answered ${answer.status}: ${answer.body}`)
}

/** Stops a service and waits until it is cold. */
async function cool(url: string, service: string): Promise<void> {
  await mustBe(202, `${url}/v1/services/${service}/stop`, 'POST')
  for (;;) {
    const { body } = await ask(`${url}/v1/services/${service}/status`)
    if ((JSON.parse(body) as { state: string }).state === 'cold') return
    await sleep(5)
  }
}

/** From the moment in which a service that boots for so long listens, to its first answer at the client, in milliseconds. */
async function seenAfter(url: string, port: number, bootMs: number): Promise<number> {
  const service = createServer((_request, response) => response.end('ok'))
  const answered = mustBe(200, `${url}/services/booting/`)
  await sleep(bootMs)
  let listenedAt = 0
  service.listen(port, '127.0.0.1', () => (listenedAt = performance.now()))
  await answered
  const added = performance.now() - listenedAt
  await cool(url, 'booting')
  await new Promise((resolve) => service.close(resolve).closeAllConnections())
  return added
}

/** From nothing to the first answer of a real process, in milliseconds: through the gateway, which starts it. */
async function throughGateway(url: string): Promise<number> {
  const beganAt = performance.now()
  await mustBe(200, `${url}/services/process/`)
  const took = performance.now() - beganAt
  await cool(url, 'process')
  return took
}

/** The same by hand: started here, on the same core, and asked again and again until it answers. */
async function byHand(): Promise<number> {
  const port = await freePort()
  const beganAt = performance.now()
  const child = start('contestant', PROGRAM, { env: { PORT: String(port), HOST: '127.0.0.1' } })
  while (!(await ask(`http://127.0.0.1:${port}/`).catch(() => undefined))) await sleep(1)
  const took = performance.now() - beganAt
  await child.end()
  return took
}

const shares = (values: readonly number[]): string[] =>
  [0.5, 0.95, 0.99].map((part) => figure(percentile(values, part))).concat(String(values.length))

async function measure(context: Context): Promise<Section> {
  const { starts } = context.options
  const [port, processPort] = [await freePort(), await freePort()]
  const { url, child } = await startHestia(context, {
    probe: '/__ready',
    services: {
      booting: { base_url: `http://127.0.0.1:${port}`, health: { url: '/' } },
      process: { base_url: `http://127.0.0.1:${processPort}`, process: { command: PROGRAM }, health: { url: '/' } },
    },
  })
  try {
    await throughGateway(url)
    await seenAfter(url, port, SHORTEST_MS)
    // Evenly from the shortest to the longest; the order doesn't matter, as each begins cold.
    const boots = Array.from({ length: starts }, (_, index) => SHORTEST_MS + ((LONGEST_MS - SHORTEST_MS) * index) / starts)
    const seen: number[] = []
    for (const bootMs of boots) seen.push(await seenAfter(url, port, bootMs))
    const [gateway, hand]: [number[], number[]] = [[], []]
    for (let time = 0; time < Math.max(5, starts / 10); time++) {
      hand.push(await byHand())
      gateway.push(await throughGateway(url))
    }
    return {
      title: 'h. Cold start',
      about: `Time from the moment in which a service listens, after a boot of ${SHORTEST_MS} to ${LONGEST_MS} ms, to the answer at the client
that asked before; and from asking to the answer of a small Node process that has to be started.`,
      columns: ['', 'p50 ms', 'p95 ms', 'p99 ms', 'starts'],
      rows: [
        ['hestia, added to the boot', ...shares(seen)],
        ['hestia, starts a process', ...shares(gateway)],
        ['the same process by hand', ...shares(hand)],
      ],
      targets: [
        below('added, p50', percentile(seen, 0.5), 12, ' ms'),
        below('added, p95', percentile(seen, 0.95), 40, ' ms'),
        below('added, p99', percentile(seen, 0.99), 80, ' ms'),
      ],
    }
  } finally {
    await child.end()
  }
}

/** What is added to the time that a service itself needs to start. */
export const coldStart: Workload = {
  id: 'h',
  name: 'cold-start',
  letsSleep: true,
  run: async (context) => [await measure(context)],
}
