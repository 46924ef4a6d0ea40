import type { Context } from '../context.ts'
import { start } from './children.ts'
import { coreCount, isPinned, programPath, type Role } from './cores.ts'

const SPIN = ['sh', '-c', 'while :; do :; done']

/**
 * Keeps the cores from falling asleep until the children end, by processes that get what nobody else wants (sched(7), SCHED_IDLE).
 * A virtual machine gives an idle core back, and waking it costs who sends to it up to 30 µs: that would be measured, once for each
 * time in which the other side has nothing to do, and so most of all in those that are slow. The class counts within a session only
 * (sched(7), autogroup): in one of their own they would take 3 ms at a time from who is measured, even with the lowest priority.
 */
export function keepAwake(context: Context): void {
  const chrt = programPath('chrt')
  if (!chrt || !isPinned) {
    context.sayOnce('  chrt or taskset is not installed: cores fall asleep, which costs most where they do so most often')
    return
  }
  const roles: Role[] = coreCount > 2 ? ['contestant', 'upstream', 'load'] : ['contestant', 'load']
  for (const role of roles) start(role, [chrt, '--idle', '0', ...SPIN])
}
