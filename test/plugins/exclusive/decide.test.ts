import fc from 'fast-check'
import t from 'tap'
import { type Action, decide, type Group, type Resident, type Verdict, type Waiter } from '../../../plugins/exclusive/decide.ts'

const NEVER = Number.POSITIVE_INFINITY

const resident = (id: string, over: Partial<Resident> = {}): Resident => ({
  id,
  weight: 1,
  phase: 'hot',
  held: false,
  busyUntil: 0,
  lastUsedAt: 0,
  hotSince: 0,
  residentUntil: 0,
  ...over,
})
const waiter = (id: string, over: Partial<Waiter> = {}): Waiter => ({ id, weight: 1, since: 0, overdueAt: 1000, ...over })

const shown = (action: Action): string =>
  action.type === 'grant'
    ? `grant ${action.waiter.id}`
    : action.type === 'unhold'
      ? `unhold ${action.resident.id}`
      : `${action.type} ${action.resident.id} for ${action.waiter.id}`
const ask = (group: Group, now = 100) => {
  const { actions, waits, wakeAt } = decide(group, now)
  return {
    actions: actions.map(shown),
    waits: waits.map(({ waiter, behind }) => `${waiter.id}: ${behind.map(({ who, why }) => `${who.id} ${why}`).join(', ')}`),
    wakeAt,
  }
}

t.test('R28 what fits starts at once, side by side', async (t) => {
  t.same(ask({ capacity: 2, residents: [], waiters: [waiter('a'), waiter('b')] }), {
    actions: ['grant a', 'grant b'],
    waits: [],
    wakeAt: undefined,
  })
  t.same(ask({ capacity: 0.3, residents: [resident('x', { weight: 0.1 })], waiters: [waiter('a', { weight: 0.2 })] }).actions, [
    'grant a',
  ])
})

t.test('R28 idle ones make way: the least recently used, none more than needed', async (t) => {
  const x = resident('x', { weight: 8, lastUsedAt: 50 })
  const y = resident('y', { weight: 8, lastUsedAt: 10 })
  const z = resident('z', { weight: 16, lastUsedAt: 30 })
  t.same(ask({ capacity: 32, residents: [x, y, z], waiters: [waiter('a', { weight: 8 })] }), {
    actions: ['evict y for a'],
    waits: ['a: y is idle'],
    wakeAt: 1000,
  })
  t.same(
    ask({ capacity: 32, residents: [x, y, z], waiters: [waiter('a', { weight: 16 })] }).actions,
    ['evict z for a'],
    'y alone is too little, and is not needed with z',
  )
})

t.test('R28 what goes down already is waited for; nobody else is evicted for it, and nobody overtakes', async (t) => {
  const group = {
    capacity: 2,
    residents: [resident('x', { phase: 'leaving' }), resident('y')],
    waiters: [waiter('a', { since: 1 }), waiter('b', { since: 2 })],
  }
  t.same(ask(group), {
    actions: ['evict y for b'],
    waits: ['a: x is going down', 'b: x is going down, y is idle'],
    wakeAt: 1000,
  })
})

t.test('R28 busy ones stay until somebody is overdue; then they are held, and evicted when they have finished', async (t) => {
  const busy = resident('x', { busyUntil: NEVER })
  const waiters = [waiter('a')]
  t.same(ask({ capacity: 1, residents: [busy], waiters }), { actions: [], waits: ['a: x is busy'], wakeAt: 1000 })
  t.same(ask({ capacity: 1, residents: [busy], waiters }, 1000).actions, ['hold x for a'])
  const held = { ...busy, held: true }
  t.same(ask({ capacity: 1, residents: [held], waiters }, 1001), {
    actions: [],
    waits: ['a: x finishes what it has, and takes no new requests'],
    wakeAt: undefined,
  })
  t.same(ask({ capacity: 1, residents: [{ ...held, busyUntil: 900 }], waiters }, 1001).actions, ['evict x for a'])
  t.same(ask({ capacity: 1, residents: [held], waiters: [] }, 1001).actions, ['unhold x'], 'it waits no more')
})

