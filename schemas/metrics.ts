import { type Static, Type } from '@sinclair/typebox'

/** Options of the plugin `metrics`: `plugins.metrics`. */
export const MetricsOptions = Type.Object(
  {
    max_services: Type.Integer({
      minimum: 1,
      default: 500,
      description: 'How many services have series of their own; requests to the others are counted together, as `(other)`.',
    }),
    process: Type.Boolean({
      default: true,
      description: 'Whether `/metrics` tells of the gateway process too: CPU, memory, event loop, garbage collection.',
    }),
  },
  { additionalProperties: false, default: {} },
)
export type MetricsOptions = Static<typeof MetricsOptions>

const Count = Type.Integer({ minimum: 0 })
const Estimate = Type.Union([Type.Number(), Type.Null()], { description: 'Estimated from buckets; null before the first.' })

/** Durations in milliseconds. */
export const TimerView = Type.Object(
  {
    count: Count,
    sum_ms: Type.Number(),
    mean_ms: Estimate,
    p50_ms: Estimate,
    p95_ms: Estimate,
    p99_ms: Estimate,
  },
  { $id: 'Timer' },
)
export type TimerView = Static<typeof TimerView>

/** What has been counted since the plugin was switched on. */
export const CountersView = Type.Object(
  {
    requests: Count,
    requests_by_status: Type.Record(Type.String(), Count, { description: 'By class: `2xx`.' }),
    requests_aborted: Count,
    request_bytes: Count,
    response_bytes: Count,
    cold_requests: Type.Integer({ minimum: 0, description: 'Requests that waited for a start.' }),
    starts: Type.Record(Type.String(), Count, { description: 'By result: `ready`, `failed`, `aborted`.' }),
    start_retries: Count,
    stops: Type.Record(Type.String(), Count, { description: 'By reason.' }),
    routing_decisions: Type.Array(
      Type.Object({ reason: Type.String(), strategy: Type.Union([Type.String(), Type.Null()]), count: Count }),
    ),
  },
  { $id: 'Counters' },
)
export type CountersView = Static<typeof CountersView>

export const TimersView = Type.Object(
  {
    request: TimerView,
    upstream_first_byte: TimerView,
    queue_wait: TimerView,
    cold_start_turn: TimerView,
    cold_start_boot: TimerView,
    cold_start_added: TimerView,
  },
  { $id: 'Timers' },
)
export type TimersView = Static<typeof TimersView>

/** How things are now. */
export const GaugesView = Type.Object(
  {
    in_flight: Count,
    waiting: Count,
    instances: Type.Record(Type.String(), Count, { description: 'How many instances are in each state.' }),
    unhealthy: Count,
  },
  { $id: 'Gauges' },
)
export type GaugesView = Static<typeof GaugesView>

/** `GET /v1/services/{id}/metrics`. */
export const ServiceMetrics = Type.Object(
  { counters: CountersView, timers: TimersView, gauges: GaugesView },
  { $id: 'ServiceMetrics' },
)
export type ServiceMetrics = Static<typeof ServiceMetrics>

/** `GET /v1/metrics`. */
export const GatewayMetrics = Type.Object(
  {
    counters: Type.Composite([
      CountersView,
      Type.Object({ reloads: Type.Record(Type.String(), Count), events_dropped: Type.Record(Type.String(), Count) }),
    ]),
    timers: TimersView,
    gauges: Type.Composite([GaugesView, Type.Object({ services: Count, generation: Count, tunnels: Count })]),
    services: Type.Record(Type.String(), ServiceMetrics),
  },
  { $id: 'GatewayMetrics' },
)
export type GatewayMetrics = Static<typeof GatewayMetrics>
