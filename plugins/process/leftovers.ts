import { readFileSync, readlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { allProcesses, endTree, type Instance, type ProcessInfo, type Services } from 'hestia'
import type { ProcessOptions } from '../../schemas/process.ts'
import { foldersOf, removeFolder } from './output.ts'
import { type OwnRecord, ownRecordOf, programOf, thisGateway } from './record.ts'
import { type Kept, sectionOf } from './running.ts'

/** What an earlier gateway of the same configuration started and may not have written down any more. */
export interface Leftover {
  readonly cookie: string
  /** Of the oldest process that carries the cookie. */
  readonly startTime: number
  /** The process that was started itself, if it runs still. */
  readonly leader: { readonly info: ProcessInfo; readonly environment: ReadonlyMap<string, string> } | undefined
}

export interface Findings {
  readonly leftovers: readonly Leftover[]
  /** Folders with output that nobody writes to any more. */
  readonly folders: readonly string[]
}

/** Looks for processes of which the cookie begins so, and that are no children of a gateway that lives. */
export async function search(prefix: string): Promise<Findings> {
  const folders = new Set(foldersOf(prefix))
  const found = new Map<string, Leftover>()
  for (const info of await allProcesses()) {
    if (info.zombie || info.pid === process.pid) continue
    const environment = environmentOf(info.pid)
    const cookies = environment.get('HESTIA_COOKIE')?.split(':') ?? []
    const cookie = cookies.find((one) => one.startsWith(prefix))
    if (cookie === undefined) continue
    folders.delete(outputOf(info.pid) ?? '')
    const isLeader = info.pid === info.group && cookies.at(-1) === cookie
    const known = found.get(cookie)
    const leader =
      isLeader && (known?.leader?.info.startTime ?? Infinity) > info.startTime ? { info, environment } : known?.leader
    found.set(cookie, { cookie, startTime: Math.min(info.startTime, known?.startTime ?? Infinity), leader })
  }
  const leftovers = [...found.values()].filter(({ leader }) => {
    const gateway = Number(leader?.environment.get('HESTIA_GATEWAY'))
    return leader === undefined || gateway === process.pid || leader.info.parent !== gateway
  })
  return { leftovers, folders: [...folders] }
}

/**
 * Gives every leftover to its instance, as a start that was under way, or ends it: when there is no such instance any more, it
 * has another process, or what was started itself is gone. Ends when all have been given; what is ended is in `kept.ending`.
 */
export async function handOver(kept: Kept, services: Services, options: ProcessOptions): Promise<void> {
  const { leftovers, folders } = await kept.found
  // What is recorded is taken care of in the tick of the swap, and in what it sets off.
  await nextTurn()
  const instances = [...services].flatMap((service) => [...service.all])
  const used = new Set(instances.map((instance) => ownRecordOf(instance)?.output))
  for (const folder of folders) if (!used.has(folder)) removeFolder(folder)
  const known = new Set([...kept.ended, ...instances.map((instance) => ownRecordOf(instance)?.cookie)])
  for (const leftover of leftovers) {
    if (known.has(leftover.cookie)) continue
    const { leader } = leftover
    const [service, name] = [leader?.environment.get('HESTIA_SERVICE'), leader?.environment.get('HESTIA_INSTANCE')]
    const instance = instances.find((one) => one.service.id === service && one.name === name)
    if (leader && instance && give(instance, leftover.cookie, leader)) continue
    const { stop_signal, stop_grace_ms } = (instance && sectionOf(instance)) ?? options
    const output = leader && outputOf(leader.info.pid)
    const tree = { pid: leader?.info.pid ?? NO_GROUP, startTime: leftover.startTime, cookie: leftover.cookie }
    const ended = endTree(tree, stop_signal, stop_grace_ms)
      .catch((error: unknown) => process.emitWarning(error as Error))
      .then(() => removeFolder(output))
    if (instance) kept.ending.set(instance, ended)
  }
}

/** Stands for a group that no process is in. */
export const NO_GROUP = -1

/** @returns whether the instance takes it. */
function give(instance: Instance, cookie: string, { info, environment }: NonNullable<Leftover['leader']>): boolean {
  const section = sectionOf(instance)
  const output = outputOf(info.pid)
  const isFree = instance.state === 'cold' || (instance.state === 'starting' && instance.data.process === undefined)
  if (!section || output === undefined || !isFree) return false
  const { pid, startTime } = info
  const record: OwnRecord = {
    pid,
    startTime,
    cookie,
    command: [...section.command],
    program: programOf(pid),
    output,
    keeper: thisGateway(),
  }
  if (instance.state === 'starting') instance.data.process = { ...record }
  else {
    const data = { process: { ...record } }
    const now = Date.now()
    const url = environment.get('HESTIA_URL')
    instance.adopt({
      service: instance.service.id,
      instance: instance.name,
      state: 'starting',
      url,
      data,
      idleSince: now,
      since: now,
    })
  }
  return true
}

/** Its standard output is one of the files in the folder. */
function outputOf(pid: number): string | undefined {
  try {
    return dirname(readlinkSync(`/proc/${pid}/fd/1`))
  } catch {
    return undefined
  }
}

function environmentOf(pid: number): Map<string, string> {
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    return new Map(entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]))
  } catch {
    return new Map()
  }
}
