import { setImmediate as tick } from 'node:timers/promises'
import t from 'tap'
import type { ResolvedService } from '../../../core/config/types.ts'
import { HestiaError } from '../../../core/errors.ts'
import { Events, type HestiaEvent } from '../../../core/events.ts'
import { HookLists, type Hooks } from '../../../core/hooks.ts'
import { judge, strangerOf } from '../../../core/instances/adoption.ts'
import type { InstanceRecord } from '../../../core/instances/record.ts'
import { Services } from '../../../core/instances/services.ts'
import type { StarterTraits } from '../../../core/plugin.ts'
import { until } from '../../helpers/until.ts'

const HOUR_MS = 3_600_000

const recordOf = (more: Partial<InstanceRecord> = {}): InstanceRecord => ({
  service: 'svc',
  instance: 'one',
  state: 'hot',
  url: 'http://one.test',
  data: { fake: { id: 7 } },
  idleSince: Date.now() - HOUR_MS,
  since: Date.now() - 2 * HOUR_MS,
  ...more,
})

interface Parts extends Partial<Pick<Hooks, 'beforeStart' | 'onIdle'>> {
  readonly stillRuns?: StarterTraits['stillRuns'] | null
  /** Of a plugin that is no starter. */
  readonly ready?: Hooks['beforeStart']
  readonly start?: Partial<ResolvedService['start']>
  readonly sections?: Record<string, Record<string, unknown>>
}

/** Services as they are after the swap, with what an earlier gateway left. */
function world(records: InstanceRecord[], parts: Parts = {}) {
  const { stillRuns = () => true, beforeStart, onIdle, ready, start, sections = { fake: {} } } = parts
  const events = new Events()
  const seen: HestiaEvent[] = []
  events.subscribe((event) => seen.push(event))
  const starter: StarterTraits = { reportsReadiness: false, ...(stillRuns ? { stillRuns } : {}) }
  const lists = new HookLists(events, new Map([['fake', starter]]))
  const calls: string[] = []
  lists.add('fake', 'beforeStart', (event) => {
    calls.push(`start ${event.adopting ?? 'anew'} ${JSON.stringify(event.instance.data)}`)
    return beforeStart?.(event)
  })
  if (ready) lists.add('health', 'beforeStart', { order: 'post', handler: ready })
  lists.add('fake', 'onIdle', (event) => {
    calls.push(`stop ${event.reason} ${JSON.stringify(event.instance.data)}`)
    return onIdle?.(event)
  })
  const plain = strangerOf(recordOf())
  const config: ResolvedService = {
    ...plain,
    instances: [{ name: 'one', url: 'http://new.test', weight: 1, sections }],
    start: { ...plain.start, timeout_ms: 10_000, cooldown_ms: 10_000, ...start },
    starters: Object.keys(sections),
  }
  const services = new Services({ events, hooks: () => lists })
  services.inherit(records)
  services.reconcile({ server: { drain_timeout_ms: 1000 }, services: { svc: config } } as never, () => true)
  const instance = services.require('svc').instances[0]!
  const told = (type: HestiaEvent['type']) => seen.filter((event) => event.type === type)
  return { services, instance, calls, told }
}

const never = ({ signal }: { signal: AbortSignal }) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))

t.test('R18 what runs still is hot again where it was, with its idle clock, and who comes in the same tick waits', async (t) => {
  const { instance, calls, told } = world([recordOf()])
  t.equal(instance.state, 'starting', 'in the tick of the swap')
  instance.join()
  await until(() => instance.state === 'hot')
  t.same(calls, ['start hot {"fake":{"id":7}}'])
  t.same(instance.data, { fake: { id: 7 } })
  t.equal(instance.url, 'http://one.test')
  t.ok(Math.abs(performance.now() - instance.idleSince - HOUR_MS) < 5000)
  t.match(told('instance.adopted'), [{ was: 'hot', starters: ['fake'] }])
  t.same([...told('instance.ready'), ...told('instance.attempt')], [])
  instance.leave()
  await instance.stop('manual')
  t.equal(instance.url, 'http://new.test', 'what was configured meanwhile counts from now on')
})

t.test('R18 the clock of a start that was under way begins when it is hot', async (t) => {
  const { instance } = world([recordOf({ state: 'starting' })], { start: { abandon: 'abort' } })
  await until(() => instance.state === 'hot')
  t.ok(performance.now() - instance.idleSince < 5000)
})

t.test('R18 what has ended is cleaned up after and not started, but for who waits', async (t) => {
  const lost = world([recordOf()], { stillRuns: () => false })
  await until(() => lost.instance.state === 'cold')
  t.same(lost.calls, ['stop crashed {"fake":{"id":7}}'])
  t.same(lost.instance.data, {})
  t.match(lost.told('instance.not_adopted'), [{ reason: 'what fake had started runs no more', orphaned: false }])
  t.same(lost.told('instance.start_failed'), [])
  t.equal(lost.instance.cooling, undefined)

  const wanted = world([recordOf()], { stillRuns: () => false })
  const started = wanted.instance.start()
  wanted.instance.join()
  await started
  t.same(wanted.calls, ['stop crashed {"fake":{"id":7}}', 'start anew {}'])
  wanted.instance.leave()
})

