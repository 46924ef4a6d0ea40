import fc from 'fast-check'
import t from 'tap'
import { Type } from '../../core/index.ts'
import type { Instance } from '../../core/instances/instance.ts'
import type { Decision } from '../../core/routing.ts'
import type { Strategy } from '../../core/strategy.ts'
import { type Choosable, choose } from '../../plugins/load-balancer/choose.ts'
import loadBalancer from '../../plugins/load-balancer/index.ts'
import { pick, type Weights } from '../../plugins/load-balancer/pick.ts'
import strategies from '../../plugins/strategies.ts'
import { startGateway } from '../helpers/gateway.ts'
import { type GivenService, PluginWorld, view } from '../helpers/plugin-world.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

type Tap = { teardown(fn: () => unknown): void }

async function makeWorld(t: Tap, service: GivenService, options: Record<string, unknown> = {}) {
  const world = new PluginWorld()
  await world.generation([strategies, [loadBalancer, options]], { svc: service })
  t.teardown(() => world.end())
  const route = async (request = view(), exclude: readonly Instance[] = []): Promise<Decision> =>
    world.current.app.hestia.route(request, world.service(), new Set(exclude))
  return { world, route }
}

const three = [
  { name: 'a', weight: 5 },
  { name: 'b', weight: 1 },
  { name: 'c', weight: 1 },
] as const

/** Runs the picker `count` times; answers the keys. */
function run(candidates: readonly { key: string; weight: number }[], count: number): string[] {
  let weights: Weights = new Map()
  return Array.from({ length: count }, () => {
    const { chosen, after } = pick(candidates, weights)!
    weights = after
    return chosen.key
  })
}

// --- The pure part -----------------------------------------------------------------------------------------------------

t.test('R11 weighted round robin is smooth, in the order that nginx documents', async (t) => {
  const candidates = three.map(({ name, weight }) => ({ key: name, weight }))
  t.same(run(candidates, 7).join(''), 'aabacaa')
  t.same(run(candidates, 14).join(''), 'aabacaaaabacaa')
})

const someWeights = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 6 }).filter((list) => list.some(Boolean))

t.test('R11 each gets its share: exactly per cycle, and within one at any moment', async () => {
  fc.assert(
    fc.property(someWeights, fc.integer({ min: 1, max: 3 }), (list, cycles) => {
      const candidates = list.map((weight, index) => ({ key: `k${index}`, weight }))
      const total = list.reduce((sum, weight) => sum + weight, 0)
      const picks = run(candidates, total * cycles)
      for (const { key, weight } of candidates) {
        let got = 0
        for (const [index, picked] of picks.entries()) {
          if (picked === key) got++
          if (Math.abs(got - ((index + 1) * weight) / total) > 1 + 1e-9) return false
        }
        if (got !== weight * cycles) return false
      }
      return true
    }),
  )
})

const someChoosable: fc.Arbitrary<Choosable> = fc.record({
  key: fc.string({ minLength: 1, maxLength: 3 }),
  weight: fc.integer({ min: 0, max: 3 }),
  region: fc.constantFrom(undefined, 'home', 'office'),
  state: fc.constantFrom('cold', 'starting', 'hot', 'stopping'),
  usable: fc.boolean(),
})
const someOfThem = fc.uniqueArray(someChoosable, { selector: ({ key }) => key, maxLength: 5 })

t.test('R11 R13 whom it chooses: never one without weight; usable, near and ready ones first; always somebody', async () => {
  fc.assert(
    fc.property(someOfThem, fc.constantFrom(undefined, 'home'), fc.boolean(), (all, region, preferReady) => {
      const verdict = choose(all, { region, preferReady }, new Map())
      const weighted = all.filter(({ weight }) => weight > 0)
      if (!verdict) return weighted.length === 0
      const { chosen, start } = verdict
      const usable = weighted.filter((one) => one.usable)
      const pool = usable.length > 0 ? usable : weighted
      const near = pool.filter((one) => one.region === region)
      const field = region !== undefined && near.length > 0 ? near : pool
      if (!field.includes(chosen)) return false
      if (start && (!field.includes(start) || start.state === 'hot' || start.state === 'starting')) return false
      if (!preferReady) return start === undefined
      const rank = ({ state }: Choosable) => (state === 'hot' ? 0 : state === 'starting' ? 1 : 2)
      return rank(chosen) === Math.min(...field.map(rank))
    }),
    { numRuns: 2000 },
  )
})

