import type { ExclusiveOptions, ExclusiveServiceOptions } from '../../schemas/exclusive.ts'
import { type Board, handoverOf, type Place, sectionOf, type Waiting } from './board.ts'
import type { Group, Resident, Waiter } from './decide.ts'

/** Who sends one request after the other leaves gaps; so long one is no end of it, in milliseconds. */
const GAP_MS = 100
/** Going may take so much longer than it lately did, and still be done in time: by this factor ... */
const HEADROOM = 1.25
/** ... and by this many milliseconds, as what else a machine does delays who is quick to go as much as who isn't. */
const HEADROOM_MS = 100

type Bounds = Pick<ExclusiveOptions, 'min_resident_ms' | 'max_wait_ms' | 'silent_stream_ms' | 'drain_timeout_ms'>

export type Holder = Resident & { readonly place: Place }
export type Candidate = Waiter & { readonly waiting: Waiting; readonly maxWaitMs: number }

/** Groups in which somebody waits, or is held for nobody any more; in alphabetical order. */
export function restlessGroups({ places, waiting }: Board): string[] {
  const held = [...places.values()].flatMap(({ group, heldAt }) => (heldAt === undefined ? [] : [group]))
  const wanted = [...waiting.keys()].flatMap((instance) => sectionOf(instance)?.group ?? [])
  return [...new Set([...held, ...wanted])].toSorted()
}

/** All groups that anybody is in. */
export function allGroups(board: Board): string[] {
  return [...new Set([...[...board.places.values()].map(({ group }) => group), ...restlessGroups(board)])].toSorted()
}

export const capacityOf = ({ groups }: ExclusiveOptions, group: string): number => groups[group]?.capacity ?? 1

/** How things are in a group, for `decide`. */
export function snapshot(board: Board, group: string, options: ExclusiveOptions, now: number): Group<Holder, Candidate> {
  const places = [...board.places.values()].filter((place) => place.group === group)
  const handoverMs = Math.max(0, ...places.map(({ instance }) => handoverOf(board, instance)))
  return {
    capacity: capacityOf(options, group),
    residents: places.map((place) => holder(place, options, now)),
    waiters: [...board.waiting.values()].flatMap((waiting) => {
      const section = sectionOf(waiting.instance)
      return section?.group === group ? [candidate(waiting, section, handoverMs)] : []
    }),
  }
}

function holder(place: Place, options: ExclusiveOptions, now: number): Holder {
  const { instance, weight, evicting, heldAt } = place
  const { state } = instance
  // A service that is no longer exclusive keeps its place until it is cold.
  const bounds: Bounds = sectionOf(instance) ?? options
  const hotSince = place.hotSince ?? now
  return {
    place,
    id: instance.id,
    weight,
    phase: evicting || state === 'stopping' ? 'leaving' : state === 'hot' ? 'hot' : 'starting',
    held: heldAt !== undefined,
    busyUntil: busyUntil(place, bounds),
    lastUsedAt: instance.idleSince,
    hotSince,
    residentUntil: hotSince + bounds.min_resident_ms,
  }
}

/**
 * Those in its way are held so long before it has waited too long as they need to go; but they keep half of the time, so that
 * whoever is slow to go isn't sent away with every request for somebody else.
 */
function candidate(waiting: Waiting, { weight, max_wait_ms }: ExclusiveServiceOptions, handoverMs: number): Candidate {
  const { instance, since } = waiting
  const overdueAt = since + max_wait_ms - Math.min(handoverMs * HEADROOM + HEADROOM_MS, max_wait_ms / 2)
  return { waiting, id: instance.id, weight, since, maxWaitMs: max_wait_ms, overdueAt }
}

/**
 * From when on the instance may be stopped, if nothing more happens. Requests are never cut; streams and tunnels are, when they
 * are silent, or when the instance has been held for long.
 */
export function busyUntil({ instance, heldAt, askAgainAt }: Place, { silent_stream_ms, drain_timeout_ms }: Bounds): number {
  if (instance.waiting > 0 && !instance.held) return Number.POSITIVE_INFINITY
  const cutAt = heldAt === undefined ? Number.POSITIVE_INFINITY : heldAt + drain_timeout_ms
  let until = Math.max(askAgainAt, instance.keepUntil)
  if (heldAt === undefined) until = Math.max(until, instance.idleSince + GAP_MS)
  for (const { kind, lastByteAt } of instance.leases) {
    if (kind === 'request') return Number.POSITIVE_INFINITY
    until = Math.max(until, Math.min(cutAt, lastByteAt + silent_stream_ms))
  }
  return until
}
