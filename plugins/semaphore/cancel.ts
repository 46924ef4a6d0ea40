import { setTimeout as sleep } from 'node:timers/promises'
import { isOver, isQueued } from './follow.ts'
import { type Bounds, engineOf, type Kept } from './kept.ts'
import type { Task } from './read.ts'

/** How many polls long a task that was asked to stop may take before it is forced to, and then again. */
const GRACE_POLLS = 10

/**
 * Stops a task, and waits until it runs no more. One that is over is left alone, as its result would be rewritten; one that is
 * still queued is never forced: its row would say "stopped", and it would run all the same.
 * @returns how it was before.
 * @throws {SemaphoreError} when Semaphore can't be asked.
 */
export async function cancel(kept: Kept, project: number, id: number, bounds: Bounds): Promise<Task> {
  const found = await engineOf(kept).client.task(project, id)
  const hasBegun = found.start !== null
  // Asked to stop before it began, it won't be run; that its row says so may take until its turn has come.
  if (isOver(found.status) || (found.status === 'stopping' && !hasBegun)) return found
  await engineOf(kept).client.stopTask(project, id, false)
  if (isQueued(found.status)) return found
  if (await ended(kept, project, id, bounds)) return found
  if (hasBegun) await engineOf(kept).client.stopTask(project, id, true)
  if (!hasBegun || !(await ended(kept, project, id, bounds)))
    engineOf(kept).log.warn({ task: id, project }, `task ${id} of Semaphore goes on though it was stopped`)
  return found
}

/**
 * Takes back a task that is still queued. One that has begun meanwhile goes on: killed half way, it would leave the service in
 * nobody knows what state.
 * @returns how it is; `stopped` when it was taken back.
 */
export async function callOff(kept: Kept, project: number, id: number): Promise<string> {
  const { status } = await engineOf(kept).client.task(project, id)
  if (!isQueued(status)) return status
  await engineOf(kept).client.stopTask(project, id, false)
  return 'stopped'
}

async function ended(kept: Kept, project: number, id: number, { pollMs }: Bounds): Promise<boolean> {
  const end = performance.now() + GRACE_POLLS * pollMs
  while (performance.now() < end) {
    await sleep(pollMs / 2)
    const { status } = await engineOf(kept).client.task(project, id)
    if (isOver(status)) return true
  }
  return false
}
