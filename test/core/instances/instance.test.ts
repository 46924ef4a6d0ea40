import { setTimeout as sleep, setImmediate as tick } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { ResolvedInstance, ResolvedService } from '../../../core/config/types.ts'
import { HestiaError } from '../../../core/errors.ts'
import { Events, type HestiaEvent } from '../../../core/events.ts'
import { HookLists, type Hooks } from '../../../core/hooks.ts'
import type { Instance } from '../../../core/instances/instance.ts'
import type { Lease } from '../../../core/instances/lease.ts'
import { Service } from '../../../core/instances/service.ts'
import type { InstanceState, StopReason } from '../../../core/instances/state.ts'
import type { StartPolicy } from '../../../schemas/service.ts'
import { until } from '../../helpers/until.ts'

const START: StartPolicy = {
  attempts: 1,
  delay_ms: 0,
  timeout_ms: 10_000,
  cooldown_ms: 10_000,
  abandon: 'finish',
  linger_ms: 0,
}

const ONE: ResolvedInstance = { name: 'one', url: 'http://one.test', weight: 1, sections: {} }

const configOf = (start: Partial<StartPolicy> = {}, instances: readonly ResolvedInstance[] = [ONE]): ResolvedService => ({
  id: 'svc',
  instances,
  fallback: null,
  hosts: [],
  tags: [],
  requires: {},
  models: undefined,
  aliases: {},
  warmup_ms: undefined,
  start: { ...START, ...start },
  strategy: undefined,
  routing: {},
  sections: {},
  named: [],
  starters: ['fake'],
})

type Handlers = Partial<Pick<Hooks, 'beforeStart' | 'onReady' | 'onIdle'>> & { readonly ask?: Hooks['onIdle'] }

/** A service with one instance, real hook lists and a record of everything that happens. */
function make(handlers: Handlers = {}, start: Partial<StartPolicy> = {}) {
  const events = new Events()
  const seen: HestiaEvent[] = []
  events.subscribe((event) => seen.push(event))
  const lists = new HookLists(events)
  if (handlers.ask) lists.add('asker', 'onIdle', { order: 'pre', handler: handlers.ask })
  if (handlers.beforeStart) lists.add('starter', 'beforeStart', handlers.beforeStart)
  if (handlers.onReady) lists.add('listener', 'onReady', handlers.onReady)
  if (handlers.onIdle) lists.add('starter', 'onIdle', handlers.onIdle)
  const service = new Service(configOf(start), { events, hooks: () => lists, vacated: () => undefined })
  const instance = service.instances[0]!
  const states = () => seen.flatMap((event) => (event.type === 'instance.state' ? [event.to] : []))
  const count = (type: HestiaEvent['type']) => seen.filter((event) => event.type === type).length
  return { service, instance, events, seen, states, count }
}

/** Waits as a request does: ends with a lease, or with the error it was told. */
function take(instance: Instance): Promise<Lease> {
  const lease = instance.tryAcquire()
  if (lease) return Promise.resolve(lease)
  return new Promise((resolve, reject) => {
    const unsubscribe = instance.subscribe((change, error) => {
      if (change === 'failed') {
        over()
        reject(error!)
      } else {
        const granted = instance.tryAcquire()
        if (!granted) return
        over()
        resolve(granted)
      }
    })
    const over = () => {
      unsubscribe()
      instance.leave()
    }
    try {
      instance.join()
    } catch (thrown) {
      unsubscribe()
      reject(thrown)
    }
  })
}

