import { messageOf } from './errors.ts'
import type { TraceContext } from './http/trace-context.ts'
import type { InstanceState, StopReason } from './instances/state.ts'
import type { Problem } from './problem.ts'

/** Why an instance was chosen for a request. */
export type RoutingReason = 'mapping' | 'strategy' | 'load_balancer' | 'fallback' | 'base_url'

/** How a request to a service went. */
export interface FinishedRequest {
  requestId: string
  method: string
  /** Of the path below the service, as the client sent it; never the query, where secrets are. */
  path: string
  /** Undefined where it did not come to be known which service was meant. */
  service: string | undefined
  instance: string | undefined
  reason: RoutingReason | undefined
  strategy: string | undefined
  /**
   * What the service answered, else of the error that Hestia answered; 101 for a tunnel; 499 when the client left before there
   * was either. A client that was kept alive while it waited has seen 200, whatever came later.
   */
  status: number
  /** Code of the error that ended it. */
  error: string | undefined
  /** In all lines that it stood in. */
  queueMs: number
  /** When it was sent on, the last time if there were several, counted from its arrival; undefined when it never was. */
  sentMs?: number | undefined
  /** From being let in until the head of the answer; undefined when none came. */
  upstreamMs: number | undefined
  /** Until the client had all of the answer, or was gone. */
  totalMs: number
  /** Of bodies, as they were passed on; of a tunnel, what its client sent and got. */
  bytesIn: number
  bytesOut: number
  /** Whether it waited for a start. */
  coldStart: boolean
  /** The client did not get the whole answer: it left, or the service broke off. */
  aborted: boolean
  /** The trace that it is part of, if a plugin traces. */
  trace?: TraceContext | undefined
}

/** Everything that happens, by type; durations in milliseconds. Logs, metrics, activities, dashboard and SSE read only this. */
export interface EventMap {
  'instance.state': { service: string; instance: string; from: InstanceState; to: InstanceState; reason: string }
  'instance.attempt': { service: string; instance: string; attempt: number; attempts: number }
  /** One plugin has done its part of an attempt, or failed in it. */
  'instance.step': { service: string; instance: string; attempt: number; plugin: string; durationMs: number; error?: string }
  'instance.progress': { service: string; instance: string; note: string }
  /** It was started. Of `durationMs` it waited `waitedMs` for its turn, as for a place on a shared device. */
  'instance.ready': { service: string; instance: string; durationMs: number; waitedMs: number; attempt: number }
  /** What an earlier gateway had started serves on. `starters`: those that look after it. */
  'instance.adopted': { service: string; instance: string; was: InstanceState; starters: readonly string[] }
  /** What an earlier gateway left was not there any more, or not usable; `orphaned` when it may run on and nobody can stop it. */
  'instance.not_adopted': { service: string; instance: string; was: InstanceState; reason: string; orphaned: boolean }
  'instance.attempt_failed': {
    service: string
    instance: string
    attempt: number
    attempts: number
    error: string
    durationMs: number
  }
  'instance.start_failed': { service: string; instance: string; error: string; retryAfterMs: number }
  'instance.crashed': { service: string; instance: string; error: string }
  'instance.stopped': { service: string; instance: string; reason: StopReason; durationMs: number }
  'instance.kept': { service: string; instance: string; plugin: string; keepForMs: number }
  'instance.health': { service: string; instance: string; healthy: boolean; reason: string }
  'instance.output': { service: string; instance: string; stream: 'stdout' | 'stderr'; line: string }
  /** Of the plugin `exclusive`: what was decided about an instance that shares a device with others, and why. */
  'exclusive.decided': {
    group: string
    service: string
    instance: string
    action: 'wait' | 'grant' | 'evict' | 'hold' | 'unhold'
    reason: string
    /** For whom, as `service/instance`. */
    waiter?: string
    /** Who is in the way. */
    behind?: readonly string[]
    waitedMs?: number
  }
  /** Of the plugin `wake-on-lan`: what became of a machine. */
  'machine.state': { machine: string; from: string; to: string; reason: string }
  /** It answers, after so many packets. */
  'machine.woken': { machine: string; durationMs: number; packets: number }
  'machine.wake_failed': { machine: string; error: string; durationMs: number; retryAfterMs: number }
  /** It does not answer any more. */
  'machine.slept': { machine: string; durationMs: number }
  'machine.sleep_failed': { machine: string; error: string; durationMs: number; retryAfterMs: number }
  'hook.failed': { hook: string; plugin: string; service?: string; instance?: string; error: string }
  'request.routed': {
    requestId: string
    service: string
    instance: string
    reason: RoutingReason
    plugin: string
    strategy?: string | undefined
  }
  /** A request that had to wait for its instance is sent on now, `waitedMs` after it had come to it. */
  'request.admitted': { requestId: string; service: string; instance: string; waitedMs: number; coldStart: boolean }
  'request.fallback': { requestId: string; service: string; from: string; to: string; error: string }
  'request.failed': { requestId: string; service: string; instance?: string; code: string; error: string }
  /** A request to a service is over, whatever its end: one for each, tunnels when they close. */
  'request.finished': FinishedRequest
  /** Hestia itself answered a request: its API, a page, an address where nothing is. The path is without its query. */
  'request.answered': { requestId: string; method: string; path: string; status: number; totalMs: number; caller?: string }
  /** Something was thrown away, as whoever should have taken it could not keep up. */
  'events.dropped': { consumer: string; count: number }
  'service.added': { service: string }
  'service.changed': { service: string }
  'service.removed': { service: string }
  'strategy.loaded': { strategy: string; file: string }
  'strategy.removed': { strategy: string; file: string }
  'strategy.failed': { file: string; problems: readonly Problem[] }
  /** A file that was refused is gone, or says again what is in use. */
  'strategy.recovered': { file: string }
  'reload.applied': { generation: number; changes: readonly string[]; durationMs: number }
  'reload.rejected': { phase: string; plugin?: string; problems: readonly Problem[] }
  /** Nothing is refused any more: of the configuration, or of this plugin. */
  'reload.recovered': { phase: string; plugin?: string }
  /** Files of the core that are not any more those that run; none, when they are again. */
  'reload.restart_needed': { files: readonly string[] }
  /** Of the plugin `auth`: who may go on; one for each request. */
  'auth.allowed': { requestId: string; caller: string; kind: string; permission: string; service?: string | undefined }
  /** Somebody was refused; of many of a kind only some are told, each with how many were not. */
  'auth.denied': {
    caller: string
    code: string
    address?: string | undefined
    reason: string
    service?: string | undefined
    untold: number
  }
  'auth.logged_in': { user: string; address: string }
  'auth.logged_out': { user: string }
  'auth.key_made': { id: string; name: string; scopes: readonly string[]; by: string }
  'auth.key_changed': { id: string; name: string; change: 'disabled' | 'enabled' | 'revoked'; by: string }
  /** Of the plugin `store`: from now on nothing can be written, and again. */
  'store.failed': { file: string; error: string }
  'store.recovered': { file: string; failedForMs: number; dropped: number }
  /** Of the plugin `telemetry`: the collector takes no spans, and again. */
  'telemetry.failed': { endpoint: string; error: string }
  'telemetry.recovered': { endpoint: string; failedForMs: number }
  'generation.retired': { generation: number; drained: boolean; durationMs: number }
  'server.listening': { address: string }
  /** Nobody asks who makes a request; `exposed`: others than this machine can make some. */
  'server.open': { address: string; exposed: boolean }
  'server.stopping': { signal: string }
}

