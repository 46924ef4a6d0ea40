import { messageOf, pause, pauseAfter } from 'hestia'
import { type Around, become, type Machine, type MachineRecord, recordOf } from './machine.ts'
import { probeOf, probeOnce } from './probe.ts'
import { runCommand } from './run-command.ts'

/** A command that failed may have worked all the same, as ssh into what falls asleep: how long that is waited for, in milliseconds. */
const BENEFIT_OF_DOUBT_MS = 5000
/** After a try that went wrong: the pause before the next, doubled with each in a row, up to an hour. */
const RETRY_MS = 60_000
const LONGEST_RETRY_MS = 3_600_000

/** From when on a machine may be put to sleep (`performance.now()`); undefined when there is no reason to. */
export function sleepDueAt({ settings }: Machine, { quietSince, sleepFailures }: MachineRecord): number | undefined {
  if (!settings.sleep || quietSince === undefined) return undefined
  return quietSince + Math.max(settings.sleep_after_ms, retryAfter(sleepFailures))
}

const retryAfter = (failures: number): number =>
  failures === 0 ? 0 : Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(failures - 1, 16))

/**
 * Runs the command and waits until the machine is gone, so that nobody takes what is about to vanish for being up. Never rejects; what
 * went wrong is an event, and tried again.
 */
export function putToSleep(machine: Machine, around: Around): Promise<void> {
  const record = recordOf(around.kept, machine.name)
  record.sleeping ??= run(machine, record, around).finally(() => {
    record.sleeping = undefined
  })
  return record.sleeping
}

async function run(machine: Machine, record: MachineRecord, { kept, events, folder }: Around): Promise<void> {
  const { name, address, settings } = machine
  const { signal } = kept.over
  const probe = probeOf(settings.wake.probe, address)
  const beganAt = performance.now()
  const elapsed = () => performance.now() - beganAt
  const ending = new AbortController()
  try {
    // It may never have woken.
    const seen = record.state === 'up' ? undefined : await probeOnce(probe, signal)
    if (seen !== undefined) {
      record.quietSince = undefined
      become(record, 'off', `${probe.text}: ${seen}`, events)
      return
    }
    if (record.wanted > 0) return
    become(record, 'sleeping', 'nothing runs there any more', events)
    const timeoutMs = settings.sleep_timeout_ms
    const course: Course = { complaint: undefined, endedAfterMs: undefined }
    const command = runCommand(settings.sleep!, { machine: name, address, folder, timeoutMs, signal: ending.signal })
      .catch(messageOf)
      .then((complaint) => Object.assign(course, { complaint, endedAfterMs: elapsed() }))
    // A command that hangs on a machine that is gone, as ssh may, is not waited for by those who want it back.
    const isEnough = () => course.endedAfterMs !== undefined || record.wanted > 0
    if (!(await isGone(probe, signal, isEnough, () => endOf(course, timeoutMs) - elapsed())))
      throw new Error(
        course.complaint ?? `it still answers ${timeoutMs} ms later (machines.${name}.sleep_timeout_ms): ${probe.text}`,
      )
    ending.abort()
    await command
    record.quietSince = undefined
    record.sleepFailures = 0
    record.lastError = undefined
    become(record, 'off', 'it was put to sleep', events)
    events.emit('machine.slept', { machine: name, durationMs: elapsed() })
  } catch (thrown) {
    if (signal.aborted) return
    const error = messageOf(thrown)
    record.quietSince &&= performance.now()
    record.sleepFailures++
    record.lastError = error
    become(record, 'up', 'it could not be put to sleep', events)
    const retryAfterMs = retryAfter(record.sleepFailures)
    events.emit('machine.sleep_failed', { machine: name, error, durationMs: elapsed(), retryAfterMs })
  } finally {
    ending.abort()
  }
}

/** What became of the command. */
interface Course {
  complaint: string | undefined
  /** Undefined while it runs. */
  endedAfterMs: number | undefined
}

/** Until when the machine may go on to answer, in milliseconds since the beginning. */
function endOf({ complaint, endedAfterMs }: Course, timeoutMs: number): number {
  if (endedAfterMs === undefined) return Number.POSITIVE_INFINITY // by the timeout of the command
  return complaint === undefined ? timeoutMs : endedAfterMs + BENEFIT_OF_DOUBT_MS
}

/** Whether it stops answering in time, and that `isEnough`; one answer that is missing may have been lost. */
async function isGone(
  probe: ReturnType<typeof probeOf>,
  signal: AbortSignal,
  isEnough: () => boolean,
  leftMs: () => number,
): Promise<boolean> {
  const beganAt = performance.now()
  for (let missing = 0; ; ) {
    missing = (await probeOnce(probe, signal)) === undefined ? 0 : missing + 1
    if (missing >= 2 && isEnough()) return true
    if (missing === 0 && leftMs() <= 0) return false
    await pause(pauseAfter(performance.now() - beganAt), signal)
  }
}
