import { Value } from '@sinclair/typebox/value'
import fc from 'fast-check'
import t from 'tap'
import { rendezvous } from '../../core/rendezvous.ts'
import type { InstanceView, Strategy } from '../../core/strategy.ts'
import abTest from '../../strategies/ab_test.ts'
import leastBusy from '../../strategies/least_busy.ts'
import modelRouter from '../../strategies/model_router.ts'
import region from '../../strategies/region.ts'
import sticky from '../../strategies/sticky.ts'
import { view } from '../helpers/plugin-world.ts'

const make = (name: string, more: Partial<InstanceView> = {}): InstanceView => ({
  name,
  url: `http://${name}:11434`,
  machine: undefined,
  region: undefined,
  weight: 1,
  state: 'hot',
  healthy: true,
  inFlight: 0,
  ...more,
})

/** Options as the configuration gives them: with their defaults. */
function routingOf<S extends Strategy>(strategy: S, given: Record<string, unknown>) {
  const routing = Value.Default(strategy.routing!, given)
  t.ok(Value.Check(strategy.routing!, routing))
  return routing as never
}

t.test('R12 model_router', async (t) => {
  const a = make('llm-a')
  const b = make('llm-b')
  const instances = [a, b]
  const routing = routingOf(modelRouter, { by_model: { llama3: 'http://llm-a:11434/', mistral: 'llm-b', constructor: 'llm-a' } })
  const select = (body: unknown) => modelRouter.select(view({ body }), { id: 'svc', instances, routing })
  t.same(select({ model: 'llama3' }), { instance: a, reason: 'mapping' }, 'by URL')
  t.same(select({ model: 'mistral' }), { instance: b, reason: 'mapping' }, 'by name')
  for (const body of [
    undefined,
    null,
    7,
    'llama3',
    [],
    {},
    { model: 'gpt' },
    { model: 1 },
    { model: 'toString' },
    { model: null },
    { x: { model: 'llama3' } },
  ])
    t.equal(select(body), undefined, JSON.stringify(body))
  t.equal(modelRouter.select(view(), { id: 'svc', instances: [b], routing: routingOf(modelRouter, {}) }), undefined)

  const other = routingOf(modelRouter, { model_key: 'voice', by_model: { anna: 'llm-b' } })
  const answer = modelRouter.select(view({ body: { voice: 'anna' } }), { id: 'svc', instances, routing: other })
  t.same(answer, { instance: b, reason: 'mapping' }, 'any field')

  t.same(modelRouter.check!({ id: 'svc', instances, routing }), [])
  t.same(modelRouter.check!({ id: 'svc', instances, routing: routingOf(modelRouter, { by_model: { x: 'llm-c' } }) }), [
    'by_model.x names "llm-c", which is none of the instances of this service',
  ])
  t.notOk(Value.Check(modelRouter.routing!, { model_key: 'm', by_model: { x: 1 } }))
})

t.test('R11 region', async (t) => {
  const instances = [
    make('cold home', { region: 'home', state: 'cold' }),
    make('busy home', { region: 'home', inFlight: 4 }),
    make('free home', { region: 'home', inFlight: 1 }),
    make('office', { region: 'office' }),
    make('sick lab', { region: 'lab', healthy: false }),
  ]
  const select = (headers: Record<string, string>, routing: Record<string, unknown> = {}) =>
    (region.select(view({ headers }), { id: 'svc', instances, routing: routingOf(region, routing) }) as InstanceView | undefined)
      ?.name
  t.equal(select({ 'x-region': 'home' }), 'free home')
  t.equal(select({ 'x-region': 'office' }), 'office')
  t.equal(select({}), undefined)
  t.equal(select({ 'x-region': 'mars' }), undefined)
  t.equal(select({ 'x-region': 'lab' }, { prefer: ['office'] }), 'office', 'its only one is unhealthy')
  t.equal(select({}, { prefer: ['mars', 'office'] }), 'office')
  t.equal(select({ 'cf-ipcountry': 'office' }, { header: 'CF-IPCountry' }), 'office')
})

const clients = Array.from({ length: 3000 }, (_, index) => `client-${index}`)

t.test('R11 rendezvous: each gets its share, and no more keys move than have to', async (t) => {
  const names = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 2, maxLength: 8 })
  fc.assert(
    fc.property(names, fc.array(fc.string(), { maxLength: 50 }), fc.nat(), (names, keys, which) => {
      const all = names.map((name) => ({ name }))
      const gone = all[which % all.length]!
      return keys.every((key) => {
        const before = rendezvous(key, all, () => 1)!
        const after = rendezvous(key, all.filter((one) => one !== gone).toReversed(), () => 1)
        return before === gone ? after !== gone : after === before
      })
    }),
  )
  const weights: Record<string, number> = { a: 1, b: 3, c: 0 }
  const all = Object.keys(weights).map((name) => ({ name }))
  const spread = (weights: Record<string, number>) =>
    clients.map((key) => rendezvous(key, all, ({ name }) => weights[name]!)!.name)
  const before = spread(weights)
  const share = before.filter((name) => name === 'b').length / clients.length
  t.ok(Math.abs(share - 0.75) < 0.03, `${share}`)
  t.notOk(before.includes('c'))
  const after = spread({ a: 1, b: 6, c: 0 })
  t.ok(
    clients.every((_, index) => after[index] === before[index] || after[index] === 'b'),
    'a raised weight moves keys to it only',
  )
  t.equal(
    rendezvous('x', [], () => 1),
    undefined,
  )
  t.equal(
    rendezvous('x', all, () => 0),
    undefined,
  )
})

