import type { Instance } from 'hestia'
import type { ProcessOptions } from '../../schemas/process.ts'
import type { ProcessRecord } from './launch.ts'
import { forget, type Kept, letGo, sectionOf } from './running.ts'
import { endTree } from './tree.ts'

/**
 * Ends what was started for the instance, whichever generation did; what was found running is left alone.
 * @returns the pids that had to be killed.
 * @throws when some of it can't be ended.
 */
export async function bringDown(instance: Instance, kept: Kept, defaults: ProcessOptions): Promise<number[]> {
  const record = instance.data.process as ProcessRecord | undefined
  if (!record || 'external' in record) return []
  const run = kept.running.get(instance)
  if (run) run.stopping = true
  // Without a start time only the parent can tell that the pid still is what it was.
  if (record.startTime === null && !run) return []
  const { stop_signal, stop_grace_ms } = sectionOf(instance) ?? run?.section ?? defaults
  try {
    return await endTree(record, stop_signal, stop_grace_ms)
  } finally {
    if (run) forget(kept, run)
  }
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
