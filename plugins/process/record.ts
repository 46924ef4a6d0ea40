import { readFileSync, readlinkSync } from 'node:fs'
import { hasInEnvironment, type Instance, processInfo, type TreeRecord } from 'hestia'
import { isOccupied } from './occupied.ts'

/** What is recorded of a process that was started here, as `instance.data.process`. */
export interface OwnRecord extends TreeRecord {
  readonly command: readonly string[]
  /** The file that it is an execution of; null where the system doesn't say. */
  readonly program: string | null
  /** Folder of its output. */
  readonly output: string
  /** The gateway that looks after it: a later one that starts while this one lives keeps its hands off. */
  readonly keeper: { readonly pid: number; readonly startTime: number | null }
}

/** Something that was found serving at the address: used as it is, and never stopped. */
export interface ExternalRecord {
  readonly external: true
}

export type ProcessRecord = OwnRecord | ExternalRecord

export const recordOf = (instance: Instance): ProcessRecord | undefined => instance.data.process as ProcessRecord | undefined

/** What is recorded of this instance, if it is a process that was started here, and makes sense: it says whom to kill. */
export function ownRecordOf(instance: Instance): OwnRecord | undefined {
  const record = recordOf(instance)
  if (!record || 'external' in record) return undefined
  const isSound = Number.isInteger(record.pid) && record.pid > 1 && /^[0-9a-f]{32}$/.test(record.cookie)
  return isSound ? record : undefined
}

/** This gateway, as a keeper. */
export const thisGateway = (): OwnRecord['keeper'] => ({
  pid: process.pid,
  startTime: processInfo(process.pid)?.startTime ?? null,
})

/** The file that a process executes; null when that can't be known. */
export function programOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return null
  }
}

/**
 * Whether the pid still is what was recorded: same start and same program. A program may have replaced itself (`exec`) or
 * rewritten its title; then its environment, its executable or its command line tells. False where there is no `/proc`.
 */
export function isSame({ pid, startTime, cookie, program, command }: OwnRecord): boolean {
  const info = processInfo(pid)
  if (!info || info.zombie || info.startTime !== startTime) return false
  if (hasInEnvironment(pid, cookie)) return true
  return (typeof program === 'string' && programOf(pid) === program) || commandLineOf(pid) === command.join('\0')
}

/** Whether another gateway, that is alive, looks after it. */
export function isKeptByAnother({ keeper }: OwnRecord): boolean {
  // What another version has written may lack it.
  if (!keeper || keeper.pid === process.pid) return false
  const info = processInfo(keeper.pid)
  return info !== undefined && !info.zombie && info.startTime === keeper.startTime
}

/** Whether what is recorded runs still, and is this gateway's to look after; of what is used as it is, whether it serves. */
export function stillRuns(instance: Instance): boolean | Promise<boolean> {
  if (instance.data.process?.external) return isOccupied(instance.url, new AbortController().signal)
  const record = ownRecordOf(instance)
  return record !== undefined && isSame(record) && !isKeptByAnother(record)
}

function commandLineOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0$/, '')
  } catch {
    return undefined
  }
}
