import type { Instance, Lease } from 'hestia'

/** One request that waits. Plain data, as it may be granted by a newer version of the code than the one that made it. */
export interface Waiter {
  readonly instance: Instance
  /** Memory that the request holds, in bytes. */
  readonly bytes: number
  /** When it came (`performance.now()`). */
  readonly since: number
  readonly resolve: (lease: Lease) => void
  readonly reject: (error: Error) => void
  /** Aborted when the client leaves; the waiter itself listens. */
  readonly signal: AbortSignal
  handleEvent(this: Waiter): void
  /** Its deadline. */
  timer: NodeJS.Timeout | undefined
  previous: Waiter | undefined
  next: Waiter | undefined
}

/** Those who wait for one instance, in the order in which they came: a linked list, so that any of them leaves at once. */
export interface Line {
  first: Waiter | undefined
  last: Waiter | undefined
  length: number
  bytes: number
  /** Generation whose code hears of the instance's changes, and what ends that. */
  generation: number
  unsubscribe: () => void
}

/** What outlives generations: the lines that are not empty, and how long each instance's starts took, smoothed, in milliseconds. */
export interface Queue {
  readonly lines: Map<Instance, Line>
  readonly startMs: WeakMap<Instance, number>
}

export const newQueue = (): Queue => ({ lines: new Map(), startMs: new WeakMap() })

export function append(line: Line, waiter: Waiter): void {
  waiter.previous = line.last
  if (line.last) line.last.next = waiter
  else line.first = waiter
  line.last = waiter
  line.length++
  line.bytes += waiter.bytes
}

export function detach(line: Line, waiter: Waiter): void {
  if (waiter.previous) waiter.previous.next = waiter.next
  else line.first = waiter.next
  if (waiter.next) waiter.next.previous = waiter.previous
  else line.last = waiter.previous
  line.length--
  line.bytes -= waiter.bytes
}

/** Place of a waiter in its line; 1 is next. */
export function positionOf(waiter: Waiter): number {
  let position = 1
  for (let other = waiter.previous; other; other = other.previous) position++
  return position
}
