import { definePlugin, type Instance } from 'hestia'
import { IdleOptions } from '../schemas/idle.ts'

/** After "not now", how long to wait at least before the next question, in milliseconds. */
const ASK_AGAIN_MS = 100
/** What a timer can take; more would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * Stops instances that nobody uses. One timer for each hot instance, not one for each request: when it goes off, it works out
 * from the instance itself what is left.
 */
export default definePlugin({
  name: 'idle',
  options: IdleOptions,
  service: IdleOptions,
  setup(app) {
    const { hestia } = app
    const timers = new Map<Instance, NodeJS.Timeout>()

    const arm = (instance: Instance, atLeastMs = 0): void => {
      clearTimeout(timers.get(instance))
      timers.delete(instance)
      const dueAt = whenDue(instance, performance.now())
      if (instance.state !== 'hot' || dueAt === undefined) return
      const leftMs = Math.min(LONGEST_TIMER_MS, Math.max(atLeastMs, Math.ceil(dueAt - performance.now())))
      timers.set(instance, setTimeout(() => void fire(instance), leftMs).unref())
    }

    const fire = async (instance: Instance): Promise<void> => {
      const isFree = () => isDue(instance)
      const asked = isFree()
      const stopped = asked && (await instance.stop('idle', isFree))
      if (!stopped && !hestia.signal.aborted) arm(instance, asked ? ASK_AGAIN_MS : 0)
    }

    const armAll = (id: string, name?: string): void => {
      for (const instance of hestia.services.get(id)?.all ?? []) if (name === undefined || instance.name === name) arm(instance)
    }

    app.decorate('idleStopAt', (instance: Instance) => whenDue(instance, performance.now()))

    for (const service of hestia.services) armAll(service.id)
    const unsubscribe = hestia.events.subscribe(
      (event) => {
        if (event.type === 'instance.state') armAll(event.service, event.instance)
        else armAll(event.service)
      },
      ['instance.state', 'service.changed'],
    )
    app.addHook('onClose', () => {
      unsubscribe()
      for (const timer of timers.values()) clearTimeout(timer)
      timers.clear()
    })

    hestia.hook('resolveUpstream', {
      order: 'pre',
      handler: ({ request, service }) => {
        const patterns = service && sectionOf(service.config.sections)?.ignore_paths
        if (patterns && patterns.length > 0) request.passive = patterns.some((pattern) => matches(pattern, request.path))
        return undefined
      },
    })
  },
})

const sectionOf = (sections: Readonly<Record<string, unknown>>): IdleOptions | undefined =>
  sections.idle as IdleOptions | undefined

const isDue = (instance: Instance): boolean => {
  const now = performance.now()
  return (whenDue(instance, now) ?? Number.POSITIVE_INFINITY) <= now
}

/**
 * The earliest moment at which the instance could have been idle for long enough (`performance.now()`), if nothing more
 * happens; undefined when it is never stopped for that.
 */
function whenDue(instance: Instance, now: number): number | undefined {
  const section = sectionOf(instance.settings.sections)
  if (!section || section.timeout_ms === 0) return undefined
  const { timeout_ms, silent_stream_ms } = section
  if (instance.waiting > 0) return now + timeout_ms
  let dueAt = Math.max(instance.keepUntil, instance.idleSince + timeout_ms)
  for (const { passive, kind, lastByteAt } of instance.leases) {
    if (passive) continue
    if (kind === 'request') return now + timeout_ms
    // A stream can end at any time before it counts as silent: its end is not waited for longer than that of a request.
    dueAt = Math.max(dueAt, Math.min(now + timeout_ms, lastByteAt + Math.max(timeout_ms, silent_stream_ms)))
  }
  return dueAt
}

/** Whether a path fits a pattern in which `*` stands for any characters. */
function matches(pattern: string, path: string): boolean {
  const [head = '', ...rest] = pattern.split('*')
  const tail = rest.pop()
  if (tail === undefined) return path === pattern
  if (!path.startsWith(head)) return false
  let at = head.length
  for (const part of rest) {
    at = path.indexOf(part, at)
    if (at === -1) return false
    at += part.length
  }
  return path.length - tail.length >= at && path.endsWith(tail)
}
