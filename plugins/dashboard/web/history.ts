import { type Signal, signal } from '@preact/signals'
import type { ServiceView } from './services.ts'

/** What is remembered of a service while the page is open. */
export interface History {
  /** Requests of the last minutes, one number for each slot. */
  readonly requests: Signal<readonly number[]>
  /** The last starts, oldest first; a failed one has no duration. */
  readonly starts: Signal<readonly Start[]>
  /** Columns of the chart: seconds since the epoch, requests per second, in flight, waiting. */
  readonly columns: Signal<readonly [number[], number[], number[], number[]]>
  /** Requests since the gateway has started, as last seen, and as last charted. */
  taken: number
  charted: number
  chartedAt: number
  slot: number
}

export interface Start {
  readonly at: number
  /** How long it took; null when it failed. */
  readonly durationMs: number | null
}

/** How long a start itself took, without the wait for its turn on a shared device; in milliseconds. */
export const bootMs = ({ durationMs, waitedMs = 0 }: Readonly<Record<string, unknown>>): number =>
  Number(durationMs) - Number(waitedMs)

export const SLOTS = 48
export const SLOT_MS = 5000
const STARTS = 12
const SAMPLES = 450

const histories = new Map<string, History>()

export function historyOf(id: string): History {
  let history = histories.get(id)
  if (!history) {
    history = {
      requests: signal(Array.from({ length: SLOTS }, () => 0)),
      starts: signal([]),
      columns: signal([[], [], [], []]),
      taken: -1,
      charted: 0,
      chartedAt: 0,
      slot: slotOf(Date.now()),
    }
    histories.set(id, history)
  }
  return history
}

const slotOf = (at: number): number => Math.floor(at / SLOT_MS)

/** One look at a service: `taken` requests since its gateway has started. */
export function noteSample({ serviceId, inFlight, queuePending }: ServiceView, taken: number): void {
  const history = historyOf(serviceId)
  const at = Date.now()
  const isFirst = history.taken < 0 || taken < history.taken
  const more = isFirst ? 0 : taken - history.taken
  const slot = slotOf(at)
  const shift = Math.min(SLOTS, slot - history.slot)
  const before = history.requests.peek()
  // A quiet one stays as it is.
  if (more > 0 || (shift > 0 && before.some((n) => n > 0))) {
    const next = [...before.slice(shift), ...Array.from({ length: shift }, () => 0)]
    next[SLOTS - 1]! += more
    history.requests.value = next
  }
  history.taken = taken
  history.slot = slot
  const seconds = (at - history.chartedAt) / 1000
  if (!isFirst && seconds < 1) return
  const [times, rates, inFlights, waitings] = history.columns.peek()
  history.columns.value = [
    [...times.slice(-SAMPLES), at / 1000],
    [...rates.slice(-SAMPLES), isFirst ? 0 : (taken - history.charted) / seconds],
    [...inFlights.slice(-SAMPLES), inFlight],
    [...waitings.slice(-SAMPLES), queuePending],
  ]
  history.charted = taken
  history.chartedAt = at
}

/** A start has ended. */
export function noteStart(id: string, start: Start): void {
  const { starts } = historyOf(id)
  if (starts.peek().some(({ at }) => at === start.at)) return
  starts.value = [...starts.peek(), start].toSorted((a, b) => a.at - b.at).slice(-STARTS)
}
