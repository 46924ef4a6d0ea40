import type { Events, Instance } from 'hestia'
import type { ExclusiveOptions } from '../../schemas/exclusive.ts'
import { type Board, type Decided, sectionOf, settle } from './board.ts'
import { type Action, decide, type Verdict, type Wait } from './decide.ts'
import { busyUntil, type Candidate, type Holder, restlessGroups, snapshot } from './snapshot.ts'

/** Told to go, it turned out to be wanted: how long it is left alone then, in milliseconds. */
const ASK_AGAIN_MS = 50
/** While somebody waits, look again at least so often: nobody tells when a request turns out to be a stream. */
const LOOK_AGAIN_MS = 1000
const DECISIONS_KEPT = 100

/** Carries out what `decide` says, for one generation, as long as it is the current one. */
export class Referee {
  readonly #board: Board
  readonly #options: ExclusiveOptions
  readonly #events: Events
  readonly #watched = new Map<Instance, () => void>()
  #timer: NodeJS.Timeout | undefined
  #soon = false
  #resting = false

  constructor(board: Board, options: ExclusiveOptions, events: Events) {
    this.#board = board
    this.#options = options
    this.#events = events
  }

  /** Looks after what happens now is over: an instance that has just become hot has let in those who waited for it by then. */
  lookSoon(): void {
    if (this.#soon || this.#resting) return
    this.#soon = true
    queueMicrotask(() => {
      this.#soon = false
      if (!this.#resting) this.look()
    })
  }

  look(): void {
    const now = performance.now()
    const { waiting } = this.#board
    for (const [instance, { grant }] of waiting) {
      // It was exclusive when it asked.
      if (sectionOf(instance)) continue
      waiting.delete(instance)
      grant()
    }
    const wakeAt: number[] = waiting.size > 0 ? [now + LOOK_AGAIN_MS] : []
    const busy = new Set<Instance>()
    for (const group of restlessGroups(this.#board)) {
      const state = snapshot(this.#board, group, this.#options, now)
      const verdict = decide(state, now)
      if (verdict.wakeAt !== undefined) wakeAt.push(verdict.wakeAt)
      if (verdict.waits.length > 0) for (const { place } of state.residents) busy.add(place.instance)
      this.#carryOut(group, verdict, now)
    }
    this.#watch(busy)
    clearTimeout(this.#timer)
    if (wakeAt.length > 0) this.#timer = setTimeout(() => this.look(), Math.max(0, Math.ceil(Math.min(...wakeAt) - now))).unref()
  }

  /** Hears and does nothing any more: another generation decides. */
  rest(): void {
    this.#resting = true
    clearTimeout(this.#timer)
    this.#watch(new Set())
  }

  #carryOut(group: string, { actions, waits }: Verdict<Holder, Candidate>, now: number): void {
    for (const wait of waits) this.#tellWait(group, wait, now)
    for (const action of actions) this.#act(group, action, now)
  }

  #act(group: string, action: Action<Holder, Candidate>, now: number): void {
    if (action.type === 'grant') {
      this.#grant(group, action.waiter, now)
      return
    }
    const { place } = action.resident
    const { instance } = place
    if (action.type === 'unhold') {
      this.#record(group, instance, {
        action: 'unhold',
        reason: `takes requests again: nobody waits for its place in ${group} any more`,
      })
      place.heldAt = undefined
      place.shutSince = undefined
      instance.unhold()
      return
    }
    const { id: waiter, since } = action.waiter
    const waitedMs = now - since
    if (action.type === 'hold') {
      place.heldAt = now
      place.shutSince = now
      instance.hold()
      const reason = `takes no new requests: ${waiter} has waited ${show(waitedMs)} for its place in ${group} (max_wait_ms)`
      this.#record(group, instance, { action: 'hold', reason, waiter, waitedMs })
      return
    }
    const because = action.resident.held ? 'it has finished what it had' : `it is idle since ${show(now - instance.idleSince)}`
    this.#record(group, instance, {
      action: 'evict',
      reason: `makes way for ${waiter} in ${group}: ${because}`,
      waiter,
      waitedMs,
    })
    this.#evict(action.resident)
  }

  #grant(group: string, { waiting, since }: Candidate, now: number): void {
    const { instance, grant } = waiting
    this.#board.waiting.delete(instance)
    const section = sectionOf(instance)
    if (section) settle(this.#board, instance, section)
    const waitedMs = now - since
    const reason = waiting.reason === '' ? `finds room in ${group}` : `gets its place in ${group} after ${show(waitedMs)}`
    this.#record(group, instance, { action: 'grant', reason, waitedMs, behind: waiting.behind })
    grant()
  }

  #evict({ place }: Holder): void {
    const { instance } = place
    place.evicting = true
    const isFree = () => busyUntil(place, sectionOf(instance) ?? this.#options) <= performance.now()
    void instance.stop('evicted', isFree).then((isGone) => {
      place.evicting = false
      if (isGone) return
      place.askAgainAt = performance.now() + ASK_AGAIN_MS
      this.#board.look()
    })
  }

  #tellWait(group: string, { waiter, behind }: Wait<Holder, Candidate>, now: number): void {
    const { waiting } = waiter
    const reason = behind.map(({ who, why }) => `${who.id} ${why}`).join(', ')
    const before = waiting.behind.join()
    waiting.reason = reason
    waiting.behind = behind.map(({ who }) => who.id)
    // What becomes of those in the way is told when it is decided.
    if (waiting.behind.join() === before) return
    this.#record(group, waiting.instance, {
      action: 'wait',
      reason: `waits for its place in ${group}: ${reason}`,
      behind: waiting.behind,
      waitedMs: now - waiter.since,
    })
  }

  #record(group: string, instance: Instance, what: Pick<Decided, 'action' | 'reason' | 'waiter' | 'behind' | 'waitedMs'>): void {
    const decided = { group, service: instance.service.id, instance: instance.name, ...what }
    const { decisions } = this.#board
    decisions.push({ at: Date.now(), ...decided })
    if (decisions.length > DECISIONS_KEPT) decisions.shift()
    this.#events.emit('exclusive.decided', decided)
  }

  /** Hears of every request that ends on these instances. */
  #watch(instances: ReadonlySet<Instance>): void {
    for (const [instance, unsubscribe] of this.#watched) {
      if (instances.has(instance)) continue
      unsubscribe()
      this.#watched.delete(instance)
    }
    for (const instance of instances) {
      if (!this.#watched.has(instance))
        this.#watched.set(
          instance,
          instance.subscribe(() => this.lookSoon()),
        )
    }
  }
}

const show = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`)
