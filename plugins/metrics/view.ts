import type { Service } from 'hestia'
import type { CountersView, GaugesView, ServiceMetrics, TimersView, TimerView } from '../../schemas/metrics.ts'
import { byStatus } from './families.ts'
import { type Histogram, merged, quantile } from './histogram.ts'
import type { DecisionTally, InstanceTally, ServiceTally } from './tally.ts'

/** The JSON view of some services, taken together. */
export function metricsView(counted: readonly ServiceTally[], services: readonly Service[]): ServiceMetrics {
  const instances = counted.flatMap((service) => [...service.instances.values()])
  return {
    counters: counters(
      instances,
      counted.flatMap(({ decisions }) => decisions),
    ),
    timers: timers(instances),
    gauges: gauges(services),
  }
}

function counters(instances: readonly InstanceTally[], decisions: readonly DecisionTally[]): CountersView {
  const sum = (read: (tally: InstanceTally) => number) => instances.reduce((total, tally) => total + read(tally), 0)
  const statuses = added(instances.map(byStatus))
  return {
    requests: sum(({ requests }) => merged(requests).count),
    requests_by_status: statuses,
    requests_aborted: sum(({ aborted }) => aborted),
    request_bytes: sum(({ bytesIn }) => bytesIn),
    response_bytes: sum(({ bytesOut }) => bytesOut),
    cold_requests: sum(({ cold }) => cold),
    starts: added([{ ready: 0, failed: 0, aborted: 0 }, ...instances.map(({ starts }) => starts)]),
    start_retries: sum(({ retries }) => retries),
    stops: added(instances.map(({ stops }) => stops)),
    routing_decisions: grouped(decisions),
  }
}

function timers(instances: readonly InstanceTally[]): TimersView {
  const view = (read: (tally: InstanceTally) => readonly Histogram[]) => timer(merged(instances.flatMap(read)))
  return {
    request: view(({ requests }) => requests),
    upstream_first_byte: view(({ firstByte }) => [firstByte]),
    queue_wait: view(({ queueWait }) => [queueWait]),
    cold_start_turn: view(({ turn }) => [turn]),
    cold_start_boot: view(({ boot }) => [boot]),
    cold_start_added: view(({ added: histogram }) => [histogram]),
  }
}

function timer(histogram: Histogram): TimerView {
  const { count, sumMs } = histogram
  const estimate = (share: number) => quantile(histogram, share) ?? null
  return {
    count,
    sum_ms: sumMs,
    mean_ms: count === 0 ? null : sumMs / count,
    p50_ms: estimate(0.5),
    p95_ms: estimate(0.95),
    p99_ms: estimate(0.99),
  }
}

function gauges(services: readonly Service[]): GaugesView {
  const instances = services.flatMap(({ all }) => [...all])
  const states = { cold: 0, starting: 0, hot: 0, stopping: 0 }
  for (const { state } of instances) states[state]++
  return {
    in_flight: instances.reduce((sum, { inFlight }) => sum + inFlight, 0),
    waiting: instances.reduce((sum, { waiting }) => sum + waiting, 0),
    instances: states,
    unhealthy: instances.filter(({ healthy }) => !healthy).length,
  }
}

function added(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const one of all) for (const [name, value] of Object.entries(one)) sums[name] = (sums[name] ?? 0) + value
  return sums
}

/** Decisions of several services, those of one kind together. */
function grouped(decisions: readonly DecisionTally[]): CountersView['routing_decisions'] {
  const groups = new Map<string, CountersView['routing_decisions'][number]>()
  for (const { reason, strategy = null, count } of decisions) {
    const key = JSON.stringify([reason, strategy])
    groups.set(key, { reason, strategy, count: count + (groups.get(key)?.count ?? 0) })
  }
  return [...groups.values()]
}
