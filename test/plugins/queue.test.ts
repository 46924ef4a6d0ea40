import { setTimeout as sleep, setImmediate as tick } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { definePlugin, HestiaError } from '../../core/index.ts'
import type { Lease } from '../../core/instances/lease.ts'
import queue from '../../plugins/queue/index.ts'
import { type GivenService, PluginWorld, view } from '../helpers/plugin-world.ts'
import { until } from '../helpers/until.ts'

/** A world with a starter whose starts end when the test says so. */
async function makeWorld(t: Tap, options: Record<string, unknown> = {}, service: GivenService = {}) {
  const world = new PluginWorld()
  const starts: { resolve: () => void; reject: (error: Error) => void }[] = []
  const starter = definePlugin({
    name: 'starter',
    setup(app) {
      app.hestia.hook('beforeStart', ({ signal }) => {
        return new Promise<void>((resolve, reject) => {
          starts.push({ resolve, reject })
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        })
      })
    },
  })
  const reload = (changed: Record<string, unknown> = options) =>
    world.generation([starter, [queue, changed]], { svc: { start: { cooldown_ms: 0 }, ...service } })
  await reload()
  t.teardown(async () => {
    for (const start of starts) start.resolve()
    await world.end()
    if (world.pool.keys().length > 0) throw new Error(`still kept: ${world.pool.keys().join()}`)
  })
  const admit = (signal?: AbortSignal, target = '/') =>
    world.current.app.admit!(world.instance(), view({ target, ...(signal ? { signal } : {}) }))
  return { world, starts, reload, admit, instance: world.instance() }
}

type Tap = { teardown(fn: () => unknown): void }

const release = async (leases: Iterable<Lease | Promise<Lease>>) => {
  for (const lease of leases) (await lease).release()
}

t.test('R6 a hot instance with nobody in line is taken at once, without a promise', async (t) => {
  const { admit, instance, starts } = await makeWorld(t)
  const first = admit()
  t.ok(first instanceof Promise)
  starts[0]!.resolve()
  const lease = admit()
  t.ok(lease instanceof Promise, 'still starting')
  await release([first, lease])
  const direct = admit()
  t.notOk(direct instanceof Promise)
  t.equal(instance.inFlight, 1)
  await release([direct])
})

t.test('R5 R6 queue is FIFO: 100 requests, one start, granted in the order and the tick of the change', async (t) => {
  const { admit, instance, starts } = await makeWorld(t)
  const order: number[] = []
  const leases = Array.from({ length: 100 }, (_, index) => {
    const lease = admit() as Promise<Lease>
    void lease.then(() => order.push(index))
    return lease
  })
  t.equal(instance.waiting, 100)
  let inFlightWhenHot = 0
  instance.subscribe((change) => {
    if (change === 'hot') inFlightWhenHot = instance.inFlight
  })
  starts[0]!.resolve()
  await Promise.all(leases)
  t.equal(starts.length, 1)
  t.equal(inFlightWhenHot, 100)
  t.same(
    order,
    Array.from({ length: 100 }, (_, index) => index),
  )
  t.equal(instance.waiting, 0)
  await release(leases)
})

t.test('R6 nobody jumps the line, not even in the tick in which the instance becomes hot', async (t) => {
  const { admit, starts, world } = await makeWorld(t)
  const order: string[] = []
  const early = (admit() as Promise<Lease>).then((lease) => {
    order.push('early')
    return lease
  })
  let late: Promise<Lease> | undefined
  world.events.subscribe((event) => {
    if (event.type !== 'instance.state' || event.to !== 'hot') return
    late = Promise.resolve(admit()).then((lease) => {
      order.push('late')
      return lease
    })
  })
  starts[0]!.resolve()
  await release([early])
  await release([late!])
  t.same(order, ['early', 'late'])
})

