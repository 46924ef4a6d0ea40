import type { ResolvedService } from '../config/types.ts'
import type { Events } from '../events.ts'
import type { InstanceState, StopReason } from './state.ts'

/** What a starter records in order to find, stop or adopt what it started: plain JSON. */
export type StarterData = Record<string, unknown>

/** Which instance of which service; enough to speak of it. */
export interface Place {
  readonly name: string
  readonly service: { readonly id: string; readonly config: ResolvedService }
}

/** What an instance knows of its service. */
export interface Owner<I> {
  readonly id: string
  readonly config: ResolvedService
  readonly instances: readonly I[]
  /** Where requests go when starting failed; one of the instances, or one that is nothing but a fallback. */
  readonly fallback: I | undefined
}

export interface BeforeStart<I> {
  readonly instance: I
  /** Counts from 1. */
  readonly attempt: number
  /**
   * How an earlier gateway left it, when this start takes over what that one had begun: what is recorded in `instance.data`
   * runs still, and nothing is to be started.
   */
  readonly adopting?: InstanceState
  /** Aborted when the attempt is over: timeout, crash, nobody wants it any more. A handler must stop waiting then. */
  readonly signal: AbortSignal
  /** Reports a sign of life; extends a stall-aware timeout. */
  readonly progress: (note: string) => void
  /**
   * Waits for what must come before the start itself, as a place on a device. That time does not count into
   * `start.timeout_ms`, and once nobody waits for the instance any more the start is given up, whatever `start.abandon` says.
   */
  readonly standBy: <T>(work: Promise<T>) => Promise<T>
  /**
   * Waits for what has bounds of its own, as the waking of a machine: that time does not count into `start.timeout_ms` either, but
   * belongs to the start like any other.
   */
  readonly untimed: <T>(work: Promise<T>) => Promise<T>
}

export interface OnReady<I> {
  readonly instance: I
  /** From the first attempt's begin, in milliseconds. */
  readonly durationMs: number
}

export interface OnIdle<I> {
  readonly instance: I
  readonly reason: StopReason
}

/** Answer of a `pre` handler of `onIdle` that finds the instance still busy, to the reasons `idle` and `evicted`. */
export interface StillBusy {
  /** Milliseconds until the question makes sense again. */
  readonly keepFor: number
}

/** What an instance asks of a plugin that brings it up and down. */
export interface Starter<I> {
  readonly ofMachine?: (machine: never) => boolean
  readonly stillRuns?: (instance: I) => boolean | Promise<boolean>
}

/** The hooks that bring an instance up and down, as one generation has them. */
export interface Lifecycle<I> {
  /** Starters that are on, by the plugin's name. */
  readonly starters: ReadonlyMap<string, Starter<I>>
  /** Without the handlers of the plugins to leave out. @throws what a starter threw, or the signal's reason. */
  beforeStart(event: BeforeStart<I>, leaveOut?: ReadonlySet<string>): Promise<void>
  /** Starters of which what they recorded runs no more. @throws the signal's reason. */
  ended(instance: I, signal: AbortSignal): Promise<readonly string[]>
  /** Never rejects. */
  onReady(event: OnReady<I>): Promise<void>
  /** Asks the `pre` handlers; never rejects. */
  askStillBusy(event: OnIdle<I>): Promise<(StillBusy & { readonly plugin: string }) | undefined>
  /** Runs what stops things, without the `pre` handlers if they were asked before; never rejects. */
  onIdle(event: OnIdle<I>, asked: boolean): Promise<void>
}

/** What an instance needs of its surroundings; the hooks are those of the current generation each time. */
export interface Surroundings<I> {
  readonly events: Events
  hooks(): Lifecycle<I>
  /** Ends when nothing that is being removed runs at this URL any more; undefined when nothing does. */
  vacated(url: string): Promise<void> | undefined
}
