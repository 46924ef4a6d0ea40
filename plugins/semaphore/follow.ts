import { setTimeout as sleep } from 'node:timers/promises'
import { asError, messageOf } from 'hestia'
import { isPassing, kindOf, SemaphoreError } from './errors.ts'
import { type Bounds, engineOf, type Kept, type Run } from './kept.ts'
import type { Task } from './read.ts'

/** These and no others: all else may still become one of them. */
const OVER = new Set(['success', 'error', 'stopped'])
const KNOWN = new Set(['waiting', 'starting', 'running', 'waiting_confirmation', 'confirmed', 'rejected', 'stopping', ...OVER])
/** A task that is not there is answered like a database that is busy; so often in a row means that it is gone. */
const GONE_AFTER = 3

export const isOver = (status: string): boolean => OVER.has(status)
/** Not begun: nothing of it has run yet. */
export const isQueued = (status: string): boolean => status === 'waiting'

/** The pause before the next look at a task that was begun `elapsedMs` ago. */
export const pollDelay = (elapsedMs: number, pollMs: number): number =>
  pollMs * (elapsedMs < 10 * pollMs ? 1 : elapsedMs < 60 * pollMs ? 2 : 5)

/** A look that has so little time before the deadline fails for no fault of the server, in milliseconds. */
const NO_TIME_MS = 100

export interface Following {
  readonly bounds: Bounds
  readonly signal: AbortSignal
  /** Hears of each change of the status. */
  readonly note: (sentence: string) => void
  /** Asked at each look: whether to give up. */
  readonly isUnwanted?: () => boolean
}

/**
 * Looks at a task until it is over; a server that can't be reached meanwhile is asked again. What it says first at the end counts:
 * it may be rewritten later.
 * @returns how it ended.
 * @throws {SemaphoreError} `deadline`, `misconfigured`, `unauthorized`, `gone`, ...; the signal's reason when it is aborted.
 */
export async function follow(kept: Kept, run: Run, { bounds, signal, note, isUnwanted }: Following): Promise<Task | undefined> {
  const { record } = run
  const name = `task ${record.task} of Semaphore`
  let [missing, failures] = [0, 0]
  let trouble = ''
  let queuedSince = isQueued(run.status) ? performance.now() : undefined
  const told = new Set<string>()
  for (let isFirst = true; ; isFirst = false) {
    const now = performance.now()
    const dueAt = Math.min(run.beganAt + bounds.taskMs, queuedSince === undefined ? Infinity : queuedSince + bounds.queueMs)
    // The first look is soon: short tasks are over in less than an interval.
    const delay = isFirst ? Math.min(bounds.pollMs, 100) : pollDelay(now - run.beganAt, bounds.pollMs)
    const jitter = failures === 0 ? 1 : Math.min(5, 2 ** (failures - 1)) * (0.5 + Math.random() / 2)
    await sleep(Math.max(0, Math.min(delay * jitter, dueAt - now)), undefined, { signal }).catch(() => undefined)
    if (signal.aborted) throw asError(signal.reason)
    const leftMs = Math.ceil(dueAt - performance.now())
    if (leftMs <= 0) throw tooLate(name, run, bounds, trouble)
    if (isUnwanted?.()) return undefined
    let task: Task
    try {
      task = await engineOf(kept).client.task(record.project, record.task!, leftMs)
      ;[missing, failures, trouble] = [0, 0, '']
    } catch (thrown) {
      missing = kindOf(thrown) === 'refused' ? missing + 1 : 0
      if (missing >= GONE_AFTER)
        throw new SemaphoreError('gone', `${name} is not there any more (deleted, or Semaphore lost it)`, thrown)
      // That the address is right is known by now: a page instead of JSON comes from a proxy, while Semaphore is away.
      if (missing === 0 && !isPassing(thrown) && kindOf(thrown) !== 'not_json') throw thrown
      if (failures++ === 0) note(`${name}: ${messageOf(thrown)}; asking again`)
      if (leftMs > NO_TIME_MS) trouble = messageOf(thrown)
      continue
    }
    if (task.start !== null || !(isQueued(task.status) || isOver(task.status) || task.status === 'stopping')) run.hasRun = true
    if (task.status !== run.status) {
      run.status = task.status
      note(`${name} is ${task.status}`)
      queuedSince = isQueued(task.status) ? performance.now() : undefined
    }
    if (isOver(task.status)) return task
    if (task.status === 'waiting_confirmation')
      throw new SemaphoreError(
        'misconfigured',
        `${name} waits for somebody to confirm it: switch on auto-approve in template ${record.template}`,
      )
    if (!KNOWN.has(task.status) && !told.has(task.status)) {
      told.add(task.status)
      engineOf(kept).log.warn(
        { task: record.task, status: task.status },
        `${name} has a status that is not known; it is taken for unfinished`,
      )
    }
  }
}

function tooLate(name: string, { status, beganAt, record }: Run, { taskMs, queueMs }: Bounds, trouble: string): SemaphoreError {
  const last = trouble && `; at last, ${trouble}`
  if (performance.now() - beganAt >= taskMs)
    return new SemaphoreError(
      'deadline',
      `${name} was not over within ${taskMs} ms (semaphore.task_timeout_ms); it was ${status}${last}`,
    )
  return new SemaphoreError(
    'deadline',
    `${name} waited for its turn for ${queueMs} ms (semaphore.queue_timeout_ms)${last}; ` +
      `if nothing else of template ${record.template} runs, Semaphore has lost count: restart it`,
  )
}

/** Why a task that is over did not do it, with the end of what it wrote. */
export async function failureOf(
  kept: Kept,
  run: Run,
  { status }: Task,
  tail: (output: string) => string,
): Promise<SemaphoreError> {
  const { project, task, action } = run.record
  const what = `task ${task} of Semaphore (${action}) ended with ${status}`
  const output = await engineOf(kept)
    .client.output(project, task!)
    .then(tail)
    .catch(() => '')
  return new SemaphoreError('task', output ? `${what}; the end of its output:\n${output}` : `${what}; it wrote nothing`)
}