t.test('R6 the line is bounded by count', async (t) => {
  const { admit, instance, starts } = await makeWorld(t, { size: 3 })
  const waiting = [admit(), admit(), admit()]
  t.throws(() => admit(), {
    code: 'queue_full',
    statusCode: 503,
    retryAfterMs: 1000,
    message: /3 requests wait for it already \(queue.size\)/,
    fields: { service: 'svc', instance: 'one', waiting: 3 },
  })
  t.equal(instance.waiting, 3)
  starts[0]!.resolve()
  await release(waiting)
})

t.test('R6 the line is bounded by bytes, but one request of any size may wait', async (t) => {
  const { admit, instance, starts } = await makeWorld(t, { max_bytes: 100 })
  const waiting = [admit(undefined, `/${'x'.repeat(500)}`)]
  t.throws(() => admit(), { code: 'queue_full', message: /hold 501 bytes already \(queue.max_bytes\)/ })
  t.equal(instance.waiting, 1)
  starts[0]!.resolve()
  await release(waiting)
  await instance.stop('manual')

  const client = new AbortController()
  const large = t.rejects(admit(client.signal, `/${'x'.repeat(90)}`) as Promise<Lease>)
  const small = admit() as Promise<Lease>
  t.throws(() => admit(undefined, '/123456789'), { code: 'queue_full' })
  client.abort()
  await large
  const next = admit(undefined, '/123456789') as Promise<Lease>
  t.equal(instance.waiting, 2, 'what leaves gives its bytes back')
  starts[1]!.resolve()
  await release([small, next])

  const { world } = await makeWorld(t, { max_bytes: 400 })
  const app = world.current.app
  const headers = { 'x-a': 'y'.repeat(50) }
  const body = { text: 'z'.repeat(100) }
  const first = app.admit!(world.instance(), view({ headers, body })) as Promise<Lease>
  const second = app.admit!(world.instance(), view({ headers })) as Promise<Lease>
  t.throws(() => app.admit!(world.instance(), view({ headers, body })), { code: 'queue_full', message: /hold 2\d\d bytes/ })
  const ends = [t.rejects(first, { code: 'start_failed' }), t.rejects(second, { code: 'start_failed' })]
  await world.instance().stop('manual')
  await Promise.all(ends)
})

t.test('R6 a request that waits too long gets 503 and is told where it stood; the start goes on', async (t) => {
  const { admit, instance, starts } = await makeWorld(t, { timeout_ms: 40 })
  const results = await Promise.allSettled([admit(), admit()])
  t.match(results[0], {
    reason: {
      code: 'queue_timeout',
      statusCode: 503,
      message: /waited \d+ ms for service svc, instance one \(starting\), and is at position 1 of 2 \(queue.timeout_ms\)/,
      fields: { service: 'svc', instance: 'one', position: 1 },
    },
  })
  t.match(results[1], { reason: { code: 'queue_timeout', message: /position 1 of 1/ } })
  t.equal(instance.waiting, 0)
  t.equal(instance.state, 'starting')
  starts[0]!.resolve()
  await until(() => instance.state === 'hot')
})

t.test('R6 timeout_ms 0 waits without a bound', async (t) => {
  const { admit, starts } = await makeWorld(t, { timeout_ms: 0 })
  const lease = admit()
  await sleep(20)
  starts[0]!.resolve()
  await release([lease])
})

t.test('R6 a client that leaves is removed at once, wherever it stands; one that has left never enters', async (t) => {
  const { admit, instance, starts } = await makeWorld(t)
  const clients = Array.from({ length: 5 }, () => new AbortController())
  const leases = clients.map(({ signal }) => admit(signal) as Promise<Lease>)
  const results = Promise.allSettled(leases)
  for (const index of [2, 0, 4]) clients[index]!.abort(new Error(`left ${index}`))
  t.equal(instance.waiting, 2)
  t.throws(() => admit(AbortSignal.abort(new Error('gone'))), { message: 'gone' })
  starts[0]!.resolve()
  const settled = await results
  t.same(
    settled.map(({ status }) => status),
    ['rejected', 'fulfilled', 'rejected', 'fulfilled', 'rejected'],
  )
  clients[1]!.abort()
  t.equal(instance.inFlight, 2, 'once granted it is the request that ends it')
  t.equal(starts.length, 1)
  await release([leases[1]!, leases[3]!])
})

