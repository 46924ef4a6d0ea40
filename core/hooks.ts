import { asError, HestiaError, messageOf } from './errors.ts'
import type { Events, RoutingReason } from './events.ts'
import type { RequestView } from './http/request-view.ts'
import type { Instance } from './instances/instance.ts'
import type { BeforeStart, Lifecycle, OnIdle, OnReady, StillBusy } from './instances/lifecycle.ts'
import type { Service } from './instances/service.ts'
import type { StarterTraits } from './plugin.ts'

/** What a `resolveUpstream` handler may answer: where the request goes and why; or a service, from a front door. */
export type Resolution =
  | { readonly instance: Instance; readonly reason: RoutingReason; readonly strategy?: string }
  | { readonly service: Service }

export interface ResolveUpstreamEvent {
  readonly request: RequestView
  /** Undefined when a front door asks which service is meant. */
  readonly service: Service | undefined
  /** Instances that have failed this very request already. */
  readonly exclude: ReadonlySet<Instance>
}

export type BeforeStartEvent = BeforeStart<Instance>
export type OnReadyEvent = OnReady<Instance>
export type OnIdleEvent = OnIdle<Instance>

/** The four hooks: the whole vocabulary of the core. */
export interface Hooks {
  /** Says where a request goes. First answer wins; a throw fails the request. Handlers that return no promise are not awaited. */
  resolveUpstream(event: ResolveUpstreamEvent): Resolution | undefined | Promise<Resolution | undefined>
  /** Brings an instance up, or waits until it is. In order; all must succeed. */
  beforeStart(event: BeforeStartEvent): void | Promise<void>
  /** Hears that an instance is hot. All at once; errors are logged. */
  onReady(event: OnReadyEvent): void | Promise<void>
  /** Brings an instance down. In order; errors are logged and the rest goes on. */
  // biome-ignore lint/suspicious/noConfusingVoidType: most handlers answer nothing at all
  onIdle(event: OnIdleEvent): undefined | StillBusy | void | Promise<undefined | StillBusy | void>
}

export type HookName = keyof Hooks

/** A handler, with its place and bounds. */
export interface Registration<N extends HookName> {
  /** Before or after all handlers without one. */
  readonly order?: 'pre' | 'post'
  /**
   * Bound in milliseconds; `onReady` and `onIdle` have 60 s by default, `beforeStart` is bounded by `start.timeout_ms`.
   * `Infinity` is for a handler that bounds itself.
   */
  readonly timeout?: number
  /** Of `resolveUpstream`: whether the handler looks at `field` or `body` of requests to this service. */
  readonly readsBody?: (service: Service | undefined) => boolean
  readonly handler: Hooks[N]
}

export interface HookEntry<N extends HookName = HookName> extends Registration<N> {
  readonly plugin: string
}

const DEFAULT_TIMEOUT_MS = 60_000
const RANK = { pre: 0, normal: 1, post: 2 } as const
const rank = (entry: { order?: 'pre' | 'post' }): number => RANK[entry.order ?? 'normal']

/** An error of a handler, told apart by plugin and hook; the original is its cause. */
class HookError extends Error {
  readonly plugin: string
  readonly hook: HookName

  constructor(plugin: string, hook: HookName, cause: unknown) {
    super(messageOf(cause), { cause })
    this.name = 'HookError'
    this.plugin = plugin
    this.hook = hook
  }
}

/** The four handler lists of one generation; sorted as they grow, never changed after its build. */
export class HookLists implements Lifecycle<Instance> {
  readonly starters: ReadonlyMap<string, StarterTraits>
  readonly #lists: { [N in HookName]: HookEntry<N>[] } = { resolveUpstream: [], beforeStart: [], onReady: [], onIdle: [] }
  readonly #events: Events

  constructor(events: Events, starters: ReadonlyMap<string, StarterTraits> = new Map()) {
    this.#events = events
    this.starters = starters
  }

  add<N extends HookName>(plugin: string, name: N, registration: Hooks[N] | Registration<N>): void {
    const entry = (
      typeof registration === 'function' ? { plugin, handler: registration } : { plugin, ...registration }
    ) as HookEntry<N>
    const list = this.#lists[name] as HookEntry<N>[]
    const at = list.findIndex((other) => rank(other) > rank(entry))
    list.splice(at === -1 ? list.length : at, 0, entry)
  }

  /** Plugin and order of each handler of a hook, in the order in which they run. */
  describe(): Record<HookName, { plugin: string; order: string }[]> {
    const show = (list: readonly HookEntry[]) => list.map(({ plugin, order }) => ({ plugin, order: order ?? 'normal' }))
    const { resolveUpstream, beforeStart, onReady, onIdle } = this.#lists
    return {
      resolveUpstream: show(resolveUpstream),
      beforeStart: show(beforeStart),
      onReady: show(onReady),
      onIdle: show(onIdle),
    }
  }

