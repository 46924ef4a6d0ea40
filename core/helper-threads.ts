import { readdirSync } from 'node:fs'
import { constants, getPriority, setPriority } from 'node:os'

/** The threads that Node starts first, after the main one, are V8's: four that work, and one that gives them work later. */
const COUNT = 5
/** A ninth of the main thread's share of a core, setpriority(2) and sched(7). */
const NICER_BY = 10

/**
 * Has V8's helpers, which collect garbage and compile, give way to the thread that serves. With one core for all of them (a small
 * virtual machine, a container's share) four that work on a collection get four fifths of it: what was to be forwarded came 30 to
 * 60 ms late, several times a minute. On Linux each thread has a niceness of its own; elsewhere nothing is done.
 */
export function letHelpersGiveWay(): void {
  if (process.platform !== 'linux') return
  try {
    const others = readdirSync('/proc/self/task')
      .map(Number)
      .filter((id) => id !== process.pid)
    const niceness = Math.min(constants.priority.PRIORITY_LOW, getPriority() + NICER_BY)
    for (const id of others.sort((a, b) => a - b).slice(0, COUNT)) setPriority(id, niceness)
  } catch {
    // It serves as well without.
  }
}