/** A promise and what settles it. */
function deferred(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve!: () => void
  let reject!: (error: Error) => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** Ends when the signal is aborted, as every starter's waiting must. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))

const failing =
  (message = 'no such file'): Hooks['beforeStart'] =>
  () =>
    Promise.reject(new Error(message))

t.test('R5 a cold instance is started once for 100 requests, and all are told in the order in which they came', async (t) => {
  const gate = deferred()
  let starts = 0
  const { instance, states } = make({
    beforeStart: () => {
      starts++
      return gate.promise
    },
  })
  const order: number[] = []
  const leases = Array.from({ length: 100 }, (_, index) =>
    take(instance).then((lease) => {
      order.push(index)
      return lease
    }),
  )
  t.equal(instance.waiting, 100)
  t.equal(instance.state, 'starting')
  gate.resolve()
  const all = await Promise.all(leases)
  t.equal(starts, 1)
  t.same(
    order,
    Array.from({ length: 100 }, (_, index) => index),
  )
  t.equal(instance.inFlight, 100)
  t.equal(instance.waiting, 0)
  for (const lease of all) {
    lease.release()
    lease.release()
  }
  t.equal(instance.inFlight, 0, 'a lease counts once, however often it is given back')
  t.same(states(), ['starting', 'hot'])
})

t.test('R5 the caller who leaves neither cancels nor fails the start for others', async (t) => {
  const gate = deferred()
  let signal: AbortSignal | undefined
  const { instance } = make({
    beforeStart: (event) => {
      signal = event.signal
      return gate.promise
    },
  })
  instance.join()
  const other = take(instance)
  instance.leave()
  gate.resolve()
  await other
  t.equal(signal?.aborted, false)
  t.equal(instance.state, 'hot')
})

t.test('R5 abandon: a start that nobody waits for goes on, or ends after linger_ms', async (t) => {
  t.test('finish', async (t) => {
    const gate = deferred()
    const { instance } = make({ beforeStart: () => gate.promise })
    instance.join()
    instance.leave()
    gate.resolve()
    await until(() => instance.state === 'hot')
    t.equal(instance.waiting, 0)
  })
  t.test('abort', async (t) => {
    const reasons: StopReason[] = []
    const { instance } = make(
      { beforeStart: ({ signal }) => aborted(signal), onIdle: ({ reason }) => void reasons.push(reason) },
      { abandon: 'abort' },
    )
    instance.join()
    instance.leave()
    await until(() => instance.state === 'cold')
    t.same(reasons, ['start_failed'])
    t.equal(instance.cooling, undefined, 'giving up is no failure')
  })
  t.test('somebody else comes while it lingers', async (t) => {
    const gate = deferred()
    let starts = 0
    const { instance } = make(
      {
        beforeStart: () => {
          starts++
          return gate.promise
        },
      },
      { abandon: 'abort', linger_ms: 30 },
    )
    instance.join()
    instance.leave()
    const other = take(instance)
    await sleep(60)
    t.equal(instance.state, 'starting')
    gate.resolve()
    await other
    t.equal(starts, 1)
  })
  t.test('a start by hand that joins in is not given up', async (t) => {
    const gate = deferred()
    const { instance } = make({ beforeStart: () => gate.promise }, { abandon: 'abort', linger_ms: 20 })
    instance.join()
    instance.leave()
    const started = instance.start()
    await sleep(50)
    gate.resolve()
    await started
    t.equal(instance.state, 'hot')
  })
})

t.test(
  'R7 each failed attempt is cleaned up, announced and followed by the next; the last error reaches all who wait',
  async (t) => {
    const log: string[] = []
    const { instance, seen, count } = make(
      {
        beforeStart: ({ attempt, instance }) => {
          instance.data.starter = { attempt }
          log.push(`start ${attempt}`)
          return Promise.reject(new Error(`broken ${attempt}`))
        },
        onIdle: ({ reason, instance }) => void log.push(`${reason} ${String(instance.data.starter?.attempt)}`),
      },
      { attempts: 3, delay_ms: 5 },
    )
    const results = await Promise.allSettled([take(instance), take(instance)])
    t.same(log, ['start 1', 'start_failed 1', 'start 2', 'start_failed 2', 'start 3', 'start_failed 3'])
    t.same(instance.data, {}, 'what a starter recorded is gone')
    for (const result of results) {
      const error = (result as PromiseRejectedResult).reason as HestiaError
      t.equal(error.code, 'start_failed')
      t.equal(error.statusCode, 503)
      t.match(error.message, 'Service svc could not be started on instance one: broken 3.')
      t.same(error.fields, { service: 'svc', instance: 'one', cause: 'broken 3', attempts: 3 })
      t.equal(error.retryAfterMs, 10_000)
    }
    t.equal(instance.state, 'cold')
    t.equal(instance.waiting, 0)
    t.equal(count('instance.attempt'), 3)
    t.equal(count('instance.attempt_failed'), 3)
    t.equal(count('instance.start_failed'), 1)
    t.match(
      seen.find(({ type }) => type === 'instance.attempt_failed'),
      { attempt: 1, attempts: 3, error: 'broken 1' },
    )
  },
)

t.test('R7 those who waited for a start that failed are told so, also when the next one could begin at once', async (t) => {
  const { instance, count } = make({ beforeStart: failing() }, { cooldown_ms: 0 })
  await t.rejects(take(instance), { code: 'start_failed', message: /no such file/ })
  t.equal(count('instance.attempt'), 1)
  t.equal(instance.state, 'cold')
})

t.test('R7 a failed instance cools down with growing back-off, so that clients drive no crash loop', async (t) => {
  let broken = true
  let starts = 0
  const { instance } = make(
    {
      beforeStart: () => {
        starts++
        return broken ? Promise.reject(new Error('broken')) : Promise.resolve()
      },
    },
    { cooldown_ms: 1000 },
  )
  await t.rejects(take(instance), { code: 'start_failed', retryAfterMs: 1000 })
  await t.rejects(take(instance), { code: 'start_failed', message: /broken/ })
  t.equal(starts, 1, 'while it cools down it is not started')
  t.ok(instance.cooling!.retryAfterMs! <= 1000)
  await t.rejects(instance.start(), { code: 'start_failed', retryAfterMs: 2000 })
  t.equal(starts, 2, 'a start by hand does not wait')
  await t.rejects(instance.start(), { code: 'start_failed', retryAfterMs: 4000 })
  for (let i = 0; i < 20; i++) await instance.start().catch(() => undefined)
  t.ok(instance.cooling!.retryAfterMs! <= 60_000, 'never longer than a minute')
  broken = false
  await instance.start()
  t.equal(instance.cooling, undefined)
  t.equal(instance.healthy, true)
})

t.test('R7 start.timeout_ms ends an attempt; progress puts it off when stall_ms is set', async (t) => {
  t.test('without progress', async (t) => {
    const { instance } = make({ beforeStart: ({ signal }) => aborted(signal) }, { timeout_ms: 30 })
    await t.rejects(take(instance), { message: /it was not ready within 30 ms \(start.timeout_ms\)/ })
  })
  t.test('a handler that ignores its signal does not hold the attempt up', async (t) => {
    const { instance } = make({ beforeStart: () => new Promise(() => undefined) }, { timeout_ms: 30 })
    await t.rejects(take(instance), { code: 'start_failed' })
    t.equal(instance.state, 'cold')
  })
  t.test('with progress', async (t) => {
    const { instance, count } = make(
      {
        beforeStart: async ({ progress }) => {
          for (let i = 0; i < 8; i++) {
            progress(`layer ${i}`)
            await sleep(20)
          }
        },
      },
      { timeout_ms: 60, stall_ms: 1000 },
    )
    const lease = await take(instance)
    lease.release()
    t.equal(count('instance.progress'), 8)
  })
  t.test('the last sign of life is in the error', async (t) => {
    const { instance } = make(
      {
        beforeStart: ({ signal, progress }) => {
          progress('loading weights')
          return aborted(signal)
        },
      },
      { timeout_ms: 30, stall_ms: 40 },
    )
    await t.rejects(take(instance), { message: /the last sign of life was: loading weights/ })
  })
})

t.test('R28 a start that stands by: its clock does not run, and it is not finished for nobody', async (t) => {
  /** A start that first waits for a place, and then for the starter. */
  const standing = (start: Partial<StartPolicy> = {}) => {
    const place = deferred()
    const gate = deferred()
    const { instance } = make(
      {
        beforeStart: async ({ standBy, signal }) => {
          await standBy(Promise.race([place.promise, aborted(signal)]))
          await Promise.race([gate.promise, aborted(signal)])
        },
      },
      start,
    )
    return { instance, place, gate }
  }
  t.test('the time does not count, what follows does', async (t) => {
    const { instance, place, gate } = standing({ timeout_ms: 40, cooldown_ms: 0 })
    const lease = take(instance)
    await sleep(80)
    t.equal(instance.state, 'starting')
    place.resolve()
    gate.resolve()
    ;(await lease).release()
    await instance.stop('manual')
    const slow = standing({ timeout_ms: 40 })
    const inVain = take(slow.instance)
    await sleep(20)
    slow.place.resolve()
    await t.rejects(inVain, { message: /it was not ready within 40 ms/ })
  })
  t.test('nobody waits any more', async (t) => {
    const { instance } = standing()
    instance.join()
    instance.leave()
    await until(() => instance.state === 'cold')
    t.equal(instance.cooling, undefined, 'giving up is no failure')
  })
  t.test('somebody still waits, or it was asked for by hand', async (t) => {
    const { instance, place, gate } = standing()
    instance.join()
    const other = take(instance)
    instance.leave()
    await sleep(10)
    t.equal(instance.state, 'starting')
    place.resolve()
    gate.resolve()
    ;(await other).release()
    const byHand = standing()
    const started = byHand.instance.start()
    byHand.instance.join()
    byHand.instance.leave()
    await sleep(10)
    byHand.place.resolve()
    byHand.gate.resolve()
    await started
    t.equal(byHand.instance.state, 'hot')
  })
  t.test('it is stopped, and what it waits for does not care', async (t) => {
    const { instance } = make({ beforeStart: ({ standBy }) => standBy(new Promise<void>(() => undefined)) })
    const waiting = take(instance)
    const stopped = instance.stop('manual')
    await t.rejects(waiting, { code: 'start_failed', message: /it was stopped \(manual\)/ })
    t.equal(await stopped, true)
    t.equal(instance.state, 'cold')
  })
  t.test('once it has begun it is finished', async (t) => {
    const { instance, place, gate } = standing({ linger_ms: 20 })
    instance.join()
    instance.leave()
    place.resolve()
    await sleep(40)
    t.equal(instance.state, 'starting')
    gate.resolve()
    await until(() => instance.state === 'hot')
  })
})

t.test('R28 a held instance lets nobody in: who comes waits, in line, until it is let go or has gone down', async (t) => {
  const { instance, states } = make({}, { cooldown_ms: 0 })
  instance.hold()
  const lease = await take(instance)
  instance.hold()
  t.equal(instance.held, true)
  t.equal(instance.tryAcquire(), undefined)
  t.throws(() => instance.tryAcquire(true), { code: 'no_instance' }, 'a passive request does not wait')
  const waiting = take(instance)
  t.equal(instance.waiting, 1)
  t.ok(instance.waitingSince! <= performance.now())
  t.equal(instance.inFlight, 1, 'who is in goes on')
  instance.unhold()
  ;(await waiting).release()
  t.equal(instance.waitingSince, undefined)

  instance.hold()
  const next = take(instance)
  t.equal(await instance.stop('evicted', () => instance.inFlight === 0), false, 'not in the middle of a request')
  lease.release()
  t.equal(await instance.stop('evicted', () => instance.inFlight === 0), true)
  ;(await next).release()
  t.equal(instance.held, false, 'that was the hold of its former life')
  t.same(states(), ['starting', 'hot', 'stopping', 'cold', 'starting', 'hot'])
})

t.test('R8 a starter that sees its child die ends the attempt at once', async (t) => {
  const { instance } = make({ beforeStart: ({ signal }) => aborted(signal) }, { attempts: 1 })
  const waiting = take(instance)
  instance.crashed(new Error('exit code 3'))
  await t.rejects(waiting, { code: 'start_failed', message: /exit code 3/ })
  t.equal(instance.state, 'cold')
})

t.test('R9 a request that arrives while it is stopping waits and starts it again', async (t) => {
  const down = deferred()
  let starts = 0
  const { instance, states } = make({
    beforeStart: () => void starts++,
    onIdle: ({ reason }) => (reason === 'manual' ? down.promise : undefined),
  })
  const lease = await take(instance)
  lease.release()
  const stopped = instance.stop('manual')
  t.equal(instance.state, 'stopping', 'in the very tick')
  t.equal(instance.tryAcquire(), undefined)
  const late = take(instance)
  const byHand = instance.start()
  down.resolve()
  t.equal(await stopped, true)
  await late
  await byHand
  t.equal(starts, 2)
  t.same(states(), ['starting', 'hot', 'stopping', 'cold', 'starting', 'hot'])
})

t.test('R9 a start by hand outlasts being stopped once more', async (t) => {
  const down = deferred()
  const { instance, events } = make({ onIdle: () => down.promise })
  await instance.start()
  const stopped = instance.stop('manual')
  const late = take(instance)
  let again: Promise<boolean> | undefined
  events.subscribe((event) => {
    if (event.type === 'instance.state' && event.to === 'starting') again ??= instance.stop('manual')
  })
  const started = instance.start()
  down.resolve()
  await stopped
  await t.rejects(late, { code: 'start_failed', message: /given up/ })
  await again
  await started
  t.equal(instance.state, 'hot')
})

t.test('R9 an idle stop asks first, and looks again in the tick in which the state changes', async (t) => {
  t.test('a plugin says: still busy', async (t) => {
    const { instance, seen } = make({ ask: () => ({ keepFor: 5000 }) })
    await instance.start()
    t.equal(await instance.stop('idle'), false)
    t.equal(instance.state, 'hot')
    t.ok(instance.keepUntil > performance.now() + 4000)
    t.match(
      seen.find(({ type }) => type === 'instance.kept'),
      { plugin: 'asker', keepForMs: 5000 },
    )
    t.equal(await instance.stop('manual'), true, 'nobody is asked when a person wants it')
    t.equal(instance.state, 'cold')
  })
  t.test('a request comes while the question is open', async (t) => {
    const answer = deferred()
    const { instance } = make({ ask: () => answer.promise })
    await instance.start()
    const stopped = instance.stop('idle')
    const lease = instance.tryAcquire()!
    answer.resolve()
    t.equal(await stopped, false)
    t.equal(instance.state, 'hot')
    lease.release()
  })
  t.test('a request comes in the last microtask before the decision', async (t) => {
    const { instance } = make({ ask: () => undefined })
    await instance.start()
    for (let hops = 0; hops < 12; hops++) {
      const stopped = instance.stop('idle')
      for (let i = 0; i < hops; i++) await Promise.resolve()
      const lease = instance.tryAcquire()
      if (!lease) {
        t.equal(await stopped, true)
        await instance.start()
        continue
      }
      t.equal(await stopped, false, `a lease taken after ${hops} microtasks holds`)
      t.equal(instance.state, 'hot')
      lease.release()
    }
  })
  t.test('it was stopped by hand meanwhile', async (t) => {
    const answer = deferred()
    let downs = 0
    const { instance } = make({ ask: () => answer.promise, onIdle: () => void downs++ })
    await instance.start()
    const idle = instance.stop('idle')
    const manual = instance.stop('manual')
    answer.resolve()
    t.same(await Promise.all([idle, manual]), [true, true])
    t.equal(downs, 1)
  })
  t.test('one that is being started is not idle; evicting it depends on who waits', async (t) => {
    const { instance } = make({ beforeStart: ({ signal }) => aborted(signal) })
    const waiting = take(instance)
    t.equal(await instance.stop('idle'), false)
    t.equal(await instance.stop('evicted'), false)
    t.equal(instance.state, 'starting')
    const stopped = instance.stop('manual')
    await t.rejects(waiting, { code: 'start_failed', message: /given up: it was stopped \(manual\)/ })
    t.equal(await stopped, true)
    t.equal(instance.state, 'cold')
  })
})

t.test('an instance that ends by itself goes down, and is started again for those who wait', async (t) => {
  t.test('soon after its start it cools down', async (t) => {
    const reasons: StopReason[] = []
    const { instance, count } = make({ onIdle: ({ reason }) => void reasons.push(reason) })
    const lease = await take(instance)
    instance.crashed(new Error('killed'))
    instance.crashed(new Error('killed'))
    t.equal(instance.healthy, false)
    const waiting = take(instance)
    await t.rejects(waiting, { code: 'start_failed', message: /it ended soon after its start: killed/ })
    lease.release()
    t.same(reasons, ['crashed'])
    t.equal(count('instance.crashed'), 1)
    t.equal(instance.inFlight, 0)
  })
  t.test('one that is stopped by who hears of it goes down once', async (t) => {
    let downs = 0
    const { instance, events } = make({ onIdle: () => void downs++ })
    await instance.start()
    events.subscribe(({ type }) => type === 'instance.health' && void instance.stop('manual'))
    instance.crashed(new Error('killed'))
    await until(() => instance.state === 'cold')
    t.equal(downs, 1)
  })
  t.test('without a pause it is started at once', async (t) => {
    const { instance, states } = make({}, { cooldown_ms: 0 })
    const lease = await take(instance)
    instance.crashed(new Error('killed'))
    const again = await take(instance)
    t.same(states(), ['starting', 'hot', 'stopping', 'cold', 'starting', 'hot'])
    t.equal(instance.inFlight, 2)
    lease.release()
    again.release()
    t.equal(instance.healthy, true)
  })
  t.test('R13 one that cannot be reached goes down only when nobody is being served', async (t) => {
    const { instance } = make()
    const lease = await take(instance)
    instance.unreachable(new Error('ECONNREFUSED'))
    t.equal(instance.state, 'hot')
    t.equal(instance.healthy, false)
    lease.release()
    instance.unreachable(new Error('ECONNREFUSED'))
    t.equal(instance.state, 'stopping')
    await instance.stop('manual')
  })
})

t.test('R16 a removed instance takes nobody any more, serves who is there, and may come back', async (t) => {
  const removed = () => new HestiaError('service_removed')
  const reasons: StopReason[] = []
  const { instance } = make({ onIdle: ({ reason }) => void reasons.push(reason) })
  const lease = await take(instance)
  instance.close(removed())
  t.equal(instance.tryAcquire(), undefined)
  await t.rejects(take(instance), { code: 'service_removed' })
  await t.rejects(instance.start(), { code: 'service_removed' })
  t.equal(instance.state, 'hot')
  lease.release()
  t.equal(instance.state, 'stopping', 'with the last request it goes')
  instance.reopen()
  const back = await take(instance)
  t.same(reasons, ['removed'])
  back.release()

  const cold = make({ beforeStart: ({ signal }) => aborted(signal) }).instance
  const waiting = take(cold)
  const byHand = cold.start()
  cold.close(removed())
  await t.rejects(waiting, { code: 'service_removed' })
  await t.rejects(byHand, { code: 'service_removed' })
  t.equal(cold.state, 'cold')

  const gate = deferred()
  const stopping = make({ onIdle: () => gate.promise }).instance
  await stopping.start()
  const stopped = stopping.stop('manual')
  const late = take(stopping)
  const lateByHand = stopping.start()
  stopping.close(removed())
  await t.rejects(late, { code: 'service_removed' })
  gate.resolve()
  await stopped
  await t.rejects(lateByHand, { code: 'service_removed' }, 'it was open when it was asked, but is not when it is down')
  t.equal(stopping.state, 'cold')
})

t.test('R16 changed settings: sections count at once, the URL from the next start on', async (t) => {
  const { service, instance } = make()
  await instance.start()
  const changed = { ...ONE, url: 'http://elsewhere.test', sections: { idle: { timeout_ms: 7 } } }
  t.same(service.update(configOf({}, [changed])), [])
  t.equal(service.instances[0], instance)
  t.equal(instance.url, 'http://one.test')
  t.same(instance.section('idle'), { timeout_ms: 7 })
  await instance.stop('manual')
  t.equal(instance.url, 'http://elsewhere.test')
  service.update(configOf({}, [ONE]))
  t.equal(instance.url, 'http://one.test')
  t.same(service.update(configOf({}, [{ ...ONE, name: 'two' }])), [instance], 'those that are gone are told')
})

t.test('who listens cannot break the instance', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error) => warnings.push(warning)
  process.on('warning', onWarning)
  const { instance, count } = make({ onReady: failing('no mail today') as never })
  instance.subscribe(() => {
    throw new Error('listener')
  })
  const lease = await take(instance)
  t.equal(instance.state, 'hot')
  lease.release()
  await until(() => warnings.length === 2)
  await until(() => count('hook.failed') === 1)
  process.off('warning', onWarning)
})

