import { setTimeout as sleep } from 'node:timers/promises'
import type { Static } from '@sinclair/typebox'
import type { Command } from 'commander'
import type { ServiceStatus } from '../../schemas/api.ts'
import type { GatewayMetrics } from '../../schemas/metrics.ts'
import { print, printJson, withGateway } from '../context.ts'
import { duration } from '../output/duration.ts'
import { style, styleState } from '../output/style.ts'
import { type Column, table } from '../output/table.ts'
import { positive } from './logs.ts'
import { redraw } from './status.ts'

type Metrics = Static<typeof GatewayMetrics>

interface Row {
  readonly service: string
  readonly state: string
  readonly in_flight: number
  readonly waiting: number
  /** Since the look before; null at the first. */
  readonly requests_per_second: number | null
  readonly requests: number
  readonly errors: number
  readonly p50_ms: number | null
  readonly p95_ms: number | null
  readonly cold_starts: number
}

const count = (value: number): string => (value === 0 ? '' : String(value))
const time = (ms: number | null): string => (ms === null ? '' : duration(ms))

const COLUMNS: readonly Column<Row>[] = [
  { title: 'SERVICE', cell: ({ service }) => service },
  { title: 'STATE', cell: ({ state }) => styleState(state) },
  { title: 'IN FLIGHT', cell: (row) => count(row.in_flight), align: 'right' },
  { title: 'WAITING', cell: (row) => count(row.waiting), align: 'right' },
  { title: 'REQ/S', cell: (row) => (row.requests_per_second ? row.requests_per_second.toFixed(1) : ''), align: 'right' },
  { title: 'REQUESTS', cell: (row) => count(row.requests), align: 'right' },
  { title: '5XX', cell: (row) => (row.errors === 0 ? '' : style('red', String(row.errors))), align: 'right' },
  { title: 'P50', cell: (row) => time(row.p50_ms), align: 'right' },
  { title: 'P95', cell: (row) => time(row.p95_ms), align: 'right' },
  { title: 'STARTS', cell: (row) => count(row.cold_starts), align: 'right' },
]

/** `hestia top`: who is busy. */
export function addTop(program: Command): void {
  program
    .command('top')
    .description('show how busy services are, busiest first, again and again on a terminal')
    .option('--once', 'look once')
    .option('-i, --interval <seconds>', 'time between two looks', positive, 2)
    .option('--json', 'look once, as JSON')
    .action((options: { once?: boolean; interval: number; json?: boolean }, command: Command) =>
      withGateway(command, async (client) => {
        const once = options.once || options.json || !process.stdout.isTTY
        let before: { readonly rows: readonly Row[]; readonly at: number } | undefined
        while (true) {
          const [services, metrics] = await Promise.all([
            client.get<ServiceStatus[]>('/v1/services'),
            client.get<Metrics>('/v1/metrics'),
          ])
          const at = performance.now()
          const rows = services.map((service) => rowOf(service, metrics, before?.rows, at - (before?.at ?? at)))
          before = { rows, at }
          const busiest = rows.toSorted((a, b) => busyness(b) - busyness(a))
          if (options.json) printJson(busiest)
          else if (once) print(table(COLUMNS, busiest))
          else redraw(`${headline(metrics)}\n\n${table(COLUMNS, busiest)}`)
          if (once) return
          await sleep(options.interval * 1000)
        }
      }),
    )
}

const busyness = ({ in_flight, waiting, requests_per_second, requests }: Row): number =>
  (in_flight + waiting) * 1e12 + (requests_per_second ?? 0) * 1e9 + requests

function headline({ gauges, counters }: Metrics): string {
  const { in_flight: inFlight, waiting, tunnels, generation } = gauges
  const counted = `${counters.requests} requests, ${inFlight} in flight, ${waiting} waiting, ${tunnels} tunnels`
  return `${style('bold', 'hestia')}  ${counted}  ${style('dim', `generation ${generation}`)}`
}

function rowOf(service: ServiceStatus, { services }: Metrics, before: readonly Row[] | undefined, passedMs: number): Row {
  const { counters, timers, gauges } = services[service.serviceId] ?? {}
  const requests = counters?.requests ?? 0
  const last = before?.find((row) => row.service === service.serviceId)
  return {
    service: service.serviceId,
    state: service.state,
    in_flight: gauges?.in_flight ?? 0,
    waiting: gauges?.waiting ?? service.queuePending,
    requests_per_second: last && passedMs > 0 ? Math.max(0, ((requests - last.requests) / passedMs) * 1000) : null,
    requests,
    errors: counters?.requests_by_status['5xx'] ?? 0,
    p50_ms: timers?.request.p50_ms ?? null,
    p95_ms: timers?.request.p95_ms ?? null,
    cold_starts: Object.values(counters?.starts ?? {}).reduce((sum, value) => sum + value, 0),
  }
}
