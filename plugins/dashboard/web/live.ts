import { batch, effect, signal } from '@preact/signals'
import { ApiError } from './api.ts'
import { bootMs, noteStart } from './history.ts'
import { ids, refresh, refreshAll, type State, setState } from './services.ts'
import { boot, phase } from './session.ts'
import { concernsSystem, refreshSystem } from './system.ts'
import { notePlainEvent, openTimeline } from './timeline.ts'

/** An event of `/v1/events`. */
export interface LiveEvent {
  readonly type: string
  readonly at: number
  readonly service?: string
  readonly instance?: string
  readonly [field: string]: unknown
}

/** `lost`: nothing has come for a moment; it is tried again and again. */
export const connection = signal<'connecting' | 'live' | 'lost'>('connecting')

/** What the timeline tells; those of each request are left out, as there may be thousands in a second. */
const TYPES = [
  ...[
    'state',
    'attempt',
    'step',
    'attempt_failed',
    'ready',
    'adopted',
    'not_adopted',
    'start_failed',
    'crashed',
    'stopped',
    'kept',
    'health',
  ].map((name) => `instance.${name}`),
  ...[
    'service.added',
    'service.changed',
    'service.removed',
    'strategy.loaded',
    'strategy.removed',
    'strategy.failed',
    'strategy.recovered',
  ],
  ...['reload.applied', 'reload.rejected', 'reload.recovered', 'reload.restart_needed'],
  ...['hook.failed', 'request.fallback', 'exclusive.decided'],
  ...['machine.state', 'machine.woken', 'machine.wake_failed', 'machine.slept', 'machine.sleep_failed'],
  ...['auth.denied', 'auth.logged_in', 'auth.logged_out', 'auth.key_made', 'auth.key_changed'],
  ...['store.failed', 'store.recovered', 'server.open', 'server.listening'],
]

const RETRY_MS = [500, 1000, 2000, 5000]
const POLL_MS = 2000
/** With many services a look at all of them is a longer answer. */
const POLL_MS_EACH = 20
const SOON_MS = 150
const SOON_MS_EACH = 5
/** Up to so many are looked at one by one. */
const FEW = 3

let source: EventSource | undefined
let retries = 0
let retry: ReturnType<typeof setTimeout> | undefined
let poll: ReturnType<typeof setTimeout> | undefined
let soon: ReturnType<typeof setTimeout> | undefined
let frame = 0
let waiting: LiveEvent[] = []
const dirty = new Set<string>()

/** Follows the gateway while somebody is logged in and the page is seen. */
export function follow(): void {
  const seen = signal(!document.hidden)
  document.addEventListener('visibilitychange', () => {
    seen.value = !document.hidden
  })
  effect(() => {
    if (phase.value === 'in' && seen.value) open()
    else close()
  })
}

function open(): void {
  close()
  const stream = new EventSource(`v1/events?types=${TYPES.join(',')}`)
  source = stream
  stream.addEventListener('open', () => {
    const isBack = connection.peek() === 'lost'
    connection.value = 'live'
    retries = 0
    // Whatever happened in between was missed.
    openTimeline()
    refreshSystem()
    look()
    if (isBack) void boot()
  })
  stream.addEventListener('error', () => {
    if (source !== stream) return
    close()
    if (phase.peek() !== 'in') return
    connection.value = 'lost'
    retry = setTimeout(() => void again(), RETRY_MS[Math.min(retries++, RETRY_MS.length - 1)])
  })
  for (const type of TYPES) stream.addEventListener(type, (message) => arrive(JSON.parse((message as MessageEvent<string>).data)))
}

/** A stream that was refused says no status: a plain question tells whether somebody has to log in. */
async function again(): Promise<void> {
  await refreshAll().catch(() => undefined)
  if (phase.peek() === 'in' && !document.hidden) open()
}

function close(): void {
  source?.close()
  source = undefined
  clearTimeout(retry)
  clearTimeout(poll)
  clearTimeout(soon)
  soon = undefined
}

function arrive(event: LiveEvent): void {
  waiting.push(event)
  if (frame === 0) frame = requestAnimationFrame(flush)
}

/** Everything that came since the last frame, at once. */
function flush(): void {
  frame = 0
  const events = waiting
  waiting = []
  batch(() => {
    for (const event of events) apply(event)
  })
  if (dirty.size > 0) soon ??= setTimeout(lookAtDirty, SOON_MS + (dirty.size > FEW ? ids.peek().length * SOON_MS_EACH : 0))
}

function apply(event: LiveEvent): void {
  const { type, service, instance, at } = event
  notePlainEvent(event)
  if (concernsSystem(type)) refreshSystem()
  if (type === 'reload.applied') void boot()
  if (type.startsWith('service.')) look()
  if (service === undefined) return
  dirty.add(service)
  if (instance === undefined) return
  if (type === 'instance.state') setState(service, instance, event.to as State)
  if (type === 'instance.ready') noteStart(service, { at, durationMs: bootMs(event) })
  if (type === 'instance.start_failed') noteStart(service, { at, durationMs: null })
}

function lookAtDirty(): void {
  soon = undefined
  const few = [...dirty]
  dirty.clear()
  if (few.length > FEW) look()
  else for (const id of few) refresh(id).catch(() => undefined)
}

let looking = false

/** Looks at all services, now and again. */
function look(): void {
  clearTimeout(poll)
  if (looking || !source) return
  looking = true
  refreshAll()
    .catch((error: unknown) => {
      if (!(error instanceof ApiError)) throw error
    })
    .finally(() => {
      looking = false
      const ms = POLL_MS + ids.peek().length * POLL_MS_EACH
      poll = setTimeout(look, source ? ms : POLL_MS)
    })
}
