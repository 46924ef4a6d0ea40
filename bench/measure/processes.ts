import { readdirSync, readFileSync } from 'node:fs'

const PAGE_BYTES = 4096
const TICK_US = 10_000

/** What the kernel says of all processes of a group together; master and workers, helpers too. */
export interface Usage {
  /** CPU time used so far, in microseconds; the kernel counts in steps of 10 ms. */
  readonly cpuUs: number
  readonly rssMiB: number
}

/** Fields of /proc/pid/stat from the third on, as the second may hold anything. */
function stat(pid: string): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
  } catch {
    return undefined
  }
}

/** The processes of a group. */
const members = (group: number): string[] =>
  readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(stat(name)?.[2]) === group)

function usage(pids: readonly string[]): Usage {
  let [cpuUs, rssMiB] = [0, 0]
  for (const fields of pids.map(stat)) {
    if (!fields) continue
    cpuUs += (Number(fields[11]) + Number(fields[12])) * TICK_US
    rssMiB += (Number(fields[21]) * PAGE_BYTES) / 2 ** 20
  }
  return { cpuUs, rssMiB }
}

/** Of one process alone. */
export const usageOfProcess = (pid: number): Usage => usage([String(pid)])

export const usageOf = (group: number): Usage => usage(members(group))

/** Watches the memory of a process group until told to stop; answers the most that it had. */
export function watchMemory(group: number): () => number {
  // Who belongs to it is found out once: all of /proc is too much to be read while something is measured.
  const pids = members(group)
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
