import { messageOf } from './errors.ts'
import type { InstanceState, StopReason } from './instances/state.ts'
import type { Problem } from './problem.ts'

/** Why an instance was chosen for a request. */
export type RoutingReason = 'mapping' | 'strategy' | 'load_balancer' | 'fallback' | 'base_url'

/** Everything that happens, by type; durations in milliseconds. Logs, metrics, activities, dashboard and SSE read only this. */
export interface EventMap {
  'instance.state': { service: string; instance: string; from: InstanceState; to: InstanceState; reason: string }
  'instance.attempt': { service: string; instance: string; attempt: number; attempts: number }
  'instance.progress': { service: string; instance: string; note: string }
  'instance.ready': { service: string; instance: string; durationMs: number; attempt: number }
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
  'hook.failed': { hook: string; plugin: string; service?: string; instance?: string; error: string }
  'request.routed': {
    requestId: string
    service: string
    instance: string
    reason: RoutingReason
    plugin: string
    strategy?: string
  }
  'request.fallback': { requestId: string; service: string; from: string; to: string; error: string }
  'request.failed': { requestId: string; service: string; instance?: string; code: string; error: string }
  'service.added': { service: string }
  'service.changed': { service: string }
  'service.removed': { service: string }
  'strategy.loaded': { strategy: string; file: string }
  'strategy.removed': { strategy: string; file: string }
  'strategy.failed': { file: string; problems: readonly Problem[] }
  'reload.applied': { generation: number; changes: readonly string[]; durationMs: number }
  'reload.rejected': { phase: string; plugin?: string; problems: readonly Problem[] }
  'generation.retired': { generation: number; drained: boolean; durationMs: number }
  'server.listening': { address: string }
  'server.stopping': { signal: string }
}

export type EventType = keyof EventMap

/** One event: its type, when it happened (milliseconds since the epoch), and its fields. */
export type HestiaEvent = { [T in EventType]: { readonly type: T; readonly at: number } & Readonly<EventMap[T]> }[EventType]

export type EventListener = (event: HestiaEvent) => void

/** The one stream of everything that happens; a listener that throws harms nobody. */
export class Events {
  readonly #listeners = new Set<EventListener>()

  /** Hears every event from now on, in the tick in which it happens. Returns what ends it. */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  emit<T extends EventType>(type: T, fields: EventMap[T]): void {
    if (this.#listeners.size === 0) return
    const event = { type, at: Date.now(), ...fields } as unknown as HestiaEvent
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (thrown) {
        process.emitWarning(`a listener failed on ${type}: ${messageOf(thrown)}`, 'HestiaEventListener')
      }
    }
  }

  /** How many listen; for leak tests. */
  get size(): number {
    return this.#listeners.size
  }
}
