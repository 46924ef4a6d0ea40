import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where a program is, if it is installed. */
export const programPath = (name: string): string | undefined =>
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))

/** `0-2,5` as the kernel writes it. */
function expand(list: string): number[] {
  return list.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}

const allowed = expand(/^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0')

/**
 * Who runs where. Each contestant has the first core for itself, so that nobody gains by having threads, and nothing that it is
 * measured with takes time from it. With two cores the services behind it and the load share the second one; with more, each
 * has its own.
 */
export const CORES = {
  contestant: allowed.slice(0, 1),
  upstream: allowed.length > 1 ? allowed.slice(1, 2) : allowed,
  load: allowed.length > 2 ? allowed.slice(2, 4) : allowed.slice(-1),
} as const
export type Role = keyof typeof CORES

export const coreCount = allowed.length
const taskset = programPath('taskset')

/** Whether contestants have a core for themselves. */
export const isPinned = taskset !== undefined && coreCount > 1

/** The command that runs another on the cores of a role. */
export const pinned = (role: Role, command: readonly string[]): readonly string[] =>
  isPinned ? [taskset!, '-c', CORES[role].join(','), ...command] : command

/** Puts this process, which is a load generator too, where the load belongs. */
export function pinSelf(): void {
  if (isPinned) execFileSync(taskset!, ['-acp', CORES.load.join(','), String(process.pid)], { stdio: 'ignore' })
}