t.test('R28 min_resident_ms protects from the impatient, not from the overdue', async (t) => {
  const young = resident('x', { residentUntil: 500 })
  t.same(ask({ capacity: 1, residents: [young], waiters: [waiter('a')] }), {
    actions: [],
    waits: ['a: x has been hot for less than min_resident_ms'],
    wakeAt: 500,
  })
  t.same(ask({ capacity: 1, residents: [young], waiters: [waiter('a', { overdueAt: 100 })] }).actions, ['evict x for a'])
})

t.test('R28 who fits goes before an older one who does not, until that is overdue', async (t) => {
  const residents = [resident('x', { busyUntil: NEVER }), resident('s', { phase: 'starting' })]
  const group = { capacity: 3, residents, waiters: [waiter('big', { weight: 3 }), waiter('small', { since: 5 })] }
  t.same(ask(group).actions, ['grant small'])
  t.same(
    ask({ ...group, waiters: [waiter('big', { weight: 3, overdueAt: 50 }), waiter('small', { since: 5 })] }),
    { actions: [], waits: ['big: x is busy, s is being started', 'small: big has waited longer'], wakeAt: 1000 },
    'what is being started has its turn first',
  )
})

t.test(
  'R28 the overdue come first, the most overdue before the others; the idle go before the held, those before the busy',
  async (t) => {
    const waiters = [waiter('old', { since: 1, overdueAt: 900 }), waiter('keen', { since: 40, overdueAt: 50 })]
    const residents = [
      resident('busy', { busyUntil: NEVER, hotSince: 1 }),
      resident('held', { busyUntil: NEVER, held: true, hotSince: 2 }),
      resident('idle', { residentUntil: 5000 }),
    ]
    t.same(ask({ capacity: 3, residents, waiters }).actions, ['evict idle for keen', 'unhold held'])
    t.same(ask({ capacity: 3, residents, waiters: [...waiters, waiter('second', { overdueAt: 60 })] }).actions, [
      'evict idle for keen',
    ])
    t.same(ask({ capacity: 3, residents: residents.slice(0, 2), waiters }).actions, ['grant keen', 'unhold held'])
  },
)

// --- Whatever the group --------------------------------------------------------------------------------------------------

const NOW = 1000
const moment = fc.integer({ min: 0, max: 2 * NOW })
const weight = fc.integer({ min: 1, max: 4 })
const residents = fc.array(
  fc.record({
    weight,
    phase: fc.constantFrom('starting' as const, 'hot' as const, 'hot' as const, 'leaving' as const),
    held: fc.boolean(),
    busyUntil: fc.oneof(moment, fc.constant(NEVER)),
    lastUsedAt: moment,
    hotSince: moment,
    residentUntil: moment,
  }),
  { maxLength: 6 },
)
const waiters = fc.array(fc.record({ weight, since: moment, overdueAt: moment }), { maxLength: 5 })
const groups = fc.record({ capacity: fc.integer({ min: 4, max: 10 }), residents, waiters }).map(
  (group): Group => ({
    ...group,
    residents: group.residents.map((one, i) => ({ ...one, id: `r${i}` })),
    waiters: group.waiters.map((one, i) => ({ ...one, id: `w${i}` })),
  }),
)
const sum = (list: readonly { weight: number }[]) => list.reduce((total, one) => total + one.weight, 0)
const faultsOf = ({ capacity, residents, waiters }: Group, { actions, waits }: Verdict): string[] => {
  const faults: string[] = []
  const granted = actions.flatMap((action) => (action.type === 'grant' ? [action.waiter] : []))
  if (granted.length > 0 && sum(residents) + sum(granted) > capacity) faults.push('more than the capacity')
  if (granted.length + waits.length !== waiters.length) faults.push('somebody was forgotten')
  if (new Set([...granted, ...waits.map((wait) => wait.waiter)]).size !== waiters.length) faults.push('somebody was taken twice')
  const touched = actions.flatMap((action) => (action.type === 'grant' ? [] : [action.resident]))
  if (new Set(touched).size !== touched.length) faults.push('a resident was told two things')
  for (const action of actions) {
    if (action.type === 'grant') continue
    const { busyUntil, residentUntil, phase, held } = action.resident
    if (action.type === 'unhold') {
      if (!held) faults.push('unhold of one that is not held')
      continue
    }
    if (phase !== 'hot') faults.push(`${action.type} of one that is ${phase}`)
    const isOverdue = action.waiter.overdueAt <= NOW
    if (action.type === 'evict' && busyUntil > NOW) faults.push('a busy one was evicted')
    if (action.type === 'evict' && residentUntil > NOW && !isOverdue) faults.push('min_resident_ms was not respected')
    if (action.type === 'hold' && !isOverdue) faults.push('held for somebody who is not overdue')
  }
  for (const { behind } of waits) if (behind.length === 0) faults.push('nobody knows what it waits for')
  return faults
}