t.test('R11 sticky: one client, one instance', async (t) => {
  const instances = ['a', 'b', 'c', 'd'].map((name) => make(name))
  const none = routingOf(sticky, {})
  const by = routingOf(sticky, { cookie: 'session', header: 'X-Client' })
  const select = (headers: Record<string, string>, routing = none, among: readonly InstanceView[] = instances) =>
    (sticky.select(view({ headers }), { id: 'svc', instances: among, routing }) as InstanceView | undefined)?.name
  const map = (among = instances) => clients.map((client) => select({ cookie: `x=1; session=${client}` }, by, among))
  const before = map()
  t.same(map(), before)
  t.same(map(instances.toReversed()), before, 'whatever their order')
  t.equal(new Set(before).size, 4)
  const fewer = map(instances.slice(0, 3))
  t.ok(
    clients.every((_, index) => before[index] === 'd' || fewer[index] === before[index]),
    'the others stay',
  )
  const sick = map(instances.map((instance) => (instance.name === 'd' ? make('d', { healthy: false }) : instance)))
  t.same(sick, fewer, 'an unhealthy one is skipped, its clients come back to it')
  t.equal(select({ 'x-client': clients[0]! }, by), before[0], 'a header does without the cookie')
  t.equal(select({ cookie: `session=${clients[0]}`, 'x-client': 'other' }, by), before[0], 'the cookie goes first')
  t.equal(select({}, by), select({ 'x-client': '127.0.0.1' }, by), 'else the address')
  t.equal(select({}), select({}, by))
  t.equal(select({}, none, [make('a', { healthy: false })]), undefined)
})

t.test('R11 ab_test: shares of the clients, each of whom stays on one variant', async (t) => {
  const instances = [make('stable'), make('canary'), make('other')]
  const map = (variants: Record<string, number>, among: readonly InstanceView[] = instances) => {
    const routing = routingOf(abTest, { variants, header: 'x-user' })
    return clients.map(
      (client) =>
        (
          abTest.select(view({ headers: { 'x-user': client } }), { id: 'svc', instances: among, routing }) as
            | InstanceView
            | undefined
        )?.name,
    )
  }
  const before = map({ stable: 90, canary: 10 })
  const share = before.filter((name) => name === 'canary').length / clients.length
  t.ok(Math.abs(share - 0.1) < 0.02, `${share}`)
  t.notOk(before.includes('other'))
  const more = map({ stable: 90, canary: 30 })
  t.ok(clients.every((_, index) => before[index] === more[index] || more[index] === 'canary'))
  t.same(new Set(map({ stable: 90, canary: 10 }, [make('stable'), make('canary', { healthy: false })])), new Set(['stable']))
  t.same(new Set(map({ stable: 0 })), new Set([undefined]))
  const check = (variants: Record<string, number>) =>
    abTest.check!({ id: 'svc', instances, routing: routingOf(abTest, { variants }) })
  t.same(check({ stable: 1 }), [])
  t.same(check({ stable: 1, beta: 1 }), ['variants.beta is the name of none of the instances of this service'])
  t.notOk(Value.Check(abTest.routing!, { variants: { stable: -1 } }))
  t.notOk(Value.Check(abTest.routing!, {}))
})

t.test('R11 least_busy: the fewest in flight for its weight', async (t) => {
  const select = (...instances: InstanceView[]) =>
    (leastBusy.select(view(), { id: 'svc', instances, routing: {} }) as InstanceView | undefined)?.name
  t.equal(select(make('a', { inFlight: 3 }), make('b', { inFlight: 2 })), 'b')
  t.equal(select(make('a', { inFlight: 3 }), make('b', { inFlight: 2 }), make('c', { inFlight: 4, weight: 3 })), 'c')
  t.equal(select(make('a', { inFlight: 9 }), make('b', { healthy: false }), make('c', { weight: 0 })), 'a')
  t.equal(select(make('a', { inFlight: 9 }), make('b', { state: 'starting' })), 'a')
  t.equal(select(make('a', { inFlight: 9 }), make('b', { state: 'cold' })), 'a')
  t.equal(select(make('a', { state: 'cold' })), undefined)
  t.equal(select(), undefined)
})
