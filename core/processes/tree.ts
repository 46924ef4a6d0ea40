import { setTimeout as sleep } from 'node:timers/promises'
import { allProcesses, hasInEnvironment, type ProcessInfo, processInfo } from './proc.ts'

/** What names a process and everything that comes from it, also for a later gateway; plain JSON. */
export interface TreeRecord {
  /** Of the process that was started; also the id of its group and session. */
  readonly pid: number
  /** In clock ticks since boot, so that a recycled pid is told apart; null where the system doesn't say (not Linux). */
  readonly startTime: number | null
  /** A random word in the environment of all of them. */
  readonly cookie: string
}

type Member = Pick<ProcessInfo, 'pid' | 'group' | 'startTime'>

/** How long the system may take to end what was killed. */
const KILL_MS = 2000

/**
 * Ends the whole tree: asks politely, kills what is left after `graceMs`, and waits until it is gone.
 * @returns the pids that had to be killed.
 * @throws when some of it is still there, such as a process that belongs to another user.
 */
export async function endTree(tree: TreeRecord, signal: NodeJS.Signals, graceMs: number): Promise<number[]> {
  const stubborn = await ask(tree, signal, graceMs)
  const left = await kill(tree, stubborn)
  if (left.length === 0) return stubborn.map(({ pid }) => pid)
  const pids = left.map(({ pid }) => pid).join(', ')
  throw new Error(
    `pids ${pids} were sent SIGKILL and did not end within ${KILL_MS} ms: see what holds them (ps -o pid,user,stat,wchan), and end them by hand`,
  )
}

/** Sends `signal` once to each and waits; answers those that are left when the time is up. */
async function ask(tree: TreeRecord, signal: NodeJS.Signals, withinMs: number): Promise<Member[]> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const members = await membersOf(tree)
    if (members.length === 0) return []
    send(tree, members, signal)
    // Those who come meanwhile may be cleaning up for those who were asked: their turn is when nobody else is left.
    if (!(await gone(tree, members, deadline))) return membersOf(tree, members)
  }
}

async function kill(tree: TreeRecord, stubborn: readonly Member[]): Promise<readonly Member[]> {
  const deadline = performance.now() + KILL_MS
  let left = stubborn
  while (left.length > 0 && performance.now() < deadline) {
    send(tree, left, 'SIGKILL')
    // Short, since a member that forks faster than it is found can only be ended by repetition.
    await gone(tree, left, Math.min(deadline, performance.now() + 100))
    left = await membersOf(tree, left)
  }
  return left
}

/**
 * Those alive now; `seen` are members found before, which count though their parents are gone. Nobody is believed only the
 * second time: a member may have ended, leaving a child, while the list was read.
 */
async function membersOf(tree: TreeRecord, seen: readonly Member[] = []): Promise<Member[]> {
  const members = await findMembers(tree, seen)
  return members.length > 0 ? members : findMembers(tree, seen)
}

/**
 * On Linux: the group, everything that carries the cookie (it is inherited by what leaves the group), and what descends from
 * either. Only a process that left the group, cleared its environment and lost its parent before the stop gets away.
 * Elsewhere: the group as a whole.
 */
async function findMembers({ pid, startTime, cookie }: TreeRecord, seen: readonly Member[]): Promise<Member[]> {
  if (startTime === null) return sendTo(-pid, 0) ? [{ pid, group: pid, startTime: 0 }] : []
  // A process is never older than what it comes from.
  const all = (await allProcesses()).filter((info) => info.startTime >= startTime && info.pid !== process.pid)
  // While the group has a member its id is not given to a new process, so that a stranger with this pid means: no group.
  const leader = processInfo(pid)
  const groupIsOurs = leader === undefined || leader.startTime === startTime
  const ours = new Set<number>()
  for (const info of all) {
    const wasSeen = seen.some((member) => member.pid === info.pid && member.startTime === info.startTime)
    if (wasSeen || (groupIsOurs && info.group === pid) || hasInEnvironment(info.pid, cookie)) ours.add(info.pid)
  }
  for (let before = -1; before !== ours.size; ) {
    before = ours.size
    for (const info of all) if (ours.has(info.parent)) ours.add(info.pid)
  }
  return all.filter((info) => ours.has(info.pid) && !info.zombie)
}

/** Waits until none of `members` is alive; false when the deadline came first. Looks at these alone, which is cheap. */
async function gone(tree: TreeRecord, members: readonly Member[], deadline: number): Promise<boolean> {
  for (let pauseMs = 2; members.some((member) => isAlive(tree, member)); pauseMs = Math.min(100, pauseMs * 1.5)) {
    const leftMs = deadline - performance.now()
    if (leftMs <= 0) return false
    await sleep(Math.min(pauseMs, leftMs))
  }
  return true
}

function isAlive(tree: TreeRecord, member: Member): boolean {
  return tree.startTime === null ? sendTo(-tree.pid, 0) : current(member) !== undefined
}

/** A member as it is now; undefined when it has ended, or its pid belongs to somebody else. */
function current({ pid, startTime }: Member): ProcessInfo | undefined {
  const info = processInfo(pid)
  return info?.startTime === startTime && !info.zombie ? info : undefined
}

/** To the group by one call, so that a member that is just forking can't slip through; then to those that are not in it. */
function send(tree: TreeRecord, members: readonly Member[], signal: NodeJS.Signals): void {
  if (members.some((member) => member.group === tree.pid && isAlive(tree, member))) sendTo(-tree.pid, signal)
  // Looked up after the group was told: whoever leaves it at this moment is told once more rather than never.
  for (const member of members) if ((current(member)?.group ?? tree.pid) !== tree.pid) sendTo(member.pid, signal)
}

/** To a process, or with a negative number to a group, see kill(2). False when there is none; one that may not be signalled is there. */
function sendTo(target: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(target, signal)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
