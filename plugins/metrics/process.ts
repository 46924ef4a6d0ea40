import { readdirSync } from 'node:fs'
import {
  constants,
  type IntervalHistogram,
  monitorEventLoopDelay,
  type NodeGCPerformanceDetail,
  PerformanceObserver,
  performance,
} from 'node:perf_hooks'
import type { Family, Labels } from './families.ts'

/** How often the event loop's delay is looked at: rarely enough to cost nothing while there is nothing to do. */
const RESOLUTION_MS = 50
const KINDS: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
}

/**
 * The gateway process itself, under the names that Prometheus' clients have for it. Own code where prom-client has some, as what
 * that collects can't be stopped any more once it was asked for.
 */
export class ProcessMetrics {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  readonly #collections = new Map<string, { count: number; seconds: number }>()
  readonly #observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { duration } = entry
      const { detail } = entry as typeof entry & { detail: NodeGCPerformanceDetail }
      const kind = KINDS[detail.kind ?? 0] ?? 'other'
      const known = this.#collections.get(kind) ?? { count: 0, seconds: 0 }
      this.#collections.set(kind, { count: known.count + 1, seconds: known.seconds + duration / 1000 })
    }
  })

  constructor() {
    this.#delay.enable()
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  stop(): void {
    this.#delay.disable()
    this.#observer.disconnect()
  }

  families(): Family[] {
    const { user, system } = process.cpuUsage()
    const { rss, heapTotal, heapUsed, external } = process.memoryUsage()
    const { active, idle } = performance.eventLoopUtilization()
    const lag = this.#lag()
    return [
      one('process_cpu_user_seconds_total', 'counter', 'CPU time in user mode.', user / 1e6),
      one('process_cpu_system_seconds_total', 'counter', 'CPU time in system mode.', system / 1e6),
      one('process_start_time_seconds', 'gauge', 'When the process started, since the epoch.', performance.timeOrigin / 1000),
      one('process_resident_memory_bytes', 'gauge', 'Resident memory.', rss),
      ...openFiles(),
      one('nodejs_heap_size_total_bytes', 'gauge', 'Heap that Node has.', heapTotal),
      one('nodejs_heap_size_used_bytes', 'gauge', 'Heap that Node uses.', heapUsed),
      one('nodejs_external_memory_bytes', 'gauge', 'Memory outside of the heap that objects in it hold.', external),
      one('nodejs_active_resources', 'gauge', 'What keeps the event loop alive.', process.getActiveResourcesInfo().length),
      one('nodejs_version_info', 'gauge', 'Version of Node.', 1, { version: process.version }),
      {
        name: 'nodejs_eventloop_seconds_total',
        type: 'counter',
        help: 'How long the event loop was busy and idle.',
        values: [
          { labels: { state: 'active' }, value: active / 1000 },
          { labels: { state: 'idle' }, value: idle / 1000 },
        ],
      },
      one('nodejs_eventloop_lag_mean_seconds', 'gauge', 'Mean delay of the event loop since the last look.', lag.mean),
      one('nodejs_eventloop_lag_p99_seconds', 'gauge', '99th percentile of that delay.', lag.p99),
      one('nodejs_eventloop_lag_max_seconds', 'gauge', 'Greatest such delay.', lag.max),
      {
        name: 'nodejs_gc_duration_seconds_total',
        type: 'counter',
        help: 'Time spent collecting garbage.',
        values: [...this.#collections].map(([kind, { seconds }]) => ({ labels: { kind }, value: seconds })),
      },
      {
        name: 'nodejs_gc_runs_total',
        type: 'counter',
        help: 'How often garbage was collected.',
        values: [...this.#collections].map(([kind, { count }]) => ({ labels: { kind }, value: count })),
      },
    ]
  }

  /** In seconds; the delays are measured with the pause between two looks in them. */
  #lag(): { mean: number; p99: number; max: number } {
    const own = (nanoseconds: number) => (nanoseconds > 0 ? Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000) : 0)
    const delay = this.#delay
    // Before the first look the mean is none, and the extremes are nonsense.
    if (!(delay.mean > 0)) return { mean: 0, p99: 0, max: 0 }
    const lag = { mean: own(delay.mean), p99: own(delay.percentile(99)), max: own(delay.max) }
    delay.reset()
    return lag
  }
}

const one = (name: string, type: 'counter' | 'gauge', help: string, value: number, labels: Labels = {}): Family => ({
  name,
  type,
  help,
  values: [{ labels, value }],
})

/** Only where the system tells (Linux). */
function openFiles(): Family[] {
  try {
    // The folder itself is open while it is read.
    return [one('process_open_fds', 'gauge', 'Open file descriptors.', readdirSync('/proc/self/fd').length - 1)]
  } catch {
    return []
  }
}