t.test(
  'R28 any group: never over capacity, no busy one evicted, min_resident_ms respected, everybody accounted for',
  async () => {
    fc.assert(
      fc.property(groups, (group) => {
        const faults = faultsOf(group, decide(group, NOW))
        if (faults.length > 0) throw new Error(faults.join('; '))
      }),
      { numRuns: 3000 },
    )
  },
)

t.test('R28 any group: the same answer whatever the order of the lists', async () => {
  const shuffled = groups.chain((group) =>
    fc.record({
      group: fc.constant(group),
      residents: fc.shuffledSubarray([...group.residents], { minLength: group.residents.length }),
      waiters: fc.shuffledSubarray([...group.waiters], { minLength: group.waiters.length }),
    }),
  )
  fc.assert(
    fc.property(shuffled, ({ group, residents, waiters }) => {
      const one = decide(group, NOW).actions.map(shown).toSorted()
      const other = decide({ ...group, residents, waiters }, NOW)
        .actions.map(shown)
        .toSorted()
      if (one.join() !== other.join()) throw new Error(`${one.join()} but ${other.join()}`)
    }),
    { numRuns: 2000 },
  )
})

// --- A world that goes on --------------------------------------------------------------------------------------------------

const START_MS = 40
const STOP_MS = 10
const MAX_WAIT_MS = 200

interface Kind {
  readonly weight: number
  /** How long a request takes, and how long until the next one comes. */
  readonly requestMs: number
  readonly everyMs: number
  readonly minResidentMs: number
}

/** One service of the simulation: its requests come in any case, wait while it is not there, and are served all at once. */
class Simulated {
  readonly id: string
  readonly kind: Kind
  state: 'cold' | 'waiting' | 'starting' | 'hot' | 'leaving' = 'cold'
  since = 0
  until = 0
  hotSince = 0
  held = false
  lastUsedAt = 0
  nextAt: number
  line: number[] = []
  running: number[] = []
  longestWait = 0

  constructor(id: string, kind: Kind, offset: number) {
    this.id = id
    this.kind = kind
    this.nextAt = offset
  }

  tick(now: number): void {
    const finished = this.running.filter((end) => end <= now)
    if (finished.length > 0) this.lastUsedAt = now
    this.running = this.running.filter((end) => end > now)
    if (now >= this.nextAt) {
      this.line.push(now)
      this.nextAt = now + this.kind.everyMs
    }
    if (this.state === 'starting' && now >= this.until) {
      this.state = 'hot'
      this.hotSince = now
      this.lastUsedAt = now
      this.held = false
    }
    if (this.state === 'leaving' && now >= this.until) this.state = 'cold'
    if (this.state === 'hot' && !this.held) this.serve(now)
    if (this.state === 'cold' && this.line.length > 0) {
      this.state = 'waiting'
      this.since = this.line[0]!
    }
  }