t.test('R11 an instance that comes up late gets its share from then on, and no burst to make up for the past', async (t) => {
  let weights: Weights = new Map()
  const states: Record<string, Choosable['state']> = { a: 'hot', b: 'cold' }
  const next = (): [string, string | undefined] => {
    const all = ['a', 'b'].map((key) => ({ key, weight: 1, region: undefined, state: states[key]!, usable: true }))
    const { chosen, start, after } = choose(all, { region: undefined, preferReady: true }, weights)!
    weights = after
    return [chosen.key, start?.key]
  }
  const before = Array.from({ length: 50 }, next)
  t.ok(before.every(([chosen]) => chosen === 'a'))
  t.ok(before.some(([, start]) => start === 'b'))
  states.b = 'hot'
  const after = Array.from({ length: 10 }, () => next()[0]).join('')
  t.match(after, /^(ab){5}$|^(ba){5}$/)
})

// --- The plugins -------------------------------------------------------------------------------------------------------

t.test('R11 without a strategy the load balancer spreads requests; one instance is just base_url', async (t) => {
  const { world, route } = await makeWorld(t, { instances: three }, { prefer_ready: false })
  const chosen: string[] = []
  for (let i = 0; i < 7; i++) {
    const decision = await route()
    t.match(decision, { reason: 'load_balancer', plugin: 'load-balancer' })
    chosen.push(decision.instance.name)
  }
  t.equal(chosen.join(''), 'aabacaa')
  t.match(world.seen.at(-1), { type: 'request.routed', service: 'svc', instance: 'a', reason: 'load_balancer' })

  const single = await makeWorld(t, {})
  t.match(await single.route(), { reason: 'base_url', plugin: 'core' })
})

t.test('R11 prefer_ready: what runs answers, and the one whose turn it is starts in the background', async (t) => {
  const { world, route } = await makeWorld(t, { instances: [{ name: 'a' }, { name: 'b' }] })
  await world.instance('a').start()
  const first = [(await route()).instance.name, (await route()).instance.name]
  t.same(first, ['a', 'a'])
  await until(() => world.instance('b').state === 'hot')
  const names = new Set([(await route()).instance.name, (await route()).instance.name])
  t.equal(names.size, 2)

  const asleep = await makeWorld(t, { instances: [{ name: 'a' }, { name: 'b' }] })
  await asleep.world.instance('a').start()
  for (let i = 0; i < 4; i++) {
    const request = view()
    request.passive = true
    t.equal((await asleep.route(request)).instance.name, 'a')
  }
  t.equal(asleep.world.instance('b').state, 'cold', 'a passive request wakes nobody')
})

t.test('R13 unhealthy and excluded instances are passed over, as long as there is another', async (t) => {
  const { world, route } = await makeWorld(t, { instances: [{ name: 'a' }, { name: 'b' }, { name: 'never', weight: 0 }] })
  const a = world.instance('a')
  const b = world.instance('b')
  await Promise.all([a.start(), b.start()])
  a.setHealth(false, 'test')
  for (let i = 0; i < 3; i++) t.equal((await route()).instance, b)
  b.setHealth(false, 'test')
  const both = new Set([(await route()).instance, (await route()).instance])
  t.equal(both.size, 2, 'all are unhealthy: one of them is tried')
  a.setHealth(true, 'test')
  t.equal((await route(view(), [a])).instance, b)
  t.match(await route(view(), [a, b]), { instance: world.instance('never'), reason: 'base_url' })
  await t.rejects(route(view(), world.service().instances), { code: 'no_instance' })
})

t.test('R11 region: near instances are taken as long as one of them is usable', async (t) => {
  const instances = [
    { name: 'far', region: 'office', weight: 9 },
    { name: 'near', region: 'home' },
  ]
  const { world, route } = await makeWorld(t, { instances, sections: { 'load-balancer': { region: 'home' } } })
  await Promise.all([world.instance('far').start(), world.instance('near').start()])
  for (let i = 0; i < 3; i++) t.equal((await route()).instance.name, 'near')
  world.instance('near').setHealth(false, 'test')
  t.equal((await route()).instance.name, 'far')
})

