import { readdirSync, readFileSync } from 'node:fs'
import { type ProcessInfo, processInfo } from '../../core/processes/proc.ts'

const PAGE_BYTES = 4096
const TICK_US = 10_000

/** What the kernel says of a process and its descendants together: master and workers, helpers too. */
export interface Usage {
  /** CPU time used so far, in microseconds; the kernel counts in steps of 10 ms. */
  readonly cpuUs: number
  readonly rssMiB: number
}

/** Fields of /proc/pid/stat from the third on, as the second may hold anything. */
function stat(pid: number): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
  } catch {
    return undefined
  }
}

/** A process and its descendants, those that are there; at once, as it is asked for when the benchmark exits, too. */
export function familyOf(pid: number): ProcessInfo[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const all = pids.flatMap((name) => processInfo(Number(name)) ?? [])
  const withThoseBelow = (one: ProcessInfo): ProcessInfo[] => [
    one,
    ...all.filter(({ parent }) => parent === one.pid).flatMap(withThoseBelow),
  ]
  return all.filter((one) => one.pid === pid).flatMap(withThoseBelow)
}

const pidsOf = (family: readonly ProcessInfo[]): number[] => family.map(({ pid }) => pid)

function usage(pids: readonly number[]): Usage {
  let [cpuUs, rssMiB] = [0, 0]
  for (const fields of pids.map(stat)) {
    if (!fields) continue
    cpuUs += (Number(fields[11]) + Number(fields[12])) * TICK_US
    rssMiB += (Number(fields[21]) * PAGE_BYTES) / 2 ** 20
  }
  return { cpuUs, rssMiB }
}

/** Of one process alone. */
export const usageOfProcess = (pid: number): Usage => usage([pid])

export const usageOf = (pid: number): Usage => usage(pidsOf(familyOf(pid)))

/** Watches the memory of a process and its descendants until told to stop; answers the most that it had. */
export function watchMemory(pid: number): () => number {
  // Who belongs to it is found out once: all of /proc is too much to be read while something is measured.
  const pids = pidsOf(familyOf(pid))
  let peak = usage(pids).rssMiB
  const look = () => {
    peak = Math.max(peak, usage(pids).rssMiB)
  }
  const timer = setInterval(look, 50)
  return () => {
    clearInterval(timer)
    look()
    return peak
  }
}
