import { among, type Running } from '../contestants/contestant.ts'
import { caddy, haproxy, nginx } from '../contestants/debian.ts'
import { direct } from '../contestants/direct.ts'
import { hestia } from '../contestants/hestia.ts'
import { fastifyHttpProxy, httpProxy3 } from '../contestants/npm.ts'
import type { Context } from '../context.ts'
import { ask } from '../measure/ask.ts'
import { usageOf, watchMemory } from '../measure/processes.ts'
import { interleave } from '../measure/rounds.ts'
import { median, medianRatio, spread } from '../measure/statistics.ts'
import { download, upload } from '../measure/transfer.ts'
import { atLeast, below, figure, percent, type Section } from '../report/section.ts'
import { startProgram } from '../upstreams/start.ts'
import type { Workload } from './workload.ts'

const MIB = 100
const BYTES = MIB * 2 ** 20
const TIMES = 3

type Direction = 'down' | 'up'

interface Transferred {
  readonly mibPerSecond: number
  readonly growthMiB: number
  readonly cpuMs: number
}

const transfer = (direction: Direction, base: string): Promise<number> =>
  direction === 'down' ? download(base, '/big', BYTES) : upload(base, '/', BYTES)

/** Some transfers one after the other. Memory counts from before the first that this process has ever made. */
async function transferred({ base, child }: Running, direction: Direction, idleMiB: number): Promise<Transferred> {
  const peak = child ? watchMemory(child.pid) : () => Number.NaN
  const before = child ? usageOf(child.pid).cpuUs : Number.NaN
  const times: number[] = []
  for (let time = 0; time < TIMES; time++) times.push(await transfer(direction, base))
  const cpuMs = child ? (usageOf(child.pid).cpuUs - before) / TIMES / 1000 : Number.NaN
  return { mibPerSecond: MIB / (median(times) / 1000), growthMiB: peak() - idleMiB, cpuMs }
}

/** After some small requests, so that what each allocates once is there. */
async function idleMemory({ base, child }: Running): Promise<number> {
  for (let time = 0; time < 200; time++) await ask(`${base}/`)
  return child ? usageOf(child.pid).rssMiB : Number.NaN
}

async function oneWay(direction: Direction, context: Context): Promise<Section> {
  const contestants = [direct, nginx, haproxy, caddy, fastifyHttpProxy, httpProxy3, hestia]
  const upstream = await startProgram('plain', { BIG_MIB: String(MIB) })
  try {
    return await among(contestants, upstream.port, context, async (running) => {
      const idle = new Map<string, number>()
      for (const each of running) idle.set(each.name, await idleMemory(each))
      // What the first transfer of all makes a process grow counts as well.
      const growths = new Map<string, number>(running.map(({ name }) => [name, 0]))
      const rounds = await interleave(running, context.options.rounds, async (contestant) => {
        const result = await transferred(contestant, direction, idle.get(contestant.name)!)
        growths.set(contestant.name, Math.max(growths.get(contestant.name)!, result.growthMiB))
        return result
      })
      const speeds = (name: string) => rounds.get(name)?.map(({ mibPerSecond }) => mibPerSecond) ?? []
      const ratio = (name: string, other: string) => medianRatio(speeds(name), speeds(other))
      return {
        title: `d. ${MIB} MiB ${direction}`,
        about: `${TIMES} transfers a round, each on a connection of its own; growth of memory at its greatest, over what it was after 200 small requests.`,
        columns: ['', 'MiB/s', 'spread', 'to nginx', 'CPU ms/transfer', 'RSS growth MiB'],
        rows: [...rounds].map(([name, own]) => [
          name,
          figure(median(speeds(name))),
          percent(spread(speeds(name))),
          figure(ratio(name, 'nginx')),
          figure(median(own.map(({ cpuMs }) => cpuMs))),
          figure(growths.get(name)!),
        ]),
        targets: [
          atLeast(`${direction}, to nginx`, ratio('hestia', 'nginx'), 0.6),
          below(`${direction}, RSS growth`, growths.get('hestia')!, 32, ' MiB'),
        ],
      }
    })
  } finally {
    await upstream.end()
  }
}

/** Large bodies both ways. */
export const largeTransfer: Workload = {
  id: 'd',
  name: 'transfer',
  run: async (context) => [await oneWay('down', context), await oneWay('up', context)],
}
