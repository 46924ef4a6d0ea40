import { createServer } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../test/helpers/free-port.ts'
import { until } from '../../test/helpers/until.ts'
import { serve } from '../contestants/contestant.ts'
import { startHestia } from '../contestants/hestia.ts'
import type { Context } from '../context.ts'
import { ask } from '../measure/ask.ts'
import { type Caller, call } from '../measure/callers.ts'
import type { Child } from '../measure/children.ts'
import { memoryOf, PROBED } from '../measure/memory.ts'
import { below, figure, type Target } from '../report/section.ts'
import type { Workload } from './workload.ts'

const WAVE = 100

interface Held {
  readonly callers: readonly Caller[]
  /** Growth per caller, in KiB. */
  readonly rss: number
  readonly heap: number
  readonly external: number
}

const leave = (callers: readonly Caller[]): void => {
  for (const { socket } of callers) socket.destroy()
}

/**
 * Lets that many ask and wait. They come in waves, each once the one before has arrived, as the order within what arrives at
 * once is anybody's.
 */
async function hold(base: string, count: number, child: Child, arrived: (count: number) => Promise<unknown>): Promise<Held> {
  const wave = (first: number, length: number) =>
    Promise.all(Array.from({ length }, (_, index) => call(base, `/${first + index}`)))
  // Some come and go first: what is compiled and allocated once is not theirs.
  const early = await wave(0, WAVE)
  await arrived(WAVE)
  leave(early)
  await arrived(0)
  const before = await memoryOf(child)
  const callers: Caller[] = []
  while (callers.length < count) {
    callers.push(...(await wave(callers.length, Math.min(WAVE, count - callers.length))))
    await arrived(callers.length)
  }
  const after = await memoryOf(child)
  const growth = (key: 'rss' | 'heapUsed' | 'external') => (after[key] - before[key]) / count / 1024
  return { callers, rss: growth('rss'), heap: growth('heapUsed'), external: growth('external') }
}

async function floor(context: Context): Promise<Held> {
  const port = await freePort()
  const base = `http://127.0.0.1:${port}`
  const program = [process.execPath, ...PROBED, join(import.meta.dirname, '../upstreams/hold.ts')]
  const { child } = await serve('node:http', base, program, { ipc: true, env: { PORT: String(port) } })
  try {
    const held = await hold(base, context.options.callers, child, () => sleep(5))
    leave(held.callers)
    return held
  } finally {
    await child.end()
  }
}

interface Answered extends Held {
  readonly inOrder: boolean
  readonly allAnsweredMs: number
  readonly ok: number
}

async function ours(context: Context): Promise<Answered> {
  const { callers: count } = context.options
  const [port, warmPort] = [await freePort(), await freePort()]
  const arrivals: number[] = []
  const service = createServer((request, response) => {
    // Hestia itself asks for health and for models.
    const number = /^\/(\d+)$/.exec(request.url!)?.[1]
    if (number !== undefined) arrivals.push(Number(number))
    response.end('ok')
  })
  const warm = createServer((_request, response) => response.end('ok')).listen(warmPort, '127.0.0.1')
  const { url, child } = await startHestia(context, {
    nodeArgs: PROBED,
    ipc: true,
    services: {
      bench: { base_url: `http://127.0.0.1:${warmPort}`, health: { tcp: true } },
      cold: {
        base_url: `http://127.0.0.1:${port}`,
        health: { url: '/health' },
        start: { timeout_ms: 600_000 },
        // One at a time, so that the order in which they are let through can be seen.
        queue: { size: count, timeout_ms: 600_000, concurrency: 1 },
      },
    },
  })
  try {
    const waiting = async () =>
      (JSON.parse((await ask(`${url}/v1/services/cold/status`)).body) as { queuePending: number }).queuePending
    const held = await hold(`${url}/services/cold`, count, child, (number) =>
      until(async () => (await waiting()) === number, `${number} callers to wait`, 60_000),
    )
    const beganAt = performance.now()
    service.listen(port, '127.0.0.1')
    const statuses = await Promise.all(held.callers.map(({ answered }) => answered))
    const allAnsweredMs = performance.now() - beganAt
    leave(held.callers)
    const waves = arrivals.map((number) => Math.floor(number / WAVE))
    const inOrder = arrivals.length === count && waves.every((wave, index) => index === 0 || wave >= waves[index - 1]!)
    return { ...held, inOrder, allAnsweredMs, ok: statuses.filter((status) => status === 200).length }
  } finally {
    await child.end()
    for (const server of [service, warm]) server.close().closeAllConnections()
  }
}

/** What those cost who wait for a service that is being started. */
export const waiting: Workload = {
  id: 'g',
  name: 'waiting',
  async run(context) {
    const { callers } = context.options
    const [bare, own] = [await floor(context), await ours(context)]
    const row = (name: string, { rss, heap, external }: Held) => [name, figure(rss), figure(heap), figure(external)]
    const answered: Target = {
      what: 'all answered, in order',
      measured: `${own.ok} in ${figure(own.allAnsweredMs)} ms, ${own.inOrder ? 'in order' : 'not in order'}`,
      wanted: `${callers}, in order`,
      reached: own.ok === callers && own.inOrder,
    }
    return [
      {
        title: `g. ${callers} callers held by a cold service`,
        about: `Growth of memory for each, after garbage collection, in KiB; node:http is a server that does nothing but hold
requests. Then the service starts, takes one request at a time, and all are answered.`,
        columns: ['', 'RSS KiB', 'heap KiB', 'external KiB'],
        rows: [row('node:http alone', bare), row('hestia', own)],
        targets: [
          below('for each: RSS, or heap and external if more', Math.max(own.rss, own.heap + own.external), 12, ' KiB'),
          answered,
        ],
      },
    ]
  },
}
