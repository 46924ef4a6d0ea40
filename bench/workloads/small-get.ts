import { among, type Running } from '../contestants/contestant.ts'
import { caddy, haproxy, nginx } from '../contestants/debian.ts'
import { direct } from '../contestants/direct.ts'
import { hestia, hestiaCompiled, hestiaProxyOnly, isCompiled } from '../contestants/hestia.ts'
import { fastifyHttpProxy, fastProxy, httpProxy3 } from '../contestants/npm.ts'
import type { Context } from '../context.ts'
import type { Reading } from '../measure/reading.ts'
import type { Rounds } from '../measure/rounds.ts'
import { median } from '../measure/statistics.ts'
import { atLeast, below, figure, type Section } from '../report/section.ts'
import { startFast } from '../upstreams/start.ts'
import { COLUMNS, ratio, readings, rows } from './throughput.ts'
import type { Workload } from './workload.ts'

const CONTESTANTS = [
  ...[direct, nginx, haproxy, caddy, fastifyHttpProxy, httpProxy3, fastProxy, hestia, hestiaProxyOnly],
  ...(isCompiled() ? [hestiaCompiled] : []),
]

/** How much later half of the answers are there than without anybody in between, in milliseconds. */
function addedMs(rounds: Rounds<Reading>, name: string): number {
  const base = rounds.get('direct')!
  return median(rounds.get(name)!.map(({ p50Ms }, round) => p50Ms - base[round]!.p50Ms))
}

async function manyConnections(running: readonly Running[], context: Context): Promise<Section> {
  const rounds = await readings(running, '/', { connections: 64 }, context)
  const to = (name: string) => ratio(rounds, 'hestia', name)
  return {
    title: 'a. Small GET, 64 connections',
    about: 'An answer of 1 KiB. Every contestant has one core.',
    columns: COLUMNS,
    rows: rows(rounds),
    targets: [
      atLeast('to nginx (aim: 0.35)', to('nginx'), 0.25),
      atLeast('to @fastify/http-proxy', to('@fastify/http-proxy'), 2),
      atLeast('to http-proxy-3', to('http-proxy-3'), 2),
      atLeast('to fast-proxy', to('fast-proxy'), 1.3),
      atLeast('to caddy', to('caddy'), 1),
      atLeast('all standard plugins, to proxy only', to('hestia, proxy only'), 0.9),
    ],
  }
}

async function oneConnection(running: readonly Running[], context: Context): Promise<Section> {
  const rounds = await readings(running, '/', { connections: 1 }, context)
  return {
    title: 'a. Small GET, one connection',
    about: 'The same, one request after the other; what each adds to the p50 of asking directly.',
    columns: ['', 'p50 ms', 'added to the p50, ms', 'p99 ms'],
    rows: [...rounds].map(([name, own]) => [
      name,
      figure(median(own.map(({ p50Ms }) => p50Ms))),
      name === 'direct' ? '–' : figure(addedMs(rounds, name)),
      figure(median(own.map(({ p99Ms }) => p99Ms))),
    ]),
    targets: [below('added to the p50', addedMs(rounds, 'hestia'), 0.25, ' ms')],
  }
}

/** What forwarding itself costs. */
export const smallGet: Workload = {
  id: 'a',
  name: 'small-get',
  async run(context) {
    const upstream = await startFast(context)
    try {
      return await among(CONTESTANTS, upstream.port, context, async (running) => [
        await manyConnections(running, context),
        await oneConnection(running, context),
      ])
    } finally {
      await upstream.end()
    }
  },
}
