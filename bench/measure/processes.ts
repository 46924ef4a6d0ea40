import { readdirSync, readFileSync } from 'node:fs'

const PAGE_BYTES = 4096
const TICK_US = 10_000

/** What the kernel says of a process and its descendants together: master and workers, helpers too. */
export interface Usage {
  /** CPU time used so far, in microseconds; the kernel counts in steps of 10 ms. */
  readonly cpuUs: number
  readonly rssMiB: number
}

/** When a process started, in ticks since the machine did: with its pid it is surely the same; undefined once it is gone. */
export const startedAt = (pid: number): string | undefined => stat(pid)?.[19]

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

/** A process and its descendants. */
export function familyOf(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? Number(stat(Number(name))?.[1]) : Number.NaN
    if (!Number.isNaN(parent)) children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const below = (from: number): number[] => [from, ...(children.get(from) ?? []).flatMap(below)]
  return below(pid)
}

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

export const usageOf = (pid: number): Usage => usage(familyOf(pid))

/** Watches the memory of a process and its descendants until told to stop; answers the most that it had. */
export function watchMemory(pid: number): () => number {
  // Who belongs to it is found out once: all of /proc is too much to be read while something is measured.
  const pids = familyOf(pid)
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
