import { asError, definePlugin, HestiaError, type Instance, type Lease, type RequestView } from 'hestia'
import { QueueOptions } from '../../schemas/queue.ts'
import { append, detach, type Line, newQueue, positionOf, type Queue, type Waiter } from './line.ts'

/** When to come back if nothing is known of past starts, in milliseconds. */
const DEFAULT_RETRY_MS = 1000

/**
 * Says when a request may go to its instance: one line for each, first come, first served, bounded by count, bytes and time.
 * A hot instance with nobody in line is taken at once, without a promise.
 */
export default definePlugin({
  name: 'queue',
  options: QueueOptions,
  service: QueueOptions,
  setup(app, options) {
    const { hestia } = app
    const queue = hestia.keep('queue@2', newQueue)
    // A request that routing held up may meet a newer configuration, in which this plugin is off.
    const settingsOf = (instance: Instance): QueueOptions => instance.section<QueueOptions>('queue') ?? options

    const isFull = (instance: Instance): boolean => {
      const { concurrency } = settingsOf(instance)
      return concurrency > 0 && instance.inFlight >= concurrency
    }

    /** Grants what can be granted now, in the order of arrival. */
    const pump = (instance: Instance): void => {
      for (;;) {
        const next = queue.lines.get(instance)?.first
        const lease = next && !isFull(instance) ? instance.tryAcquire() : undefined
        if (!next || !lease) return
        leave(queue, next)
        next.resolve(lease)
      }
    }

    /** The line of an instance; the newest code is the one that moves it. */
    const lineOf = (instance: Instance): Line => {
      const line = queue.lines.get(instance) ?? {
        first: undefined,
        last: undefined,
        length: 0,
        bytes: 0,
        generation: 0,
        unsubscribe: () => undefined,
      }
      queue.lines.set(instance, line)
      if (line.generation >= hestia.generation) return line
      line.unsubscribe()
      line.generation = hestia.generation
      line.unsubscribe = instance.subscribe((change, error) => {
        if (change === 'failed') return rejectAll(queue, line, error)
        pump(instance)
      })
      return line
    }

    function left(this: Waiter): void {
      leave(queue, this)
      this.reject(asError(this.signal.reason))
    }

    const expire = (waiter: Waiter): void => {
      const error = tooLate(queue, waiter)
      leave(queue, waiter)
      waiter.reject(error)
    }

    /** It leaves, but what it asked for goes on: it will be back. */
    const giveUp = (waiter: Waiter): void => {
      const error = notYet(queue, waiter)
      if (waiter.instance.state !== 'hot') waiter.instance.start('request').catch(() => undefined)
      leave(queue, waiter)
      waiter.reject(error)
    }

    const wait = (instance: Instance, request: RequestView): Promise<Lease> => {
      const { signal, patienceMs } = request
      if (signal.aborted) throw asError(signal.reason)
      const bytes = sizeOf(request)
      refuseIfFull(queue, instance, settingsOf(instance), bytes)
      const { timeout_ms } = settingsOf(instance)
      instance.join()
      return new Promise<Lease>((resolve, reject) => {
        const since = performance.now()
        const links = { timer: undefined, previous: undefined, next: undefined }
        const waiter: Waiter = { instance, bytes, since, resolve, reject, signal, handleEvent: left, ...links }
        const isImpatient = patienceMs !== undefined && (timeout_ms === 0 || patienceMs < timeout_ms)
        if (isImpatient) waiter.timer = setTimeout(giveUp, patienceMs, waiter)
        else if (timeout_ms > 0) waiter.timer = setTimeout(expire, timeout_ms, waiter)
        signal.addEventListener('abort', waiter)
        append(lineOf(instance), waiter)
        pump(instance)
      })
    }

    app.decorate('admit', (instance: Instance, request: RequestView) => {
      // Passive requests don't stand in line: they are answered by what runs, or not at all.
      if (request.passive || (!queue.lines.has(instance) && !isFull(instance))) {
        const lease = instance.tryAcquire(request.passive)
        if (lease) return lease
      }
      return wait(instance, request)
    })

    const unsubscribe = hestia.events.subscribe(
      (event) => {
        if (event.type === 'instance.ready') {
          const { service, instance, durationMs, waitedMs } = event
          learn(queue, hestia.services.instance(service, instance), durationMs - waitedMs)
        }
        // A raised limit counts at once, also where nothing comes to an end that would move the line.
        if (event.type === 'service.changed')
          for (const instance of queue.lines.keys()) if (instance.service.id === event.service) pump(instance)
      },
      ['instance.ready', 'service.changed'],
    )
    app.addHook('onClose', unsubscribe)
  },
})

