import { existsSync, writeFileSync } from 'node:fs'
import type { Context } from '../context.ts'
import { start } from './children.ts'
import { coreCount, isPinned, programPath, type Role } from './cores.ts'

const SPIN = ['sh', '-c', 'while :; do :; done']

/**
 * Keeps the cores from falling asleep until the children end, by processes that get what nobody else wants (sched(7), SCHED_IDLE).
 * A virtual machine gives an idle core back, and waking it costs who sends to it up to 30 µs: that would be measured, once for each
 * time in which the other side has nothing to do, and so most of all in those that are slow.
 */
export function keepAwake(context: Context): void {
  const chrt = programPath('chrt')
  if (!chrt || !isPinned) {
    context.sayOnce('  chrt or taskset is not installed: cores fall asleep, which costs most where they do so most often')
    return
  }
  const roles: Role[] = coreCount > 2 ? ['contestant', 'upstream', 'load'] : ['contestant', 'load']
  for (const role of roles) standBack(start(role, [chrt, '--idle', '0', ...SPIN]).pid)
}

/** Classes count within a session only, of which each child has one; between sessions it is this (sched(7), autogroup). */
function standBack(pid: number): void {
  const file = `/proc/${pid}/autogroup`
  if (existsSync(file)) writeFileSync(file, '19')
}
