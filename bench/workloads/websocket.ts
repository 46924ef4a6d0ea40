import { once } from 'node:events'
import { WebSocket } from 'ws'
import { among } from '../contestants/contestant.ts'
import { caddy, haproxy, nginx } from '../contestants/debian.ts'
import { direct } from '../contestants/direct.ts'
import { hestia } from '../contestants/hestia.ts'
import { fastifyHttpProxy, httpProxy3 } from '../contestants/npm.ts'
import { interleave } from '../measure/rounds.ts'
import { median, percentile } from '../measure/statistics.ts'
import { below, figure } from '../report/section.ts'
import { startProgram } from '../upstreams/start.ts'
import type { Workload } from './workload.ts'

const MESSAGE = 'x'.repeat(64)

/** Times of many echoes, one after the other, in milliseconds. */
async function echoes(base: string, seconds: number): Promise<number[]> {
  const socket = new WebSocket(`${base.replace(/^http/, 'ws')}/echo`, { perMessageDeflate: false })
  await once(socket, 'open')
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  await new Promise<void>((resolve, reject) => {
    let sentAt = performance.now()
    socket.once('error', reject)
    socket.once('close', () => reject(new Error(`the WebSocket through ${base} was closed`)))
    socket.on('message', () => {
      const now = performance.now()
      times.push(now - sentAt)
      if (now > end) return resolve()
      sentAt = now
      return socket.send(MESSAGE)
    })
    socket.send(MESSAGE)
  })
  socket.terminate()
  return times
}

/** How long a message takes there and back. */
export const websocket: Workload = {
  id: 'f',
  name: 'websocket',
  async run(context) {
    const { rounds: count, seconds } = context.options
    const upstream = await startProgram('echo')
    const contestants = [direct, nginx, haproxy, caddy, fastifyHttpProxy, httpProxy3, hestia]
    try {
      return await among(contestants, upstream.port, context, async (running) => {
        const rounds = await interleave(running, count, async ({ base }, warming) => {
          const times = await echoes(base, warming ? 1 : seconds)
          return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) }
        })
        const toNginx = (name: string) =>
          median(rounds.get(name)!.map(({ p50 }, round) => p50 / (rounds.get('nginx')?.[round]?.p50 ?? Number.NaN)))
        return [
          {
            title: 'f. WebSocket echo',
            about: 'One connection, messages of 64 bytes, each sent when the one before is back.',
            columns: ['', 'p50 ms', 'p99 ms', 'p50 to nginx'],
            rows: [...rounds].map(([name, own]) => [
              name,
              figure(median(own.map(({ p50 }) => p50))),
              figure(median(own.map(({ p99 }) => p99))),
              figure(toNginx(name)),
            ]),
            targets: [below("p50, to nginx's", toNginx('hestia'), 2)],
          },
        ]
      })
    } finally {
      await upstream.end()
    }
  },
}
