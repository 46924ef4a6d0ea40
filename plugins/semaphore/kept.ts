import type { AutomationTask, Hestia, Instance } from 'hestia'
import type { SemaphoreOptions, SemaphoreServiceOptions } from '../../schemas/semaphore.ts'
import type { SemaphoreClient } from './client.ts'
import { SemaphoreError } from './errors.ts'
import type { Action } from './marker.ts'
import type { Templates } from './templates.ts'

/** What a task of one action is started with, but for its message. */
export interface Plan {
  readonly project: number
  readonly template: number
  readonly environment?: Readonly<Record<string, string>>
  readonly limit?: readonly string[]
}

/** `instance.data.semaphore`: enough to find the task again, and to stop the service though its section is gone. */
export interface TaskRecord {
  readonly action: Action
  readonly project: number
  readonly template: number
  readonly marker: string
  /** Null until its number is known; the marker finds it all the same. */
  readonly task: number | null
  readonly stop: Plan | null
}

/** A task that is being followed, or was last. Refers to nothing of a generation. */
export interface Run {
  readonly record: TaskRecord
  status: string
  readonly createdAt: string | null
  /** Whether it was ever more than queued. */
  hasRun: boolean
  /** When its time began (`performance.now()`). */
  readonly beganAt: number
  /** Ends the following of it. */
  readonly controller: AbortController
}

/** What somebody who starts or stops by hand wants done otherwise. */
export interface Wish {
  readonly variables: Readonly<Record<string, string>>
  readonly timeoutMs: number | undefined
}

/** What one generation works with; everybody uses that of the newest, so that a new token or address counts at once. */
export interface Engine {
  readonly client: SemaphoreClient
  readonly templates: Templates
  readonly options: SemaphoreOptions
  readonly log: Hestia['log']
}

/** What is kept over generations. */
export interface Kept {
  engine: Engine | undefined
  /** Tasks from before this moment (milliseconds since the epoch) are those of an earlier gateway. */
  readonly since: number
  readonly runs: Map<Instance, Run>
  readonly last: WeakMap<Instance, AutomationTask>
  readonly wishes: WeakMap<Instance, Wish>
  /** Whose task is on its way to Semaphore; ends when it is known what became of it. */
  readonly sending: Map<Instance, Promise<unknown>>
  /** Who wants to hear of the next task of an instance. */
  readonly listeners: Map<Instance, Set<Listener>>
  /** Which Semaphore was greeted last, and as whom. */
  greeted?: string
}

/** Hears of a task that was begun, or why there is none. */
export type Listener = (heard: Run | Error) => void

export function tell({ listeners }: Kept, instance: Instance, what: Run | Error): void {
  for (const listener of [...(listeners.get(instance) ?? [])]) listener(what)
}

export const newKept = (): Kept => ({
  engine: undefined,
  since: Date.now(),
  runs: new Map(),
  last: new WeakMap(),
  wishes: new WeakMap(),
  sending: new Map(),
  listeners: new Map(),
})

/** The plugin is off: what runs is left alone, and nothing looks at it any more. */
export function letGo(kept: Kept): void {
  for (const { controller } of kept.runs.values()) controller.abort(new Error('the plugin semaphore was switched off'))
  kept.runs.clear()
}

export function engineOf({ engine }: Kept): Engine {
  if (!engine) throw new SemaphoreError('misconfigured', 'the plugin semaphore was switched off meanwhile')
  return engine
}

export const sectionOf = (instance: Instance): SemaphoreServiceOptions | undefined =>
  instance.section<SemaphoreServiceOptions>('semaphore')

export const recordOf = (instance: Instance): TaskRecord | undefined => instance.data.semaphore as TaskRecord | undefined

/** The machine that the tasks of an instance are for. */
export const machineOf = (instance: Instance): string | undefined => sectionOf(instance)?.machine_id ?? instance.settings.machine

/** Bounds of a task, in milliseconds. */
export interface Bounds {
  readonly taskMs: number
  readonly queueMs: number
  readonly pollMs: number
}

/** As they are now: the section of a service that is gone has those of the plugin. */
export function boundsOf(instance: Instance, kept: Kept): Bounds {
  const { task_timeout_ms, queue_timeout_ms, poll_interval_ms } = sectionOf(instance) ?? engineOf(kept).options
  return {
    taskMs: kept.wishes.get(instance)?.timeoutMs ?? task_timeout_ms,
    queueMs: queue_timeout_ms,
    pollMs: poll_interval_ms,
  }
}

/** How a task looks from outside. */
export function viewOf(
  { record, status, createdAt }: Run,
  end: { at: string; error: string | null } | undefined,
): AutomationTask {
  const { task, action, project, template, marker } = record
  return {
    id: task,
    action,
    status,
    project,
    template,
    message: marker,
    created_at: createdAt,
    ended_at: end?.at ?? null,
    error: end?.error ?? null,
  }
}

/** It is over, or not followed any more: becomes the last one of its instance. */
export function close(kept: Kept, instance: Instance, run: Run, error: string | null): void {
  if (kept.runs.get(instance) !== run) return
  kept.runs.delete(instance)
  kept.last.set(instance, viewOf(run, { at: new Date().toISOString(), error }))
}