t.test('R9 a passive request neither wakes an instance nor restarts its idle clock', async (t) => {
  const { instance } = make()
  t.throws(() => instance.tryAcquire(true), { code: 'no_instance', statusCode: 503 })
  t.equal(instance.state, 'cold')
  await instance.start()
  const { idleSince } = instance
  await sleep(2)
  const lease = instance.tryAcquire(true)!
  t.equal(instance.inFlight, 1)
  lease.release()
  t.equal(instance.idleSince, idleSince)
  instance.tryAcquire()!.release()
  t.ok(instance.idleSince > idleSince)
})

// --- Any sequence of events, against a model ---------------------------------------------------------------------------

const LEGAL: Record<InstanceState, readonly InstanceState[]> = {
  cold: ['starting'],
  starting: ['hot', 'cold', 'stopping'],
  hot: ['stopping'],
  stopping: ['cold'],
}

/** The world around one instance: a backend that runs or doesn't, callers who wait, and hooks that end when told to. */
class World {
  readonly events = new Events()
  readonly service: Service
  readonly instance: Instance
  readonly faults: string[] = []
  readonly leases: Lease[] = []
  readonly waiters = new Set<() => void>()
  readonly calls = new Set<Promise<unknown>>()
  running = false
  starts = 0
  cleanUps = 0
  failedAttempts = 0
  state: InstanceState = 'cold'
  pendingStart: ReturnType<typeof deferred> | undefined
  pendingStop: ReturnType<typeof deferred> | undefined
  pendingAnswer: ReturnType<typeof deferred> | undefined
  pendingPlace: ReturnType<typeof deferred> | undefined
  keep = 0
  calm = false
  /** Whether starts have to wait for a place. */
  crowded = false

