import { type Instance, messageOf, type OnIdleEvent } from 'hestia'
import { begin } from './begin.ts'
import { callOff, cancel } from './cancel.ts'
import { isPassing, kindOf } from './errors.ts'
import { failureOf, follow, isOver, isQueued } from './follow.ts'
import { boundsOf, close, engineOf, type Kept, type Plan, type Run, recordOf, sectionOf, type TaskRecord } from './kept.ts'
import { prepare } from './prepare.ts'
import type { Task } from './read.ts'
import { tailOf } from './tail.ts'

const NEVER = new AbortController().signal

/**
 * Has Semaphore stop the service, and waits for the end of that task: only then is its place free. A start that is still under way
 * is ended first; what never really began needs no stop.
 * @throws {SemaphoreError} when it could not be stopped.
 */
export async function bringDown({ instance, reason }: OnIdleEvent, kept: Kept): Promise<void> {
  await kept.sending.get(instance)
  const run = kept.runs.get(instance)
  run?.controller.abort(new Error(`it is brought down (${reason})`))
  const record = recordOf(instance)
  if (!record) return
  const section = sectionOf(instance)
  if (record.action === 'start') {
    const hasBegun = await endStart(kept, instance, record, run)
    // What the task did until it failed is to be undone; what never left the queue did nothing.
    if (reason === 'start_failed' && !hasBegun) return
  }
  const wish = kept.wishes.get(instance)?.variables
  const plan = section ? await prepare(engineOf(kept), instance, section, 'stop', wish) : record.stop
  // After a failure it is stopped in any case, before the next start.
  if (plan) await stop(kept, instance, plan, reason !== 'start_failed' && reason !== 'crashed')
}

/** Ends the task that started the service, if it isn't over; answers whether it may have done anything. */
async function endStart(kept: Kept, instance: Instance, record: TaskRecord, run: Run | undefined): Promise<boolean> {
  const { client } = engineOf(kept)
  const { project, template, marker } = record
  try {
    const id = record.task ?? (await client.lastTasks(project, template)).find(({ message }) => message === marker)?.id
    if (id === undefined) return false
    const before = await cancel(kept, project, id, boundsOf(instance, kept))
    if (run && !isOver(before.status)) run.status = 'stopping'
    return before.start !== null || !(isQueued(before.status) || isOver(before.status))
  } catch (thrown) {
    // Gone from Semaphore: nobody knows.
    if (kindOf(thrown) !== 'refused') throw thrown
    return true
  } finally {
    if (run) close(kept, instance, run, null)
  }
}

async function stop(kept: Kept, instance: Instance, plan: Plan, canBeCalledOff: boolean): Promise<void> {
  const bounds = boundsOf(instance, kept)
  const { log, client } = engineOf(kept)
  const note = (sentence: string): void => log.debug({ service: instance.service.id, instance: instance.name }, sentence)
  const run = await begin(kept, instance, { action: 'stop', plan, stop: undefined, signal: NEVER, note })
  const { project, task: id } = run.record
  try {
    // Who comes now wants it up: a stop that has not begun is called off.
    const isUnwanted = () => canBeCalledOff && instance.waiting > 0 && isQueued(run.status)
    let task: Task | undefined
    do {
      task = await follow(kept, run, { bounds, signal: run.controller.signal, note, isUnwanted })
      if (!task) run.status = await callOff(kept, project, id!)
    } while (!task && run.status !== 'stopped')
    if (task && task.status !== 'success') throw await failureOf(kept, run, task, (output) => tailOf(output, client.secrets))
    close(kept, instance, run, null)
  } catch (thrown) {
    close(kept, instance, run, messageOf(thrown))
    if (kindOf(thrown) === 'deadline' || kindOf(thrown) === 'misconfigured') await cancel(kept, project, id!, bounds)
    throw thrown
  }
}

/** Runs the stop template of a service that counts as cold. */
export async function stopAnyway(instance: Instance, kept: Kept): Promise<void> {
  const plan = await prepare(engineOf(kept), instance, sectionOf(instance)!, 'stop', kept.wishes.get(instance)?.variables)
  try {
    await stop(kept, instance, plan!, true)
  } finally {
    // Cold instances have no records, unless somebody has begun to start it meanwhile.
    if (instance.state === 'cold') delete instance.data.semaphore
  }
}

/**
 * How long a service stays up that Semaphore can't stop now, in milliseconds; undefined when it can. While it stays it serves,
 * which is better than to count as cold and run on unseen.
 */
export async function stayFor(instance: Instance, kept: Kept): Promise<number | undefined> {
  const { client, log } = engineOf(kept)
  try {
    await client.check()
    return undefined
  } catch (thrown) {
    if (!isPassing(thrown) && kindOf(thrown) !== 'unauthorized') return undefined
    log.warn({ service: instance.service.id, instance: instance.name }, `it stays up for now: ${messageOf(thrown)}`)
    return Math.max(boundsOf(instance, kept).pollMs * 30, 1000)
  }
}