t.test('R6 concurrency: an instance takes so many at a time, those who wait come first', async (t) => {
  const { admit, instance, starts } = await makeWorld(t, { concurrency: 2 })
  const order: number[] = []
  const request = async (index: number) => {
    const lease = await admit()
    order.push(index)
    return lease
  }
  const requests = [0, 1, 2, 3, 4].map(request)
  starts[0]!.resolve()
  const [a, b] = await Promise.all(requests.slice(0, 2))
  t.equal(instance.inFlight, 2)
  t.equal(instance.waiting, 3)
  a!.release()
  t.equal(instance.inFlight, 2, 'its place is taken in the very tick')
  const late = request(5)
  b!.release()
  await release(requests.slice(2))
  await release([late])
  t.same(order, [0, 1, 2, 3, 4, 5])
  t.equal(instance.inFlight, 0)
})

t.test('R7 a start that fails fails for all who wait', async (t) => {
  const { admit, instance, starts } = await makeWorld(t)
  const results = Promise.allSettled([admit(), admit()])
  starts[0]!.reject(new Error('no GPU'))
  for (const result of await results) t.match(result, { reason: { code: 'start_failed', message: /no GPU/ } })
  t.equal(instance.waiting, 0)
})

t.test('R7 while an instance cools down nobody waits for it', async (t) => {
  const { admit, instance, starts } = await makeWorld(t, {}, { start: { cooldown_ms: 5000 } })
  const first = t.rejects(admit() as Promise<Lease>, { code: 'start_failed' })
  starts[0]!.reject(new Error('no GPU'))
  await first
  t.throws(() => admit(), { code: 'start_failed' })
  t.equal(instance.waiting, 0)
  t.equal(starts.length, 1)
})

t.test('R6 Retry-After follows from how long the last start took', async (t) => {
  const { admit, instance, starts } = await makeWorld(t, { size: 1 })
  const first = admit()
  await sleep(1300)
  starts[0]!.resolve()
  await release([first])
  await instance.stop('manual')
  const again = admit()
  const refusal = await Promise.resolve()
    .then(() => admit())
    .catch((error: HestiaError) => error)
  t.ok(refusal instanceof HestiaError && refusal.retryAfterMs! > 1100 && refusal.retryAfterMs! < 3000)
  starts[1]!.resolve()
  await release([again])
})

t.test('R16 the line outlives a reload: new requests stand behind the old ones, limits count at once', async (t) => {
  const { admit, instance, starts, reload, world } = await makeWorld(t, { concurrency: 1 })
  const order: string[] = []
  const request = async (name: string) => {
    const lease = await admit()
    order.push(name)
    return lease
  }
  const old = [request('old 1'), request('old 2')]
  const first = world.current
  await reload()
  const fresh = request('new 1')
  await first.retire()
  t.equal(instance.waiting, 3)
  starts[0]!.resolve()
  const lease = await old[0]!
  t.equal(instance.waiting, 2)
  const second = world.current
  await reload({ concurrency: 0 })
  t.equal(instance.waiting, 0, 'a raised limit counts in the tick of the reload')
  await release([...old, fresh, lease])
  t.same(order, ['old 1', 'old 2', 'new 1'])
  await second.retire()
})

t.test('R16 those who wait for a service that is removed get 503', async (t) => {
  const { admit, instance, world } = await makeWorld(t)
  const waiting = t.rejects(admit() as Promise<Lease>, { code: 'service_removed', statusCode: 503 })
  const first = world.current
  await world.generation([], {})
  await waiting
  t.equal(instance.waiting, 0)
  await until(() => instance.state === 'cold')
  await first.retire()
})

t.test('R9 a passive request does not stand in line', async (t) => {
  const { world, instance, admit, starts } = await makeWorld(t, { concurrency: 1 })
  const passive = () => {
    const request = view()
    request.passive = true
    return world.current.app.admit!(instance, request)
  }
  t.throws(passive, { code: 'no_instance' })
  t.equal(instance.state, 'cold')
  const lease = admit()
  t.throws(passive, { code: 'no_instance' })
  starts[0]!.resolve()
  await lease
  await release([passive()])
  await release([lease])
})