  constructor() {
    const lists = new HookLists(this.events)
    lists.add('asker', 'onIdle', {
      order: 'pre',
      handler: async ({ reason }) => {
        if (this.calm || (reason !== 'idle' && reason !== 'evicted')) return undefined
        this.pendingAnswer = deferred()
        await this.pendingAnswer.promise
        return this.keep > 0 ? { keepFor: this.keep } : undefined
      },
    })
    lists.add('placer', 'beforeStart', {
      order: 'pre',
      handler: async ({ signal, standBy }) => {
        if (this.calm || !this.crowded) return
        const place = deferred()
        this.pendingPlace = place
        await standBy(Promise.race([place.promise, aborted(signal)]))
      },
    })
    lists.add('starter', 'beforeStart', async ({ signal }) => {
      if (this.running) this.faults.push('a start met a backend that still runs')
      if (++this.starts > 1) this.faults.push('two starts at once')
      this.running = true
      try {
        const outcome = deferred()
        this.pendingStart = outcome
        if (this.calm) outcome.resolve()
        await Promise.race([outcome.promise, aborted(signal)])
      } finally {
        this.starts--
        this.pendingStart = undefined
      }
    })
    lists.add('starter', 'onIdle', async ({ reason }) => {
      if (reason === 'start_failed') this.cleanUps++
      const down = deferred()
      this.pendingStop = down
      if (this.calm) down.resolve()
      await down.promise
      this.pendingStop = undefined
      this.running = false
    })
    this.events.subscribe((event) => {
      if (event.type === 'instance.attempt_failed') this.failedAttempts++
      if (event.type !== 'instance.state') return
      if (event.from !== this.state) this.faults.push(`left ${event.from} while in ${this.state}`)
      if (!LEGAL[event.from].includes(event.to)) this.faults.push(`illegal: ${event.from} -> ${event.to}`)
      if (event.to === 'hot' && this.instance.held) this.faults.push('a hold outlived what was held')
      if (event.to === 'cold' && this.running) this.faults.push('cold, but the backend runs')
      this.state = event.to
    })
    this.service = new Service(configOf({ cooldown_ms: 0 }), {
      events: this.events,
      hooks: () => lists,
      vacated: () => undefined,
    })
    this.instance = this.service.instances[0]!
  }

