import type { EventMap, HestiaEvent, Instance } from 'hestia'
import type { ExclusiveServiceOptions } from '../../schemas/exclusive.ts'

/** What an instance takes of its group, from the moment in which its start may begin until it is cold. */
export interface Place {
  readonly instance: Instance
  /** As they were when it got the place; changed ones count from the next start on. */
  readonly group: string
  readonly weight: number
  /** Moments are on the monotonic clock (`performance.now()`). */
  hotSince: number | undefined
  heldAt: number | undefined
  /** Since when nobody gets in: held, or going down. */
  shutSince: number | undefined
  /** It has been told to go, and has not answered yet. */
  evicting: boolean
  /** It did not want to go: not told again before this moment. */
  askAgainAt: number
}

/** An instance whose start waits for a place. */
export interface Waiting {
  readonly instance: Instance
  readonly since: number
  readonly grant: () => void
  behind: readonly string[]
  /** Why it waits, as last told. */
  reason: string
}

/** One thing that was decided, and when (milliseconds since the epoch). */
export type Decided = EventMap['exclusive.decided'] & { readonly at: HestiaEvent['at'] }

/** What outlives generations: who has a place, who waits for one, and which generation decides. Plain data. */
export interface Board {
  readonly places: Map<Instance, Place>
  readonly waiting: Map<Instance, Waiting>
  /** Since when an instance that gave up its place had let nobody in. */
  readonly shutSince: WeakMap<Instance, number>
  /** How long instances lately took to give up their place, from the last request let in; in milliseconds. */
  readonly handover: WeakMap<Instance, number>
  /** The newest decisions, oldest first. */
  readonly decisions: Decided[]
  /** Generations that have this plugin; the current one decides. */
  readonly generations: Set<number>
  current: number
  /** Makes the current generation look again. */
  look: () => void
}

export const newBoard = (): Board => ({
  places: new Map(),
  waiting: new Map(),
  shutSince: new WeakMap(),
  handover: new WeakMap(),
  decisions: [],
  generations: new Set(),
  current: 0,
  look: () => undefined,
})

/** What the configuration says of an instance now; nothing for one that is not started by us but only fallen back to. */
export function sectionOf(instance: Instance): ExclusiveServiceOptions | undefined {
  const isOwn = instance !== instance.service.fallback || instance.service.instances.includes(instance)
  return isOwn ? instance.section<ExclusiveServiceOptions>('exclusive') : undefined
}

/** Gives an instance its place. */
export function settle(board: Board, instance: Instance, { group, weight }: ExclusiveServiceOptions): void {
  board.places.set(instance, {
    instance,
    group,
    weight,
    hotSince: undefined,
    heldAt: undefined,
    shutSince: undefined,
    evicting: false,
    askAgainAt: 0,
  })
}

/** What giving up a place is taken to last before it was seen, in milliseconds. */
const UNSEEN_HANDOVER_MS = 250
/** A long one counts less with each shorter one that follows. */
const FORGETTING = 0.9

/** How long an instance will take to give up its place, by what was seen; in milliseconds. */
export const handoverOf = ({ handover }: Board, instance: Instance): number => handover.get(instance) ?? UNSEEN_HANDOVER_MS

/** Brings the places in line with the states of their instances; a place ends when its instance is cold. */
export function follow(board: Board, now: number): void {
  for (const [instance, place] of board.places) {
    if (instance.state === 'hot') place.hotSince ??= now
    else if (instance.state === 'stopping') place.shutSince ??= now
    else if (instance.state === 'cold') {
      const since = place.shutSince ?? now
      board.places.delete(instance)
      board.shutSince.set(instance, since)
      if (since < now) board.handover.set(instance, Math.max(now - since, handoverOf(board, instance) * FORGETTING))
    }
  }
}

/** Since when somebody has waited for this instance in vain: not while it was there and took requests. */
export function wantedSince(board: Board, instance: Instance, now: number): number {
  return Math.max(instance.waitingSince ?? now, board.shutSince.get(instance) ?? 0)
}

/** Nothing is exclusive any more: everybody starts who waited for a place, and takes requests who was held. */
export function letGo(board: Board): void {
  const { places, waiting } = board
  const [placed, waited] = [[...places.keys()], [...waiting.values()]]
  places.clear()
  waiting.clear()
  board.look = () => undefined
  for (const instance of placed) instance.unhold()
  for (const { grant } of waited) grant()
}