t.test('R6 10,000 who wait cost little and leave nothing behind', async (t) => {
  const { admit, instance, starts } = await makeWorld(t, { size: 10_000, concurrency: 1 })
  let listeners = 0
  const subscribe = instance.subscribe.bind(instance)
  instance.subscribe = (listener) => {
    listeners++
    const unsubscribe = subscribe(listener)
    return () => {
      listeners--
      unsubscribe()
    }
  }
  const controllers = Array.from({ length: 10_000 }, () => new AbortController())
  const beganAt = performance.now()
  const leases = controllers.map(({ signal }) => admit(signal) as Promise<Lease>)
  t.equal(instance.waiting, 10_000)
  for (let i = 1; i < 10_000; i += 2) controllers[i]!.abort()
  t.equal(instance.waiting, 5000)
  t.equal(listeners, 1)
  starts[0]!.resolve()
  let served = 0
  await Promise.all(
    leases.map((waiting) =>
      waiting.then(
        (lease) => {
          served++
          lease.release()
        },
        () => undefined,
      ),
    ),
  )
  t.equal(served, 5000)
  t.equal(instance.inFlight, 0)
  t.equal(instance.waiting, 0)
  t.equal(listeners, 0)
  t.ok(performance.now() - beganAt < 10_000, 'no step costs more the more there are')
})

t.test('R6 whatever happens in whatever order: each join has one leave, and everybody is answered', async () => {
  const actions = [
    'admit',
    'admit',
    'leave',
    'release',
    'start',
    'fail',
    'stop',
    'crash',
    'limit',
    'unlimit',
    'reload',
    'tick',
  ] as const
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...actions), { maxLength: 30 }), async (sequence) => {
      const ends: (() => unknown)[] = []
      const quiet = { teardown: (fn: () => unknown) => void ends.push(fn) }
      const { admit, instance, starts, reload, world } = await makeWorld(quiet, { size: 5 })
      const clients: AbortController[] = []
      const leases: Lease[] = []
      let open = 0
      const enter = () => {
        const client = new AbortController()
        const over = () => {
          open--
          clients.splice(clients.indexOf(client), 1)
        }
        open++
        clients.push(client)
        try {
          const answer = admit(client.signal)
          if (!(answer instanceof Promise)) {
            over()
            leases.push(answer)
            return
          }
          answer.then(
            (lease) => {
              over()
              leases.push(lease)
            },
            () => over(),
          )
        } catch {
          over()
        }
      }
      const change = async (options: Record<string, unknown>) => {
        const old = world.current
        await reload(options)
        ends.push(() => old.retire())
      }
      const steps: Record<(typeof actions)[number], () => unknown> = {
        admit: enter,
        leave: () => clients[0]?.abort(),
        release: () => leases.shift()?.release(),
        start: () => starts.at(-1)?.resolve(),
        fail: () => starts.at(-1)?.reject(new Error('failed')),
        stop: () => instance.stop('manual'),
        crash: () => instance.crashed(new Error('crashed')),
        limit: () => change({ size: 5, concurrency: 1 }),
        unlimit: () => change({ size: 5 }),
        reload: () => change({ size: 5 }),
        tick: () => tick(),
      }
      for (const action of sequence) await steps[action]()
      await tick()
      if (instance.waiting !== open) throw new Error(`${instance.waiting} joined, ${open} open`)
      await until(
        async () => {
          starts.at(-1)?.resolve()
          for (const lease of leases.splice(0)) lease.release()
          await tick()
          return open === 0 && leases.length === 0
        },
        'everybody to be answered',
        3000,
      )
      if (instance.waiting !== 0 || instance.inFlight !== 0) throw new Error(`${instance.waiting}, ${instance.inFlight} left`)
      for (const end of ends.toReversed()) await end()
    }),
    { numRuns: 60 },
  )
})
