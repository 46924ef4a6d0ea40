import type { Instance, Services } from 'hestia'
import { BOUNDS_MS, type Histogram } from './histogram.ts'
import { type InstanceTally, STATUS_CLASSES, type Tally } from './tally.ts'

export type Labels = Readonly<Record<string, string>>

export interface Sample {
  readonly value: number
  readonly labels: Labels
  /** Where it isn't the family's. */
  readonly metricName?: string
}

/** A metric as Prometheus knows it: a name and its series. */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly values: readonly Sample[]
}

const STATES = ['cold', 'starting', 'hot', 'stopping'] as const

/** What was counted. */
export function countedFamilies(tally: Tally): Family[] {
  const instances = [...tally.services].flatMap(([service, { instances }]) =>
    [...instances].map(([instance, counted]) => ({ labels: labelsOf(service, instance), counted })),
  )
  const counter = (name: string, help: string, read: (tally: InstanceTally) => number): Family => ({
    name,
    help,
    type: 'counter',
    values: instances.map(({ labels, counted }) => ({ labels, value: read(counted) })),
  })
  const split = (name: string, help: string, label: string, read: (tally: InstanceTally) => Record<string, number>): Family => ({
    name,
    help,
    type: 'counter',
    values: instances.flatMap(({ labels, counted }) => samples(read(counted), label, labels)),
  })
  const histogram = (name: string, help: string, read: (tally: InstanceTally) => [Labels, Histogram][]): Family => ({
    name,
    help,
    type: 'histogram',
    values: instances.flatMap(({ labels, counted }) =>
      read(counted).flatMap(([own, counts]) => histogramSamples(name, { ...labels, ...own }, counts)),
    ),
  })
  return [
    split('hestia_requests_total', 'Requests to services that are over, by class of status.', 'status', byStatus),
    histogram(
      'hestia_request_duration_seconds',
      'From the head of a request until its client had all of the answer.',
      (counted) => counted.requests.map((requests, i) => [{ status: STATUS_CLASSES[i]! }, requests]),
    ),
    histogram('hestia_upstream_first_byte_seconds', 'From letting a request in until the head of its answer.', (counted) => [
      [{}, counted.firstByte],
    ]),
    histogram('hestia_queue_wait_seconds', 'Time in line of those requests that had to wait for their instance.', (counted) => [
      [{}, counted.queueWait],
    ]),
    histogram(
      'hestia_cold_start_seconds',
      'Starts that went well. turn: wait for a place on a shared device; boot: from then until the instance was ready; added: from then until the first who waited was sent on.',
      (counted) => [
        [{ part: 'turn' }, counted.turn],
        [{ part: 'boot' }, counted.boot],
        [{ part: 'added' }, counted.added],
      ],
    ),
    counter('hestia_cold_requests_total', 'Requests that waited for a start.', ({ cold }) => cold),
    counter('hestia_requests_aborted_total', 'Requests whose client did not get the whole answer.', ({ aborted }) => aborted),
    counter('hestia_request_bytes_total', 'Bytes of request bodies, and from clients through tunnels.', ({ bytesIn }) => bytesIn),
    counter(
      'hestia_response_bytes_total',
      'Bytes of response bodies, and to clients through tunnels.',
      ({ bytesOut }) => bytesOut,
    ),
    split('hestia_starts_total', 'Starts of instances that are over, by result.', 'result', ({ starts }) => starts),
    counter('hestia_start_retries_total', 'Attempts to start an instance after the first.', ({ retries }) => retries),
    split('hestia_stops_total', 'Instances that went down, by reason.', 'reason', ({ stops }) => stops),
    split(
      'hestia_exclusive_decisions_total',
      'What was decided about instances that share a device, by action.',
      'action',
      ({ decided }) => decided,
    ),
    {
      name: 'hestia_machine_wakes_total',
      help: 'Wake-ups of machines that are over, by result.',
      type: 'counter',
      values: [...tally.wakes].flatMap(([machine, results]) => samples(results, 'result', { machine })),
    },
    {
      name: 'hestia_requests_denied_total',
      help: 'Requests that were refused for who made them, by error code.',
      type: 'counter',
      values: samples(tally.denied, 'code'),
    },
    {
      name: 'hestia_routing_decisions_total',
      help: 'Where requests were sent and why.',
      type: 'counter',
      values: [...tally.services].flatMap(([service, { decisions }]) =>
        decisions.map(({ reason, strategy = '', count }) => ({ labels: { service, reason, strategy }, value: count })),
      ),
    },
    {
      name: 'hestia_reloads_total',
      help: 'Reloads of configuration and plugins, by result.',
      type: 'counter',
      values: samples(tally.reloads, 'result'),
    },
    {
      name: 'hestia_events_dropped_total',
      help: 'Events thrown away, as who should have taken them did not keep up.',
      type: 'counter',
      values: samples(tally.dropped, 'consumer'),
    },
  ]
}

/** How things are in the moment of the question. */
export function presentFamilies(
  services: Services,
  maxServices: number,
  plain: Readonly<Record<string, [number, string]>>,
): Family[] {
  const instances = [...services].slice(0, maxServices).flatMap(({ all }) => [...all])
  const gauge = (name: string, help: string, read: (instance: Instance) => number): Family => ({
    name,
    help,
    type: 'gauge',
    values: instances.map((instance) => ({ labels: labelsOf(instance.service.id, instance.name), value: read(instance) })),
  })
  return [
    {
      name: 'hestia_instance_state',
      help: '1 for the state that an instance is in, 0 for the others.',
      type: 'gauge',
      values: instances.flatMap((instance) =>
        STATES.map((state) => ({
          labels: { ...labelsOf(instance.service.id, instance.name), state },
          value: instance.state === state ? 1 : 0,
        })),
      ),
    },
    gauge('hestia_instance_healthy', 'Whether an instance is taken for healthy.', ({ healthy }) => (healthy ? 1 : 0)),
    gauge('hestia_requests_in_flight', 'Requests under way, streams and tunnels included.', ({ inFlight }) => inFlight),
    gauge('hestia_requests_waiting', 'Requests that wait for an instance.', ({ waiting }) => waiting),
    ...Object.entries(plain).map(
      ([name, [value, help]]): Family => ({ name, help, type: 'gauge', values: [{ labels: {}, value }] }),
    ),
  ]
}

/** Requests by class of status. */
export const byStatus = ({ requests }: InstanceTally): Record<string, number> =>
  Object.fromEntries(requests.flatMap(({ count }, i) => (count > 0 ? [[STATUS_CLASSES[i]!, count]] : [])))

/** Not `instance`: that is Prometheus' own label for whom it asked. */
const labelsOf = (service: string, instance: string): Labels => ({ service, service_instance: instance })

const samples = (counts: Readonly<Record<string, number>>, label: string, labels: Labels = {}): Sample[] =>
  Object.entries(counts).map(([name, value]) => ({ labels: { ...labels, [label]: name }, value }))

/** Series without anything in them are left out: most instances never see most classes of status. */
function histogramSamples(name: string, labels: Labels, { count, sumMs, buckets }: Histogram): Sample[] {
  if (count === 0) return []
  let below = 0
  const bucket = (le: string, value: number): Sample => ({ metricName: `${name}_bucket`, labels: { le, ...labels }, value })
  return [
    ...buckets.map((inside, i) => {
      below += inside
      return bucket(String(BOUNDS_MS[i]! / 1000), below)
    }),
    bucket('+Inf', count),
    { metricName: `${name}_sum`, labels, value: sumMs / 1000 },
    { metricName: `${name}_count`, labels, value: count },
  ]
}
