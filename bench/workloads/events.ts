import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../test/helpers/until.ts'
import { among, type Running } from '../contestants/contestant.ts'
import { caddy, haproxy, nginx } from '../contestants/debian.ts'
import { direct } from '../contestants/direct.ts'
import { hestia } from '../contestants/hestia.ts'
import { fastifyHttpProxy } from '../contestants/npm.ts'
import { interleave } from '../measure/rounds.ts'
import { median, medianRatio, percentile } from '../measure/statistics.ts'
import { below, figure } from '../report/section.ts'
import { serveEvents } from '../upstreams/events.ts'
import type { Workload } from './workload.ts'

const STREAMS = 200
const RATE = 50
/** So often all streams are opened and closed before anything counts: compilers look at what has been done some thousand times. */
const WARM_UPS = 15
/** Rounds for each that was asked for: one disturbance of the machine decides the latest hundredth of a round. */
const ROUNDS = 3
const EVENT = /\{"at":(\d+)\}\n/g

/** Reads a stream of events and tells of each how old it is, in milliseconds. */
function read(base: string, onEvent: (ageMs: number) => void): Socket {
  const { port, pathname } = new URL(`${base}/events`)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n`)
  let rest = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    const now = process.hrtime.bigint()
    const text = rest + chunk
    let end = 0
    for (const match of text.matchAll(EVENT)) {
      onEvent(Number(now - BigInt(match[1]!)) / 1e6)
      end = match.index + match[0].length
    }
    rest = text.slice(end)
  })
  socket.on('error', () => undefined)
  return socket
}

interface Streams {
  /** Ages of what comes from now on, until it is called again. */
  count(): number[]
  close(): void
}

/** Opens all streams, and waits until every one flows. */
async function openAll({ name, base }: Running): Promise<Streams> {
  const seen = new Set<number>()
  let ages: number[] = []
  const sockets = Array.from({ length: STREAMS }, (_, index) =>
    read(base, (ageMs) => {
      if (seen.size < STREAMS) seen.add(index)
      else ages.push(ageMs)
    }),
  )
  const close = () => {
    for (const socket of sockets) socket.destroy()
  }
  try {
    await until(() => seen.size === STREAMS, `${STREAMS} streams through ${name}`)
  } catch (error) {
    close()
    throw error
  }
  const count = () => {
    ages = []
    return ages
  }
  return { count, close }
}

async function warmUp(contestant: Running): Promise<void> {
  for (let time = 0; time < WARM_UPS; time++) (await openAll(contestant)).close()
}

/** Ages of all events of some seconds, once every stream is open and flows. */
async function agesOf(contestant: Running, seconds: number): Promise<number[]> {
  const streams = await openAll(contestant)
  try {
    await sleep(300)
    const ages = streams.count()
    await sleep(seconds * 1000)
    const expected = STREAMS * RATE * seconds
    if (ages.length < expected / 2) throw new Error(`${ages.length} of ${expected} events came through ${contestant.name}`)
    return ages
  } finally {
    streams.close()
  }
}

/** How much later events arrive when somebody is in between. */
export const events: Workload = {
  id: 'e',
  name: 'events',
  async run(context) {
    const { rounds: count, seconds } = context.options
    const upstream = await serveEvents(RATE)
    const contestants = [direct, nginx, haproxy, caddy, fastifyHttpProxy, hestia]
    try {
      return await among(contestants, upstream.port, context, async (running) => {
        const rounds = await interleave(running, count * ROUNDS, async (contestant, warming) => {
          if (warming) await warmUp(contestant)
          const ages = await agesOf(contestant, warming ? 1 : seconds)
          return { p50: percentile(ages, 0.5), p99: percentile(ages, 0.99) }
        })
        const added = (name: string, key: 'p50' | 'p99') =>
          median((rounds.get(name) ?? []).map((own, round) => own[key] - rounds.get('direct')![round]![key]))
        const p99s = (name: string) => (rounds.get(name) ?? []).map((own) => own.p99)
        return [
          {
            title: `e. Server-sent events, ${STREAMS} streams of ${RATE} a second`,
            about: 'Age of an event when it arrives: it holds the time at which the service wrote it.',
            columns: ['', 'p50 ms', 'p99 ms', 'added to the p50, ms', 'added to the p99, ms'],
            rows: [...rounds].map(([name, own]) => [
              name,
              figure(median(own.map((round) => round.p50))),
              figure(median(p99s(name))),
              name === 'direct' ? '–' : figure(added(name, 'p50')),
              name === 'direct' ? '–' : figure(added(name, 'p99')),
            ]),
            targets: [
              below('added to the p50', added('hestia', 'p50'), 0.35, ' ms'),
              below("p99, to caddy's", medianRatio(p99s('hestia'), p99s('caddy')), 1),
            ],
          },
        ]
      })
    } finally {
      upstream.end()
    }
  },
}