  /** Whether any handler looks into the body of a request to this service. */
  readsBody(service: Service | undefined): boolean {
    for (const entry of this.#lists.resolveUpstream) if (entry.readsBody?.(service)) return true
    return false
  }

  /** The first answer and who gave it. Stays synchronous as long as the handlers do: this is the hot path. */
  resolveUpstream(event: ResolveUpstreamEvent): Answer | undefined | Promise<Answer | undefined> {
    return this.#resolveFrom(0, event)
  }

  #resolveFrom(index: number, event: ResolveUpstreamEvent): Answer | undefined | Promise<Answer | undefined> {
    const list = this.#lists.resolveUpstream
    for (let i = index; i < list.length; i++) {
      const { plugin, handler } = list[i]!
      try {
        const resolution = handler(event)
        if (resolution instanceof Promise) {
          return resolution.then(
            (late) => (late ? { plugin, resolution: late } : this.#resolveFrom(i + 1, event)),
            (thrown: unknown) => {
              throw routingFailed(plugin, thrown)
            },
          )
        }
        if (resolution) return { plugin, resolution }
      } catch (thrown) {
        throw routingFailed(plugin, thrown)
      }
    }
    return undefined
  }

  /** Runs the starters in order, until one fails or `event.signal` is aborted. */
  async beforeStart(event: BeforeStartEvent, leaveOut?: ReadonlySet<string>): Promise<void> {
    for (const { plugin, handler, timeout } of this.#lists.beforeStart) {
      if (leaveOut?.has(plugin)) continue
      event.signal.throwIfAborted()
      const beganAt = performance.now()
      try {
        const work = handler(event)
        // Who has nothing to do for this instance says so by answering no promise.
        if (!(work instanceof Promise)) continue
        await bounded(() => work, timeout, event.signal)
        this.#tellStep(event, plugin, beganAt)
      } catch (thrown) {
        this.#tellStep(event, plugin, beganAt, messageOf(event.signal.aborted ? event.signal.reason : thrown))
        throw event.signal.aborted ? event.signal.reason : new HookError(plugin, 'beforeStart', thrown)
      }
    }
    event.signal.throwIfAborted()
  }

  #tellStep({ instance, attempt }: BeforeStartEvent, plugin: string, beganAt: number, error?: string): void {
    const who = { service: instance.service.id, instance: instance.name, attempt, plugin }
    const durationMs = performance.now() - beganAt
    this.#events.emit('instance.step', { ...who, durationMs, ...(error === undefined ? {} : { error }) })
  }

  /** Starters of which what they recorded runs no more; one that can't find out is told, and readiness decides. */
  async ended(instance: Instance, signal: AbortSignal): Promise<readonly string[]> {
    const asked = Object.keys(instance.data).map(async (name) => {
      const starter = this.starters.get(name)
      try {
        return (await bounded(() => starter?.stillRuns?.(instance), undefined, signal)) === false ? [name] : []
      } catch (thrown) {
        signal.throwIfAborted()
        this.#report('stillRuns', name, instance, thrown)
        return []
      }
    })
    return (await Promise.all(asked)).flat()
  }

  /** Tells everybody at once; never throws. */
  async onReady(event: OnReadyEvent): Promise<void> {
    await Promise.all(
      this.#lists.onReady.map(async ({ plugin, handler, timeout }) => {
        try {
          await bounded(() => handler(event), timeout ?? DEFAULT_TIMEOUT_MS)
        } catch (thrown) {
          this.#report('onReady', plugin, event.instance, thrown)
        }
      }),
    )
  }

  /** Asks the `pre` handlers whether the instance is still busy; never throws. */
  async askStillBusy(event: OnIdleEvent): Promise<(StillBusy & { plugin: string }) | undefined> {
    for (const entry of this.#lists.onIdle) {
      if (entry.order !== 'pre') return undefined
      const answer = await this.#runOnIdle(entry, event)
      if (answer && answer.keepFor > 0) return { keepFor: answer.keepFor, plugin: entry.plugin }
    }
    return undefined
  }

  /** Runs the handlers that stop things; all of them, `pre` ones only when they were not asked before. Never throws. */
  async onIdle(event: OnIdleEvent, asked: boolean): Promise<void> {
    for (const entry of this.#lists.onIdle) {
      if (asked && entry.order === 'pre') continue
      await this.#runOnIdle(entry, event)
    }
  }

  async #runOnIdle(entry: HookEntry<'onIdle'>, event: OnIdleEvent): Promise<StillBusy | undefined> {
    try {
      return (await bounded(() => entry.handler(event), entry.timeout ?? DEFAULT_TIMEOUT_MS)) ?? undefined
    } catch (thrown) {
      this.#report('onIdle', entry.plugin, event.instance, thrown)
      return undefined
    }
  }

  #report(hook: HookName | 'stillRuns', plugin: string, instance: Instance, thrown: unknown): void {
    this.#events.emit('hook.failed', {
      hook,
      plugin,
      service: instance.service.id,
      instance: instance.name,
      error: messageOf(thrown),
    })
  }
}

/** A resolution and the plugin that gave it. */
export interface Answer {
  readonly plugin: string
  readonly resolution: Resolution
}

const routingFailed = (plugin: string, thrown: unknown): HestiaError =>
  thrown instanceof HestiaError
    ? thrown
    : new HestiaError('routing_failed', {
        message: `Plugin ${plugin} failed while choosing an instance: ${messageOf(thrown)}`,
        cause: new HookError(plugin, 'resolveUpstream', asError(thrown)),
      })

/** Runs `work`, but waits no longer than `timeoutMs` and `signal` allow; what it does after that is not waited for. */
async function bounded<T>(work: () => T | Promise<T>, timeoutMs: number | undefined, signal?: AbortSignal): Promise<T> {
  const result = work()
  if (!(result instanceof Promise)) return result
  if (timeoutMs === undefined && !signal) return result
  return new Promise<T>((resolve, reject) => {
    const timer =
      timeoutMs === undefined || timeoutMs === Infinity
        ? undefined
        : setTimeout(() => reject(new Error(`took longer than ${timeoutMs} ms`)), timeoutMs)
    const abort = () => reject(asError(signal?.reason))
    signal?.addEventListener('abort', abort, { once: true })
    const settle = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
    result.then(resolve, reject).finally(settle)
  })
}