export type EventType = keyof EventMap

/** One event: its type, when it happened (milliseconds since the epoch), and its fields. */
export type HestiaEvent = { [T in EventType]: { readonly type: T; readonly at: number } & Readonly<EventMap[T]> }[EventType]

export type EventOf<T extends EventType> = Extract<HestiaEvent, { readonly type: T }>
export type EventListener = (event: HestiaEvent) => void

interface Subscription {
  readonly listener: EventListener
  readonly wants: (type: EventType) => boolean
  over: boolean
}

/** The one stream of everything that happens; a listener that throws harms nobody. */
export class Events {
  readonly #subscriptions = new Set<Subscription>()
  /** Who hears of a type, for the types that happened since somebody came or went. */
  readonly #heard = new Map<EventType, readonly Subscription[]>()

  /**
   * Hears what happens from now on, in the tick in which it happens: everything, or the types that are named or chosen. For
   * what happens with each request only, no event is made while nobody wants its type. All hear the same object, and some read it
   * later: it is not changed. Returns what ends it.
   */
  subscribe(listener: EventListener): () => void
  subscribe<T extends EventType>(listener: (event: EventOf<T>) => void, types: readonly T[]): () => void
  subscribe(listener: EventListener, types: (type: EventType) => boolean): () => void
  subscribe(listener: (event: never) => void, types?: readonly EventType[] | ((type: EventType) => boolean)): () => void {
    const wants = typeof types === 'function' ? types : (type: EventType) => !types || types.includes(type)
    const subscription = { listener: listener as EventListener, wants, over: false }
    this.#subscriptions.add(subscription)
    this.#heard.clear()
    return () => {
      subscription.over = true
      if (this.#subscriptions.delete(subscription)) this.#heard.clear()
    }
  }

  /** Whether anybody hears of events of this type; asked where making one for nobody would cost something. */
  wants(type: EventType): boolean {
    return this.#listenersOf(type).length > 0
  }

  emit<T extends EventType>(type: T, fields: EventMap[T]): void {
    if (this.wants(type)) this.tell({ type, at: Date.now(), ...fields } as unknown as HestiaEvent)
  }

  /** The same with an event that is complete: copying its fields costs too much for what happens with each request. */
  tell(event: HestiaEvent): void {
    for (const subscription of this.#listenersOf(event.type)) {
      if (subscription.over) continue
      try {
        subscription.listener(event)
      } catch (thrown) {
        process.emitWarning(`a listener failed on ${event.type}: ${messageOf(thrown)}`, 'HestiaEventListener')
      }
    }
  }

  /** How many listen; for leak tests. */
  get size(): number {
    return this.#subscriptions.size
  }

  #listenersOf(type: EventType): readonly Subscription[] {
    const known = this.#heard.get(type)
    if (known) return known
    const listeners = [...this.#subscriptions].filter(({ wants }) => wants(type))
    this.#heard.set(type, listeners)
    return listeners
  }
}