t.test('R16 the turn goes on where it was after a reload', async (t) => {
  const { world, route } = await makeWorld(t, { instances: three }, { prefer_ready: false })
  const chosen: string[] = []
  for (let i = 0; i < 7; i++) {
    if (i === 3) {
      const old = world.current
      await world.generation([strategies, [loadBalancer, { prefer_ready: false }]], { svc: { instances: three } })
      await old.retire()
    }
    chosen.push((await route()).instance.name)
  }
  t.equal(chosen.join(''), 'aabacaa')
})

const byHeader: Strategy = {
  name: 'by_header',
  select: (request, { instances }) => instances.find(({ name }) => name === request.headers.to),
}

t.test('R11 the strategy of the service decides; without an opinion the load balancer does', async (t) => {
  const { world, route } = await makeWorld(t, { instances: three, strategy: 'by_header' })
  t.match(await route(view({ headers: { to: 'c' } })), { reason: 'load_balancer' }, 'R14 its file is gone: no opinion')
  world.strategies.set('by_header', byHeader)
  t.match(await route(view({ headers: { to: 'c' } })), {
    instance: world.instance('c'),
    reason: 'strategy',
    plugin: 'strategies',
    strategy: 'by_header',
  })
  t.match(
    world.seen.findLast(({ type }) => type === 'request.routed'),
    { strategy: 'by_header' },
  )
  t.match(await route(view({ headers: { to: 'x' } })), { reason: 'load_balancer' })
  t.match(await route(view({ headers: { to: 'c' } }), [world.instance('c')]), { reason: 'load_balancer' }, 'c was tried')
  world.strategies.set('by_header', {
    name: 'by_header',
    select: (_, { instances }) => ({ instance: instances[1]!, reason: 'mapping' }),
  })
  t.match(await route(), { instance: world.instance('b'), reason: 'mapping' }, 'R14 a changed strategy counts at once')
})

t.test('R11 a strategy that fails, fails the request and nothing else', async (t) => {
  const { world, route } = await makeWorld(t, { instances: three, strategy: 'broken' })
  const select = (fn: () => unknown) => world.strategies.set('broken', { name: 'broken', select: fn as Strategy['select'] })
  select(() => {
    throw new TypeError('x is not a function')
  })
  await t.rejects(route(), {
    code: 'routing_failed',
    statusCode: 502,
    message: 'Strategy broken could not choose an instance of service svc: x is not a function.',
  })
  for (const answer of [{}, 'a', 7, { instance: {} }, { name: 'a', url: 'http://a.test' }]) {
    select(() => answer)
    await t.rejects(route(), { code: 'routing_failed', message: /it answered none of the instances/ })
  }
  for (const promise of [() => Promise.resolve(), () => Promise.reject(new Error('late'))]) {
    select(promise)
    await t.rejects(route(), { code: 'routing_failed', message: /must answer at once, not with a promise/ })
  }
  for (const nothing of [undefined, null, false]) {
    select(() => nothing)
    t.match(await route(), { reason: 'load_balancer' })
  }
})

t.test('R11 what a strategy sees: each instance as it is now, and nothing it could break', async (t) => {
  const instances = [{ name: 'a', url: 'http://a:1', machine: 'box', region: 'home', weight: 3 }, { name: 'b' }]
  const { world, route } = await makeWorld(t, { instances, strategy: 'looker', routing: { x: 1 } })
  const views: unknown[] = []
  world.strategies.set('looker', {
    name: 'looker',
    select: (_, service) => {
      views.push(service)
      const [first] = service.instances
      const { name, url, machine, region, weight, state, healthy, inFlight } = first!
      t.match(
        { name, url, machine, region, weight, state, healthy, inFlight, routing: service.routing, id: service.id },
        {
          name: 'a',
          url: 'http://a:1',
          machine: 'box',
          region: 'home',
          weight: 3,
          state: world.instance('a').state,
          healthy: true,
          inFlight: world.instance('a').inFlight,
          routing: { x: 1 },
          id: 'svc',
        },
      )
      t.throws(() => Object.assign(first!, { weight: 9 }))
      t.throws(() => (service.instances as unknown[]).push(1))
      t.notOk('start' in first!)
      return undefined
    },
  })
  await route()
  await world.instance('a').start()
  const lease = world.instance('a').tryAcquire()!
  await route()
  lease.release()
  t.equal(views[0], views[1], 'the view is made once')
  const old = world.current
  await world.generation([strategies, loadBalancer], { svc: { instances: [{ name: 'b' }], strategy: 'looker' } })
  world.strategies.set('looker', { name: 'looker', select: (_, { instances }) => instances.find(({ name }) => name === 'a') })
  t.match(await route(), { reason: 'base_url' }, 'a changed configuration makes another view')
  t.match(await old.app.hestia.route(view(), world.service()), { reason: 'base_url' }, 'also for requests that are older')
  await old.retire()
})

