import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import type { InstanceView, Strategy } from '../../core/strategy.ts'
import modelRouter from '../../strategies/model_router.ts'
import region from '../../strategies/region.ts'
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
  for (const body of [undefined, null, 7, 'llama3', [], {}, { model: 'gpt' }, { model: 1 }, { model: 'toString' }])
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