  /** A caller: joins, takes a lease when it can, leaves when it is told to or has had enough. */
  join(): void {
    const { instance } = this
    const lease = instance.tryAcquire()
    if (lease && instance.held) this.faults.push('let in though it is held')
    if (lease) {
      this.leases.push(lease)
      return
    }
    const over = () => {
      unsubscribe()
      this.waiters.delete(over)
      instance.leave()
    }
    const unsubscribe = instance.subscribe((change) => {
      if (change === 'failed') return over()
      const lease = instance.tryAcquire()
      if (!lease) return
      over()
      this.leases.push(lease)
    })
    this.waiters.add(over)
    try {
      instance.join()
    } catch (thrown) {
      unsubscribe()
      this.waiters.delete(over)
      if (!(thrown instanceof HestiaError)) this.faults.push(`join threw ${String(thrown)}`)
    }
  }

  track(call: Promise<unknown>): void {
    const settled = call.catch((thrown: unknown) => {
      if (!(thrown instanceof HestiaError)) this.faults.push(`a call ended with ${String(thrown)}`)
    })
    this.calls.add(settled)
    void settled.then(() => this.calls.delete(settled))
  }

  check(): void {
    const { instance, faults } = this
    if (instance.inFlight !== this.leases.length) faults.push(`in flight: ${instance.inFlight}, leases: ${this.leases.length}`)
    if (instance.waiting !== this.waiters.size) faults.push(`waiting: ${instance.waiting}, joined: ${this.waiters.size}`)
    if (instance.state !== this.state) faults.push(`state ${instance.state} was never announced`)
    if (instance.state === 'hot' && !this.running) faults.push('hot, but nothing runs')
    if (instance.state === 'hot' && !instance.held && this.waiters.size > 0) faults.push('somebody waits though it is there')
    if (instance.waiting > 0 !== (instance.waitingSince !== undefined)) faults.push('wrong about since when somebody waits')
  }