t.test('R12 only a strategy that declares it reads the body gets to see it', async (t) => {
  const { world, route } = await makeWorld(t, { instances: three, strategy: 'reader' })
  const { hooks } = world.current
  t.equal(hooks.readsBody(world.service()), false)
  world.strategies.set('reader', {
    name: 'reader',
    reads: ['body'],
    routing: Type.Object({}),
    select: ({ body }, { instances }) => instances.find(({ name }) => name === (body as { to: string }).to),
  })
  t.equal(hooks.readsBody(world.service()), true)
  t.equal(hooks.readsBody(undefined), false)
  t.match(await route(view({ body: { to: 'b' } })), { instance: world.instance('b') })
})

// --- The whole gateway -------------------------------------------------------------------------------------------------

const post = (url: string, body: unknown) =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

t.test('R12 requests go where their model lives, with the bytes that were sent; others are spread', async (t) => {
  const a = await httpUpstream(t, (_, response) => response.end('a'))
  const b = await httpUpstream(t, (_, response) => response.end('b'))
  const gateway = await startGateway(t, {
    config: `
plugins: { defaults: false, strategies: {}, load-balancer: {}, queue: {}, health: {}, proxy: {} }
services:
  llm:
    instances:
      - { name: a, url: "${a.url}", weight: 2 }
      - { name: b, url: "${b.url}" }
    warmup_ms: 0
    strategy: model_router
    routing: { by_model: { llama3: "${a.url}", mistral: b } }
`,
  })
  const url = `${gateway.url}/services/llm/v1/chat/completions`
  const answers: string[] = []
  for (const model of ['mistral', 'llama3', 'mistral']) answers.push(await (await post(url, { model, n: 1 })).text())
  t.same(answers, ['b', 'a', 'b'])
  t.equal(b.seen[0]!.body.toString(), '{"model":"mistral","n":1}')
  t.match(
    gateway.events.filter(({ type }) => type === 'request.routed'),
    [
      { instance: 'b', reason: 'mapping', strategy: 'model_router' },
      { instance: 'a', reason: 'mapping' },
      { instance: 'b', reason: 'mapping' },
    ],
  )
  const spread: string[] = []
  for (let i = 0; i < 6; i++) spread.push(await (await post(url, { model: 'unknown' })).text())
  t.equal(spread.join(''), 'abaaba')
})

t.test(
  'R13 R14 an instance that is gone: its requests are answered by another, under a strategy dropped meanwhile',
  async (t) => {
    const a = await httpUpstream(t, (_, response) => response.end('a'))
    const b = await httpUpstream(t, (_, response) => response.end('b'))
    const gateway = await startGateway(t, {
      config: `
plugins: { defaults: false, strategies: {}, load-balancer: {}, queue: {}, health: { interval_ms: 10, url: / }, proxy: {} }
services:
  web:
    instances: [{ name: a, url: "${a.url}" }, { name: b, url: "${b.url}" }]
    start: { timeout_ms: 500 }
    strategy: pick
`,
      files: { 'strategies/pick.ts': "export default { name: 'pick', select: (_, { instances }) => instances[0] }" },
    })
    const get = async () => (await fetch(`${gateway.url}/services/web/x`)).text()
    t.equal(await get(), 'a')
    await gateway.write('strategies/pick.ts', "export default { name: 'pick', select: (_, { instances }) => instances.at(-1) }")
    await until(async () => (await get()) === 'b')
    await gateway.write(
      'strategies/pick.ts',
      "export default { name: 'pick', select: (_, { instances }) => instances.find((i) => i.healthy) }",
    )
    await until(async () => (await get()) === 'a')
    await a.close()
    t.equal(await get(), 'b')
    t.equal(await get(), 'b')
  },
)