/** Takes a request out of its line, whatever becomes of it: the one place that gives back what `join` took. */
function leave(queue: Queue, waiter: Waiter): void {
  const { instance } = waiter
  const line = queue.lines.get(instance)!
  clearTimeout(waiter.timer)
  waiter.signal.removeEventListener('abort', waiter)
  detach(line, waiter)
  if (!line.first) {
    line.unsubscribe()
    queue.lines.delete(instance)
  }
  instance.leave()
}

function rejectAll(queue: Queue, line: Line, error: Error | undefined): void {
  const reason = error ?? new HestiaError('start_failed')
  while (line.first) {
    const waiter = line.first
    leave(queue, waiter)
    waiter.reject(reason)
  }
}

function refuseIfFull(queue: Queue, instance: Instance, { size, max_bytes }: QueueOptions, bytes: number): void {
  const line = queue.lines.get(instance)
  if (!line) return
  const why =
    line.length >= size
      ? `${line.length} requests wait for it already (queue.size)`
      : line.bytes + bytes > max_bytes
        ? `the requests that wait for it hold ${line.bytes} bytes already (queue.max_bytes)`
        : undefined
  if (!why) return
  throw new HestiaError('queue_full', {
    message: `Service ${instance.service.id}, instance ${instance.name}, takes no more requests now: ${why}.`,
    retryAfterMs: retryAfter(queue, instance),
    fields: { service: instance.service.id, instance: instance.name, waiting: line.length, ...estimate(queue, instance) },
  })
}

function tooLate(queue: Queue, waiter: Waiter): HestiaError {
  const { instance, since } = waiter
  const waitedMs = Math.round(performance.now() - since)
  const position = positionOf(waiter)
  const { length } = queue.lines.get(instance)!
  return new HestiaError('queue_timeout', {
    message:
      `The request waited ${waitedMs} ms for service ${instance.service.id}, instance ${instance.name} (${instance.state}), ` +
      `and is at position ${position} of ${length} (queue.timeout_ms).`,
    retryAfterMs: retryAfter(queue, instance),
    fields: {
      service: instance.service.id,
      instance: instance.name,
      waited_ms: waitedMs,
      position,
      ...estimate(queue, instance),
    },
  })
}

/** Half of what is expected is the last start, the rest those before. */
function learn({ startMs }: Queue, instance: Instance | undefined, ms: number): void {
  if (instance) startMs.set(instance, (ms + (startMs.get(instance) ?? ms)) / 2)
}

function notYet(queue: Queue, waiter: Waiter): HestiaError {
  const { instance } = waiter
  const position = positionOf(waiter)
  const how = instance.state === 'hot' ? 'busy with others' : 'being started'
  return new HestiaError('still_waiting', {
    message: `Service ${instance.service.id} is ${how}. The request was not sent to it; come back with it in a moment.`,
    retryAfterMs: retryAfter(queue, instance),
    fields: { service: instance.service.id, instance: instance.name, position, ...estimate(queue, instance) },
  })
}

/**
 * How long until the instance is hot, going by its earlier starts, in milliseconds; undefined when there is nothing to go by. How
 * long it waits for its turn on a shared device is up to others.
 */
function leftMs(queue: Queue, instance: Instance): number | undefined {
  const expectedMs = queue.startMs.get(instance)
  if (expectedMs === undefined || instance.state === 'hot') return undefined
  return Math.max(0, Math.round(expectedMs - (instance.startingForMs ?? 0)))
}

function estimate(queue: Queue, instance: Instance): { estimated_wait_ms?: number } {
  const ms = leftMs(queue, instance)
  return ms === undefined ? {} : { estimated_wait_ms: ms }
}

const retryAfter = (queue: Queue, instance: Instance): number => Math.max(DEFAULT_RETRY_MS, leftMs(queue, instance) ?? 0)

/** Memory that a waiting request holds: its head, and a body that routing has read. */
function sizeOf(request: RequestView): number {
  let bytes = request.target.length + request.heldBytes
  for (const [name, value] of Object.entries(request.headers)) {
    bytes += name.length + (Array.isArray(value) ? value.reduce((sum, one) => sum + one.length, 0) : (value?.length ?? 0))
  }
  return bytes
}
