/** Somebody who has a place: it is being started, runs, or is going down. Times are on one clock, in milliseconds. */
export interface Resident {
  /** For people, and for the order where all else is equal. */
  readonly id: string
  readonly weight: number
  /** `leaving`: it goes down, or has been told to. */
  readonly phase: 'starting' | 'hot' | 'leaving'
  /** Takes no new requests. */
  readonly held: boolean
  /** From when on nothing is in the way of stopping it, if nothing more happens; Infinity while requests run. */
  readonly busyUntil: number
  readonly lastUsedAt: number
  readonly hotSince: number
  /** Not evicted before, unless somebody is overdue. */
  readonly residentUntil: number
}

/** Somebody who wants a place. */
export interface Waiter {
  readonly id: string
  readonly weight: number
  readonly since: number
  /** From when on those in its way are held. */
  readonly overdueAt: number
}

/** All who share one capacity, at one moment. */
export interface Group<R extends Resident = Resident, W extends Waiter = Waiter> {
  readonly capacity: number
  readonly residents: readonly R[]
  readonly waiters: readonly W[]
}

export type Action<R extends Resident = Resident, W extends Waiter = Waiter> =
  | { readonly type: 'grant'; readonly waiter: W }
  | { readonly type: 'evict' | 'hold'; readonly resident: R; readonly waiter: W }
  | { readonly type: 'unhold'; readonly resident: R }

/** Why somebody gets no place yet: who is in the way, and what each of them is doing. */
export interface Wait<R extends Resident = Resident, W extends Waiter = Waiter> {
  readonly waiter: W
  readonly behind: readonly { readonly who: R | W; readonly why: string }[]
}

export interface Verdict<R extends Resident = Resident, W extends Waiter = Waiter> {
  readonly actions: readonly Action<R, W>[]
  readonly waits: readonly Wait<R, W>[]
  /** When to decide anew, though nothing has happened until then. */
  readonly wakeAt: number | undefined
}

/** Weights may be fractions (0.1 + 0.2). */
const TOLERANCE = 1e-9
const fits = (weight: number, room: number): boolean => weight <= room + TOLERANCE

/**
 * Who gets a place, and who makes way: a pure function of how things are.
 *
 * Those who wait are looked at in turn: first those who have waited too long, the most overdue one first; then by age. Each gets
 * what is free; else what is becoming free is kept for it; else idle ones are evicted, no more than needed, the least recently
 * used first. Only for somebody who is overdue are busy ones held: they take no new requests, and are evicted once they have
 * finished. As long as nobody is overdue, who fits goes before an older one who doesn't; after that nobody overtakes.
 */
export function decide<R extends Resident, W extends Waiter>(group: Group<R, W>, now: number): Verdict<R, W> {
  const actions: Action<R, W>[] = []
  const waits: Wait<R, W>[] = []
  const granted: W[] = []
  /** Those on whose place somebody counts already. */
  const claimed = new Set<R>(group.residents.filter(({ phase }) => phase === 'leaving'))
  let free = group.capacity - sum(group.residents)
  let coming = sum([...claimed])
  let blocking: W | undefined

  for (const waiter of inOrder(group.waiters, now)) {
    if (blocking) {
      waits.push({ waiter, behind: [{ who: blocking, why: 'has waited longer' }] })
      continue
    }
    if (fits(waiter.weight, free)) {
      free -= waiter.weight
      granted.push(waiter)
      actions.push({ type: 'grant', waiter })
      continue
    }
    const isOverdue = waiter.overdueAt <= now
    const candidates = group.residents.filter(
      (resident) =>
        resident.phase === 'hot' &&
        !claimed.has(resident) &&
        (isOverdue || (resident.busyUntil <= now && resident.residentUntil <= now)),
    )
    const victims = choose(candidates, waiter.weight - free - coming, now)
    if (!victims) {
      if (isOverdue) blocking = waiter
      const inTheWay = group.residents.map((who) => ({ who, why: doing(who, claimed.has(who), now) }))
      waits.push({ waiter, behind: [...inTheWay, ...granted.map((who) => ({ who, why: 'is being started' }))] })
      continue
    }
    for (const resident of victims) {
      claimed.add(resident)
      if (resident.busyUntil <= now) actions.push({ type: 'evict', resident, waiter })
      else if (!resident.held) actions.push({ type: 'hold', resident, waiter })
    }
    waits.push({ waiter, behind: [...claimed].map((who) => ({ who, why: doing(who, true, now) })) })
    const fromFree = Math.max(0, Math.min(free, waiter.weight))
    free -= fromFree
    coming += sum(victims) - (waiter.weight - fromFree)
  }

  for (const resident of group.residents) if (resident.held && !claimed.has(resident)) actions.push({ type: 'unhold', resident })
  return { actions, waits, wakeAt: waits.length > 0 ? nextMoment(group, now) : undefined }
}

const sum = (list: readonly { readonly weight: number }[]): number => list.reduce((total, { weight }) => total + weight, 0)

const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : Number(a.id > b.id))

function inOrder<W extends Waiter>(waiters: readonly W[], now: number): W[] {
  const isOverdue = ({ overdueAt }: W) => overdueAt <= now
  return waiters.toSorted((a, b) => {
    if (isOverdue(a) !== isOverdue(b)) return isOverdue(a) ? -1 : 1
    return (isOverdue(a) ? a.overdueAt - b.overdueAt : a.since - b.since) || byId(a, b)
  })
}

/** Idle ones come first, the least recently used of them before the others; then those held already; then who runs longest. */
function reluctance(resident: Resident, now: number): readonly [rank: number, time: number] {
  if (resident.busyUntil <= now) return [0, resident.lastUsedAt]
  return [resident.held ? 1 : 2, resident.hotSince]
}

/** Those who have to go so that `missing` becomes free: in order of reluctance, none more than needed; undefined if all are too few. */
function choose<R extends Resident>(candidates: readonly R[], missing: number, now: number): readonly R[] | undefined {
  if (fits(missing, 0)) return []
  const chosen: R[] = []
  let total = 0
  const inTurn = candidates.toSorted((a, b) => {
    const [rankA, timeA] = reluctance(a, now)
    const [rankB, timeB] = reluctance(b, now)
    return rankA - rankB || timeA - timeB || byId(a, b)
  })
  for (const resident of inTurn) {
    if (fits(missing, total)) break
    chosen.push(resident)
    total += resident.weight
  }
  if (!fits(missing, total)) return undefined
  return chosen.toReversed().filter((resident) => {
    if (!fits(missing, total - resident.weight)) return true
    total -= resident.weight
    return false
  })
}

function doing({ phase, busyUntil, residentUntil }: Resident, makesWay: boolean, now: number): string {
  if (phase === 'leaving') return 'is going down'
  if (phase === 'starting') return 'is being started'
  if (busyUntil > now) return makesWay ? 'finishes what it has, and takes no new requests' : 'is busy'
  return !makesWay && residentUntil > now ? 'has been hot for less than min_resident_ms' : 'is idle'
}

function nextMoment({ residents, waiters }: Group, now: number): number | undefined {
  const moments = [
    ...waiters.map(({ overdueAt }) => overdueAt),
    ...residents.flatMap(({ busyUntil, residentUntil }) => [busyUntil, residentUntil]),
  ].filter((moment) => moment > now && Number.isFinite(moment))
  return moments.length > 0 ? Math.min(...moments) : undefined
}
