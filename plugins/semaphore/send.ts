import { setTimeout as sleep } from 'node:timers/promises'
import type { TaskOrder } from './client.ts'
import { isPassing, kindOf } from './errors.ts'
import { type Bounds, engineOf, type Kept, type Plan } from './kept.ts'
import { idOf } from './marker.ts'
import { REQUEST_VARIABLE } from './prepare.ts'
import type { Task } from './read.ts'

/** How often a task is looked for whose start was not answered: the request may still be on its way. */
const LOOKS = 3

/**
 * Starts a task, once: the server does not notice that it was asked twice. When no answer came, the task is looked for by its
 * marker, and only if there is none is the server asked again.
 * @throws {SemaphoreError} when it is not there in the end, as far as can be told.
 */
export async function send(kept: Kept, plan: Plan, marker: string, bounds: Bounds): Promise<Task> {
  const order = orderOf(plan, marker)
  try {
    return await engineOf(kept).client.startTask(plan.project, order)
  } catch (thrown) {
    const kind = kindOf(thrown)
    if (kind === 'not_found' || kind === 'refused') engineOf(kept).templates.forget()
    if (kind !== 'lost' && kind !== 'failing') throw thrown
    engineOf(kept).log.warn({ err: thrown, marker }, 'it is not known whether Semaphore has taken a task on; looking for it')
    // A server that fails has often made the task all the same, and marked it as failed: that one tells why.
    const found = await lookFor(kept, plan, marker, bounds)
    if (found) return found
    if (kind === 'failing') throw thrown
    return engineOf(kept).client.startTask(plan.project, order)
  }
}

async function lookFor(kept: Kept, { project, template }: Plan, marker: string, { pollMs }: Bounds): Promise<Task | undefined> {
  for (let look = 1; ; look++) {
    try {
      const tasks = await engineOf(kept).client.lastTasks(project, template)
      const found = tasks.find(({ message }) => message === marker)
      if (found) return found
    } catch (thrown) {
      if (!isPassing(thrown) || look >= LOOKS) throw thrown
    }
    if (look >= LOOKS) return undefined
    await sleep(Math.min(pollMs, 1000))
  }
}

/** A body that servers of all versions read alike: what they don't know they ignore. */
function orderOf({ template, environment, limit }: Plan, marker: string): TaskOrder {
  const variables = environment && {
    ...environment,
    ...(REQUEST_VARIABLE in environment ? { [REQUEST_VARIABLE]: idOf(marker) } : {}),
  }
  return {
    template_id: template,
    message: marker,
    ...(variables ? { environment: JSON.stringify(variables) } : {}),
    ...(limit ? { limit: limit.join(','), params: { limit } } : {}),
  }
}
