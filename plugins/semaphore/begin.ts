import type { Instance } from 'hestia'
import { cancel } from './cancel.ts'
import { kindOf } from './errors.ts'
import { follow, isOver, isQueued } from './follow.ts'
import {
  type Bounds,
  boundsOf,
  close,
  engineOf,
  type Kept,
  type Plan,
  type Run,
  recordOf,
  type TaskRecord,
  tell,
} from './kept.ts'
import { type Action, isOurs, markedAt, newMarker } from './marker.ts'
import type { Task } from './read.ts'
import { send } from './send.ts'

export interface Beginning {
  readonly action: Action
  readonly plan: Plan
  /** How the service is to be stopped later. */
  readonly stop: Plan | undefined
  readonly signal: AbortSignal
  readonly note: (sentence: string) => void
}

/**
 * Has a task of the instance: the one that an earlier gateway has begun, or else a new one. Never two at once: what else of the
 * instance is under way in Semaphore is ended, or waited for, first.
 */
export async function begin(kept: Kept, instance: Instance, beginning: Beginning): Promise<Run> {
  const { action, plan, stop, signal } = beginning
  const bounds = boundsOf(instance, kept)
  const earlier = await clearTheWay(kept, instance, beginning, bounds)
  signal.throwIfAborted()
  if (earlier)
    return start(kept, instance, { action, ...plan, marker: earlier.message, task: earlier.id, stop: stop ?? null }, earlier)
  const marker = newMarker(instance, action)
  const { project, template } = plan
  const record: TaskRecord = { action, project, template, marker, task: null, stop: stop ?? null }
  // Before it is sent: whoever comes after a crash in between finds it by the marker.
  instance.data.semaphore = { ...record }
  const sending = send(kept, plan, marker, bounds)
  kept.sending.set(
    instance,
    sending.catch(() => undefined),
  )
  try {
    const task = await sending
    return start(kept, instance, { ...record, task: task.id }, task)
  } catch (thrown) {
    // Only where nobody knows what became of it is there something left to look for.
    if (kindOf(thrown) !== 'lost') delete instance.data.semaphore
    throw thrown
  } finally {
    kept.sending.delete(instance)
  }
}

/** Picks up the task that the record names; undefined when it can't be found. @throws the signal's reason when it is aborted. */
export async function resume(kept: Kept, instance: Instance, record: TaskRecord, signal: AbortSignal): Promise<Run | undefined> {
  const { client } = engineOf(kept)
  const { project, template, marker } = record
  const task =
    record.task === null
      ? (await client.lastTasks(project, template)).find(({ message }) => message === marker)
      : await client.task(project, record.task)
  signal.throwIfAborted()
  return task && start(kept, instance, { ...record, task: task.id }, task)
}

function start(kept: Kept, instance: Instance, given: TaskRecord, task: Task): Run {
  const { action, project, template, marker, task: id, stop } = given
  const record: TaskRecord = { action, project, template, marker, task: id, stop }
  instance.data.semaphore = { ...record }
  const run: Run = {
    record,
    status: task.status,
    createdAt: task.created,
    hasRun: task.start !== null || !(isQueued(task.status) || isOver(task.status)),
    // By Hestia's own clock, which is in the marker; Semaphore's may be another.
    beganAt: performance.now() - Math.max(0, Date.now() - markedAt(marker)),
    controller: new AbortController(),
  }
  kept.runs.get(instance)?.controller.abort(new Error('another task took its place'))
  kept.runs.set(instance, run)
  tell(kept, instance, run)
  return run
}

/**
 * Looks for unfinished tasks of the instance. A task for the other action is ended, a stop that runs already is waited for; of
 * those for this action the oldest of an earlier gateway may go on, if it has time left, and all others are ended.
 * @returns the one that goes on.
 */
async function clearTheWay(kept: Kept, instance: Instance, beginning: Beginning, bounds: Bounds): Promise<Task | undefined> {
  const { action, plan, stop } = beginning
  const places = action === 'start' && stop ? [plan, stop] : [plan, ...startOf(instance)]
  const distinct = places.filter(
    (one, i) => places.findIndex((two) => two.project === one.project && two.template === one.template) === i,
  )
  const lists = await Promise.all(
    distinct.map(async ({ project, template }) =>
      (await engineOf(kept).client.lastTasks(project, template)).map((task) => ({ project, task })),
    ),
  )
  const open = lists
    .flat()
    .filter(({ task }) => !isOver(task.status))
    .toReversed()
  beginning.signal.throwIfAborted()
  const other = action === 'start' ? 'stop' : 'start'
  let goesOn: Task | undefined
  for (const { project, task } of open) {
    const isSame = isOurs(task.message, instance, action)
    if (!isSame && !isOurs(task.message, instance, other)) continue
    const at = markedAt(task.message)
    if (isSame && !goesOn && at < kept.since && Date.now() - at < bounds.taskMs) goesOn = task
    else if (!isSame && action === 'start' && !isQueued(task.status))
      await outlast(kept, instance, project, task, beginning, bounds)
    else await cancel(kept, project, task.id, bounds)
  }
  return goesOn
}

/** A stop that runs is let finish: killed half way it would leave the service in nobody knows what state. */
async function outlast(
  kept: Kept,
  instance: Instance,
  project: number,
  task: Task,
  { signal, note }: Beginning,
  bounds: Bounds,
): Promise<void> {
  note(`task ${task.id} of Semaphore still stops it (${task.status}); waiting for its end`)
  const record: TaskRecord = { action: 'stop', project, template: task.template, marker: task.message, task: task.id, stop: null }
  const run = start(kept, instance, record, task)
  try {
    await follow(kept, run, { bounds, signal, note })
    close(kept, instance, run, null)
  } catch (thrown) {
    close(kept, instance, run, String(thrown))
    if (kindOf(thrown) !== 'deadline') throw thrown
    await cancel(kept, project, task.id, bounds)
  }
}

/** Where the task that started it is, if that is known. */
function startOf(instance: Instance): { project: number; template: number }[] {
  const record = recordOf(instance)
  return record ? [{ project: record.project, template: record.template }] : []
}
