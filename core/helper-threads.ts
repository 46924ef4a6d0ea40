import { opendirSync } from 'node:fs'
import { constants, getPriority, setPriority } from 'node:os'

/** The threads that Node starts first, after the main one, are V8's: one for what is due later, and four that work. */
const COUNT = 5
/** A ninth of the main thread's share of a core, setpriority(2) and sched(7). */
const NICER_BY = 10

/**
 * Has V8's helpers, which collect garbage and compile, give way to the thread that serves. With one core for all of them (a small
 * virtual machine, a container's share) four that work on a collection get four fifths of it: what was to be forwarded came 30 to
 * 60 ms late, several times a minute. On Linux each thread has a niceness of its own; elsewhere nothing is done, nor where
 * somebody has said how many there are to be.
 */
export function letHelpersGiveWay(): void {
  const flags = [process.env.NODE_OPTIONS, ...process.execArgv].join(' ')
  if (process.platform !== 'linux' || /--v8[-_]pool[-_]size/.test(flags)) return
  try {
    const niceness = Math.min(constants.priority.PRIORITY_LOW, getPriority() + NICER_BY)
    for (const id of startedFirst(1 + COUNT)) if (id !== process.pid) setPriority(id, niceness)
  } catch {
    // It serves as well without.
  }
}

/** Ids of as many threads of this process. Linux lists them in the order in which they were started; `readdir` would sort them. */
function startedFirst(count: number): number[] {
  const folder = opendirSync('/proc/self/task')
  try {
    return Array.from({ length: count }, () => folder.readSync()).flatMap((entry) => (entry ? [Number(entry.name)] : []))
  } finally {
    folder.closeSync()
  }
}
