import { allProcesses, endTree, hasInEnvironment, type Instance } from 'hestia'
import type { ProcessOptions } from '../../schemas/process.ts'
import { NO_GROUP } from './leftovers.ts'
import { removeFolder } from './output.ts'
import { isKeptByAnother, isSame, type OwnRecord, ownRecordOf } from './record.ts'
import { forget, type Kept, letGo, sectionOf } from './running.ts'

/**
 * Ends what was started for the instance, whichever generation did; what was found running is left alone.
 * @returns the pids that had to be killed.
 * @throws when some of it can't be ended.
 */
export async function bringDown(instance: Instance, kept: Kept, defaults: ProcessOptions): Promise<number[]> {
  const record = ownRecordOf(instance)
  if (!record) return []
  const run = kept.running.get(instance)
  if (run) run.stopping = true
  // Without a start time only the parent can tell that the pid still is what it was.
  if (!run && (record.startTime === null || isKeptByAnother(record))) return []
  kept.ended.add(record.cookie)
  const { stop_signal, stop_grace_ms } = sectionOf(instance) ?? run?.section ?? defaults
  try {
    const isOurs = run !== undefined || (await hasOurGroup(record))
    return await endTree(isOurs ? record : { ...record, pid: NO_GROUP }, stop_signal, stop_grace_ms)
  } finally {
    if (run) forget(kept, run)
    else removeFolder(record.output)
    kept.ended.delete(record.cookie)
  }
}

/**
 * Whether the group that an earlier gateway recorded is what it was: led by the same process, or with one in it that carries the
 * cookie. Its number may long be another's.
 */
async function hasOurGroup(record: OwnRecord): Promise<boolean> {
  if (isSame(record)) return true
  return (await allProcesses()).some(({ pid, group }) => group === record.pid && hasInEnvironment(pid, record.cookie))
}

/** The last generation with this plugin is over. If the gateway goes on without it, nobody else would end what runs. */
export async function release(kept: Kept): Promise<void> {
  if (kept.gatewayEnds) return letGo(kept)
  await Promise.all(
    [...kept.running.values()].map(async ({ instance, section }) => {
      const ended = bringDown(instance, kept, section)
      await Promise.all([ended, instance.stop('removed')])
    }),
  )
}