t.test('R18 a starter that cannot tell is not called, and readiness decides', async (t) => {
  for (const stillRuns of [null, () => Promise.reject(new Error('no answer'))]) {
    const asked: unknown[] = []
    const { instance, calls, told } = world([recordOf()], { stillRuns, ready: ({ adopting }) => void asked.push(adopting) })
    await until(() => instance.state === 'hot')
    t.same(asked, ['hot'])
    t.equal(calls.length, stillRuns ? 1 : 0)
    t.equal(told('hook.failed').length, stillRuns ? 1 : 0)
  }
})

t.test('R18 what runs and is never ready fails as a start does', async (t) => {
  const { instance, calls, told } = world([recordOf()], { ready: never, start: { timeout_ms: 30 } })
  await until(() => instance.state === 'cold')
  t.same(calls, ['start hot {"fake":{"id":7}}', 'stop start_failed {"fake":{"id":7}}'])
  t.match(told('instance.start_failed'), [{ error: /not ready within 30 ms/ }])
  t.ok(instance.cooling)
})

t.test('R18 a stop that was under way is finished, and who came meanwhile starts it anew', async (t) => {
  const { instance, calls } = world([recordOf({ state: 'stopping' })])
  t.equal(instance.state, 'stopping')
  instance.join()
  await until(() => instance.state === 'hot')
  t.same(calls, ['stop shutdown {"fake":{"id":7}}', 'start anew {}'])
  instance.leave()
})

t.test('R18 stopped by hand while it is picked up; left alone by a gateway that ends', async (t) => {
  const stopped = world([recordOf()], { ready: never })
  await tick()
  await stopped.instance.stop('manual')
  t.equal(stopped.instance.state, 'cold')
  t.equal(stopped.calls.at(-1), 'stop start_failed {"fake":{"id":7}}')

  const left = world([recordOf()], { ready: never })
  await tick()
  left.services.close(new HestiaError('shutting_down'))
  await tick()
  t.equal(left.instance.state, 'starting')
  t.same(left.instance.data, { fake: { id: 7 } }, 'it can be picked up by the next')
  await left.services.stopAll('shutdown')
  t.equal(left.instance.state, 'cold')
})

t.test('R18 what is no longer configured is stopped', async (t) => {
  const gone = world([recordOf({ service: 'gone' }), recordOf({ instance: 'two' })])
  await until(() => gone.told('instance.stopped').length === 2)
  t.same(gone.calls, ['stop removed {"fake":{"id":7}}', 'stop removed {"fake":{"id":7}}'])
  t.equal(gone.instance.state, 'cold')

  const other = world([recordOf()], { sections: {} })
  await until(() => other.told('instance.stopped').length === 1)
  t.same(other.calls, ['stop shutdown {"fake":{"id":7}}'])

  const orphan = world([recordOf({ data: { off: {} } })])
  t.equal(orphan.instance.state, 'cold')
  t.match(orphan.told('instance.not_adopted'), [{ orphaned: true, reason: /nothing can stop what off had started/ }])
})

t.test('R18 an instance that nobody starts is probed, for no longer than a moment', async (t) => {
  const up = world([recordOf({ data: {} })], { sections: {}, ready: () => Promise.resolve() })
  await until(() => up.instance.state === 'hot')
  t.same(up.calls, [])
  const down = world([recordOf({ data: {} })], { sections: {}, ready: () => Promise.reject(new Error('refused')) })
  await until(() => down.instance.state === 'cold')
  t.match(down.told('instance.not_adopted'), [{ reason: 'it does not answer' }])
  t.same(down.told('instance.start_failed'), [])
})

t.test('R18 what becomes of a record', (t) => {
  const starters = new Map<string, StarterTraits>([
    ['here', { reportsReadiness: false }],
    ['machine', { reportsReadiness: false, ofMachine: () => true }],
  ])
  const config = { ...strangerOf(recordOf()), starters: ['here', 'machine'] }
  const present = { service: { config }, section: (name: string) => (name === 'here' ? {} : undefined) }
  const actionOf = (state: InstanceRecord['state'], ...names: string[]) =>
    judge(recordOf({ state, data: Object.fromEntries(names.map((name) => [name, {}])) }), present, starters).action
  t.equal(actionOf('hot', 'here'), 'resume')
  t.equal(actionOf('hot', 'here', 'machine'), 'resume', 'a machine is not named by the service')
  t.equal(actionOf('starting', 'here'), 'resume')
  t.equal(actionOf('starting'), 'forget', 'nothing had been started yet')
  t.equal(actionOf('stopping', 'here'), 'end')
  t.equal(actionOf('hot', 'off'), 'forget')
  t.equal(actionOf('hot', 'here', 'off'), 'resume')
  t.equal(actionOf('cold'), 'forget')
  t.end()
})