  serve(now: number): void {
    for (const came of this.line) {
      this.longestWait = Math.max(this.longestWait, now - came)
      this.running.push(now + this.kind.requestMs)
    }
    this.line = []
  }
}

function simulate(capacity: number, kinds: readonly (Kind & { offset: number })[], forMs: number): Simulated[] {
  const all = kinds.map(({ offset, ...kind }, i) => new Simulated(`s${i}`, kind, offset))
  const byId = new Map(all.map((one) => [one.id, one]))
  const live = () => all.filter(({ state }) => state !== 'cold' && state !== 'waiting')
  for (let now = 0; now < forMs; now++) {
    for (const one of all) one.tick(now)
    const { actions } = decide(
      {
        capacity,
        residents: live().map((one) => ({
          id: one.id,
          weight: one.kind.weight,
          phase: one.state as Resident['phase'],
          held: one.held,
          busyUntil: one.running.length > 0 ? NEVER : one.lastUsedAt,
          lastUsedAt: one.lastUsedAt,
          hotSince: one.hotSince,
          residentUntil: one.hotSince + one.kind.minResidentMs,
        })),
        waiters: all
          .filter(({ state }) => state === 'waiting')
          .map((one) => ({ id: one.id, weight: one.kind.weight, since: one.since, overdueAt: one.since + MAX_WAIT_MS })),
      },
      now,
    )
    for (const action of actions) {
      const one = byId.get(action.type === 'grant' ? action.waiter.id : action.resident.id)!
      if (action.type === 'grant') [one.state, one.until] = ['starting', now + START_MS]
      else if (action.type === 'hold') one.held = true
      else if (action.type === 'unhold') {
        one.held = false
        one.serve(now)
      } else {
        if (one.running.length > 0) throw new Error(`${one.id} was stopped in the middle of a request`)
        ;[one.state, one.until] = ['leaving', now + STOP_MS]
      }
    }
    const used = sum(live().map(({ kind }) => kind))
    if (used > capacity) throw new Error(`${used} of ${capacity} at ${now}`)
  }
  return all
}

t.test(
  'R28 two that flood one device take turns: nobody waits longer than max_wait_ms, a request, a stop and a start',
  async (t) => {
    const flood = { weight: 1, requestMs: 30, everyMs: 5, minResidentMs: 0 }
    for (const second of [flood, { ...flood, everyMs: 700 }]) {
      const all = simulate(
        1,
        [
          { ...flood, offset: 0 },
          { ...second, offset: 3 },
        ],
        20_000,
      )
      // What came while it was going down for the other waits for that too, and each step of the simulation takes a moment.
      for (const { longestWait } of all) t.ok(longestWait <= MAX_WAIT_MS + 30 + STOP_MS + START_MS + 10, `${longestWait} ms`)
      t.ok(all[0]!.longestWait > START_MS, 'both had to wait')
    }
  },
)

t.test('R28 any number of services, whatever they do: nobody starves', async () => {
  const kind = fc.record({
    weight: fc.integer({ min: 1, max: 3 }),
    requestMs: fc.integer({ min: 1, max: 60 }),
    everyMs: fc.integer({ min: 1, max: 300 }),
    minResidentMs: fc.integer({ min: 0, max: 1000 }),
    offset: fc.integer({ min: 0, max: 100 }),
  })
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 5 }), fc.array(kind, { minLength: 2, maxLength: 5 }), (capacity, kinds) => {
      const swap = 60 + STOP_MS + START_MS
      for (const { id, longestWait, line, state } of simulate(capacity, kinds, 8000)) {
        // Everybody may have to be waited for once: its turn, and a start under way.
        const bound = MAX_WAIT_MS + kinds.length * 2 * swap
        const waiting = line.length > 0 ? 8000 - line[0]! : 0
        if (Math.max(longestWait, waiting) > bound)
          throw new Error(`${id} (${state}) waited ${longestWait}, ${waiting} > ${bound}`)
      }
    }),
    { numRuns: 150 },
  )
})
