import { type BeforeStartEvent, type Instance, messageOf } from 'hestia'
import type { SemaphoreServiceOptions } from '../../schemas/semaphore.ts'
import { begin, resume } from './begin.ts'
import { isPassing, kindOf } from './errors.ts'
import { failureOf, follow, isOver } from './follow.ts'
import { boundsOf, close, engineOf, type Kept, type Run, recordOf, sectionOf, type TaskRecord } from './kept.ts'
import { prepare } from './prepare.ts'
import { tailOf } from './tail.ts'

/** How long a service that is picked up may take to answer when no task is at work on it, in milliseconds. */
const ANSWERS_WITHIN_MS = 5000

type Start = Pick<BeforeStartEvent, 'instance' | 'signal' | 'progress'>

/**
 * Has Semaphore start the service. Ends as soon as the task is taken on, so that the probe of the service decides when it is ready;
 * a task that fails before that ends the attempt at once. Where nothing else would tell when to go on, it ends with the task.
 */
export async function bringUp(event: BeforeStartEvent, section: SemaphoreServiceOptions, kept: Kept): Promise<void> {
  const { instance, progress } = event
  const record = recordOf(instance)
  if (record?.action === 'start') return goOn(event, record, kept)
  const run = await beginStart(event, section, kept)
  progress(`task ${run.record.task} of Semaphore is ${run.status}`)
  return untilReady(event, run, kept)
}

/** Leaves the rest to the probe, but for a task that fails. */
async function untilReady({ instance, signal, progress }: Start, run: Run, kept: Kept): Promise<void> {
  const ended = watch(kept, run, { instance, signal, progress })
  if (decidesAlone(instance)) {
    const failure = await ended
    if (failure) throw failure
    return
  }
  void ended.then((failure) => {
    // A service that answers has started, whatever became of the task after that.
    if (failure) giveUp({ instance, signal }, run.record, failure)
  })
}

/**
 * Picks up what an earlier gateway has begun, and starts nothing. Semaphore needn't even answer: a service that was up is up if its
 * probe says so, whatever its task came to.
 */
async function goOn(event: BeforeStartEvent, record: TaskRecord, kept: Kept): Promise<void> {
  const { instance, signal, progress, adopting } = event
  const run = await resume(kept, instance, record, signal).catch((thrown: unknown) => {
    if (!isPassing(thrown) && kindOf(thrown) !== 'refused') throw thrown
    progress(`it is not known what became of task ${record.task ?? record.marker}: ${messageOf(thrown)}`)
    return undefined
  })
  signal.throwIfAborted()
  if (run) progress(`task ${run.record.task} of Semaphore was begun before Hestia was; it is ${run.status}`)
  if (run && adopting !== 'hot' && run.status !== 'success') return untilReady(event, run, kept)
  const isAtWork = run !== undefined && !isOver(run.status)
  if (adopting === 'hot' && !isAtWork && !decidesAlone(instance)) {
    // Nothing brings it up any more: it answers now, or it went down while nobody looked.
    const gone = new Error('what an earlier Hestia had started does not answer any more')
    const timer = setTimeout(() => giveUp(event, record, gone), ANSWERS_WITHIN_MS).unref()
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  }
  if (run) void watch(kept, run, event)
}

/** Ends the attempt that the task belongs to; not another that has begun meanwhile. */
function giveUp({ instance, signal }: Pick<Start, 'instance' | 'signal'>, { marker }: TaskRecord, failure: Error): void {
  const isSame = recordOf(instance)?.marker === marker
  if (isSame && !signal.aborted && instance.state === 'starting') instance.crashed(failure)
}

async function beginStart({ instance, signal, progress }: Start, section: SemaphoreServiceOptions, kept: Kept): Promise<Run> {
  const engine = engineOf(kept)
  const wish = kept.wishes.get(instance)?.variables
  const plan = await prepare(engine, instance, section, 'start', wish)
  // Before anything is started: what can't be stopped then had better not be.
  const stop = await prepare(engine, instance, section, 'stop', wish)
  signal.throwIfAborted()
  return begin(kept, instance, { action: 'start', plan: plan!, stop, signal, note: progress })
}

/** Runs the start template of a service that is up; what becomes of it is logged. */
export async function runAgain(instance: Instance, kept: Kept): Promise<void> {
  const never = new AbortController().signal
  const event = { instance, signal: never, progress: () => undefined }
  await watch(kept, await beginStart(event, sectionOf(instance)!, kept), event)
}

/** Follows the task to its end; answers why it failed. Never rejects. */
async function watch(kept: Kept, run: Run, { instance, signal, progress }: Start): Promise<Error | undefined> {
  const log = engineOf(kept).log
  const note = (sentence: string): void => {
    if (instance.state === 'starting' && !signal.aborted) progress(sentence)
    else log.debug({ service: instance.service.id, instance: instance.name }, sentence)
  }
  try {
    const task = (await follow(kept, run, { bounds: boundsOf(instance, kept), signal: run.controller.signal, note }))!
    if (task.status !== 'success')
      throw await failureOf(kept, run, task, (output) => tailOf(output, engineOf(kept).client.secrets))
    close(kept, instance, run, null)
    return undefined
  } catch (thrown) {
    const failure = thrown as Error
    close(kept, instance, run, run.controller.signal.aborted ? null : failure.message)
    if (run.controller.signal.aborted) return undefined
    if (instance.state === 'hot')
      log.warn({ service: instance.service.id, instance: instance.name }, `it answers, but ${messageOf(failure)}`)
    // With the task gone the service may still come: its probe tells, as long as the start may take.
    return kindOf(failure) === 'gone' && !decidesAlone(instance) ? undefined : failure
  }
}

/** Whether nothing comes after it that would find out by itself when the service is there: neither a probe nor another starter. */
function decidesAlone(instance: Instance): boolean {
  const health = instance.section<{ readonly url?: string; readonly tcp?: boolean }>('health')
  const isProbed = health?.url !== undefined || health?.tcp === true
  const { starters } = instance.service.config
  const next = starters[starters.indexOf('semaphore') + 1]
  return !isProbed || (next !== undefined && next !== 'wake-on-lan')
}
