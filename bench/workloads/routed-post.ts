import { type Contestant, endRunning, startAll } from '../contestants/contestant.ts'
import { caddy, haproxy, nginx } from '../contestants/debian.ts'
import { direct } from '../contestants/direct.ts'
import { portkey } from '../contestants/npm.ts'
import { ROUTED, startRoutingHestia, UNROUTED } from '../contestants/routing-hestia.ts'
import type { Context } from '../context.ts'
import type { Reading } from '../measure/reading.ts'
import type { Rounds } from '../measure/rounds.ts'
import { atLeast, type Section } from '../report/section.ts'
import { startFast } from '../upstreams/start.ts'
import { CHAT_PATH, chatRequestFile, JSON_HEADERS } from './chat-request.ts'
import { COLUMNS, ratio, readings, rows } from './throughput.ts'
import type { Workload } from './workload.ts'

const OTHERS: readonly Contestant[] = [direct, nginx, haproxy, caddy, portkey]

async function chat(context: Context, bytes: number, connections: number): Promise<Rounds<Reading>> {
  const upstream = await startFast(context)
  const running = [...(await startAll(OTHERS, upstream.port, context)), ...(await startRoutingHestia(upstream.port, context))]
  try {
    const what = { connections, headers: JSON_HEADERS, bodyFile: chatRequestFile(context, bytes) }
    return await readings(running, CHAT_PATH, what, context)
  } finally {
    await endRunning(running)
    await upstream.end()
  }
}

const about = `nginx, haproxy and caddy forward without looking inside. Hestia forwards too (unrouted), picks the instance by the
field \`model\` (by model), or the service (front door).`

const section = (title: string, rounds: Rounds<Reading>, targets: Section['targets']): Section => ({
  title,
  about,
  columns: COLUMNS,
  rows: rows(rounds),
  targets,
})

/** What looking for the field that decides costs. */
export const routedPost: Workload = {
  id: 'b',
  name: 'routed-post',
  async run(context) {
    const rounds = await chat(context, 2 * 1024, 64)
    return [
      section('b. POST of 2 KiB routed by `model`, 64 connections', rounds, [
        atLeast('to the same POST unrouted', ratio(rounds, ROUTED, UNROUTED), 0.85),
        atLeast('to @portkey-ai/gateway', ratio(rounds, ROUTED, portkey.name), 20),
      ]),
    ]
  },
}

/** The same when it is hidden in a large body. */
export const largePost: Workload = {
  id: 'c',
  name: 'large-post',
  async run(context) {
    const rounds = await chat(context, 1024 * 1024, 16)
    return [
      section('c. POST of 1 MiB routed by `model`, 16 connections', rounds, [
        atLeast('to nginx, which only forwards', ratio(rounds, ROUTED, 'nginx'), 0.25),
        atLeast('to @portkey-ai/gateway', ratio(rounds, ROUTED, portkey.name), 20),
      ]),
    ]
  },
}