  /** Lets everything come to its end: hooks end at once from now on. */
  async settle(): Promise<void> {
    this.calm = true
    this.instance.reopen()
    const end = performance.now() + 2000
    const isOver = () => this.waiters.size === 0 && this.calls.size === 0 && ['hot', 'cold'].includes(this.instance.state)
    while (!isOver() && performance.now() < end) {
      this.pendingStart?.resolve()
      this.pendingStop?.resolve()
      this.pendingAnswer?.resolve()
      this.pendingPlace?.resolve()
      this.instance.unhold()
      await tick()
    }
    if (!isOver()) this.faults.push(`hangs: ${this.waiters.size} callers, ${this.calls.size} calls, ${this.instance.state}`)
    for (const lease of this.leases.splice(0)) lease.release()
    await this.instance.stop('shutdown')
    if (this.instance.state !== 'cold' || this.running) this.faults.push('something was left running')
    if (this.cleanUps !== this.failedAttempts) {
      this.faults.push(`${this.failedAttempts} failed attempts, but ${this.cleanUps} clean-ups`)
    }
  }
}

const COMMANDS: Record<string, (world: World) => unknown> = {
  join: (w) => w.join(),
  leave: (w) => [...w.waiters][0]?.(),
  leaveLast: (w) => [...w.waiters].at(-1)?.(),
  release: (w) => w.leases.shift()?.release(),
  start: (w) => w.track(w.instance.start()),
  stopByHand: (w) => w.track(w.instance.stop('manual')),
  stopIdle: (w) => w.track(w.instance.stop('idle')),
  evict: (w) => w.track(w.instance.stop('evicted')),
  crash: (w) => w.instance.crashed(new Error('crash')),
  unreachable: (w) => w.instance.unreachable(new Error('refused')),
  startSucceeds: (w) => w.pendingStart?.resolve(),
  startFails: (w) => w.pendingStart?.reject(new Error('start failed')),
  stopEnds: (w) => w.pendingStop?.resolve(),
  answerFree: (w) => {
    w.keep = 0
    w.pendingAnswer?.resolve()
  },
  answerBusy: (w) => {
    w.keep = 1
    w.pendingAnswer?.resolve()
  },
  hold: (w) => w.instance.hold(),
  unhold: (w) => w.instance.unhold(),
  crowd: (w) => {
    w.crowded = !w.crowded
  },
  placeComes: (w) => w.pendingPlace?.resolve(),
  close: (w) => w.instance.close(new HestiaError('service_removed')),
  reopen: (w) => w.instance.reopen(),
  patient: (w) => void w.service.update(configOf({ cooldown_ms: 0, attempts: 3 })),
  abandoning: (w) => void w.service.update(configOf({ cooldown_ms: 2, attempts: 2, abandon: 'abort' })),
  hasty: (w) => void w.service.update(configOf({ cooldown_ms: 0, timeout_ms: 1 })),
  elsewhere: (w) => void w.service.update(configOf({ cooldown_ms: 0 }, [{ ...ONE, url: 'http://elsewhere.test' }])),
  microtask: () => Promise.resolve(),
  tick: () => tick(),
  wait: () => sleep(3),
}

t.test('R5 R7 R9 whatever happens in whatever order: one start at a time, nobody hangs, nothing is left running', async (t) => {
  const command = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('join', 'startSucceeds', 'stopEnds', 'tick', 'microtask') },
    { weight: 4, arbitrary: fc.constantFrom(...Object.keys(COMMANDS)) },
  )
  const reached = new Set<InstanceState>()
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 40 }), async (commands) => {
      const world = new World()
      for (const name of commands) {
        await COMMANDS[name]!(world)
        world.check()
        reached.add(world.state)
        if (world.faults.length > 0) throw new Error(`after ${name}: ${world.faults.join('; ')}`)
      }
      await world.settle()
      world.check()
      if (world.faults.length > 0) throw new Error(`at the end: ${world.faults.join('; ')}`)
    }),
    { numRuns: 600 },
  )
  t.equal(reached.size, 4, 'all states were seen')
})
