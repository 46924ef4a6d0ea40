import { type Histogram, newHistogram } from './histogram.ts'

/** The name under which all is counted that has no series of its own; no service can have it. */
export const OTHER = '(other)'
/** Classes of status codes; a code's first digit is its index. */
export const STATUS_CLASSES = ['other', '1xx', '2xx', '3xx', '4xx', '5xx'] as const

/** What is counted for one instance. */
export interface InstanceTally {
  /** Durations by class of status. */
  readonly requests: Histogram[]
  readonly firstByte: Histogram
  readonly queueWait: Histogram
  /** What a start waited for its turn, as for a place on a shared device. */
  readonly turn: Histogram
  /** From then, the begin of the start itself, until it was ready. */
  readonly boot: Histogram
  /** From ready until the first of those who waited was sent on. */
  readonly added: Histogram
  aborted: number
  cold: number
  bytesIn: number
  bytesOut: number
  readonly starts: { ready: number; failed: number; aborted: number }
  retries: number
  readonly stops: Record<string, number>
  /** What the plugin `exclusive` decided about it. */
  readonly decided: Record<string, number>
  /** When it became ready, until somebody was sent on (`performance.now()`). */
  readyAt: number | undefined
}

/** How often a service's requests were sent somewhere for the same reason. */
export interface DecisionTally {
  readonly reason: string
  readonly strategy: string | undefined
  count: number
}

export interface ServiceTally {
  readonly instances: Map<string, InstanceTally>
  readonly decisions: DecisionTally[]
}

/** All that is counted. Plain data that outlives generations: newer code goes on counting in it. */
export interface Tally {
  readonly services: Map<string, ServiceTally>
  readonly reloads: { applied: number; rejected: number }
  readonly dropped: Record<string, number>
  /** Requests that the plugin `auth` refused, by error code. */
  readonly denied: Record<string, number>
  /** Wake-ups of each machine, by result. */
  readonly wakes: Map<string, { woken: number; failed: number }>
  /** Whoever counts, by generation; of several the last does, so that nothing is counted twice. */
  readonly recorders: object[]
}

export const newTally = (): Tally => ({
  services: new Map(),
  reloads: { applied: 0, rejected: 0 },
  dropped: {},
  denied: {},
  wakes: new Map(),
  recorders: [],
})

export const newInstanceTally = (): InstanceTally => ({
  requests: STATUS_CLASSES.map(newHistogram),
  firstByte: newHistogram(),
  queueWait: newHistogram(),
  turn: newHistogram(),
  boot: newHistogram(),
  added: newHistogram(),
  aborted: 0,
  cold: 0,
  bytesIn: 0,
  bytesOut: 0,
  starts: { ready: 0, failed: 0, aborted: 0 },
  retries: 0,
  stops: {},
  decided: {},
  readyAt: undefined,
})
