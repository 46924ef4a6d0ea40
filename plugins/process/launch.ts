import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type BeforeStartEvent, type Events, type Instance, messageOf } from 'hestia'
import type { ProcessServiceOptions } from '../../schemas/process.ts'
import { environmentFor } from './environment.ts'
import { isOccupied } from './occupied.ts'
import { closeOutput, type Output, openOutput, removeOutput } from './output.ts'
import { processInfo } from './proc.ts'
import { type Kept, linesOf, observe, type Run } from './running.ts'
import type { TreeRecord } from './tree.ts'

/** `instance.data.process`: ours, or somebody else's that is never stopped. */
export type ProcessRecord = (TreeRecord & { readonly command: readonly string[]; readonly output: string }) | ExternalRecord

export interface ExternalRecord {
  readonly external: true
}

/** What a start needs of the gateway; nothing of it belongs to a generation. */
export interface Surroundings {
  readonly kept: Kept
  readonly events: Events
  /** Where relative paths start. */
  readonly folder: string
}

/**
 * Starts the process of an instance, unless something serves at its address already. Does not wait until it answers.
 * @throws when it can't be started: what is missing, and where to set it.
 */
export async function launch(event: BeforeStartEvent, section: ProcessServiceOptions, around: Surroundings): Promise<void> {
  const { instance, signal } = event
  if (await isOccupied(instance.url, signal)) {
    if (signal.aborted) return
    instance.data.process = { external: true } satisfies ExternalRecord
    event.progress(`something accepts connections at ${instance.url} already: it is used as it is, and will not be stopped`)
    return
  }
  const cwd = resolve(around.folder, section.cwd ?? '.')
  await checkFolder(cwd, instance)
  // From here on everything happens in one tick: an attempt that has ended meanwhile starts nothing.
  if (signal.aborted) return
  const cookie = randomBytes(16).toString('hex')
  const { output, fds } = openOutput()
  try {
    const child = spawnLeader(section.command, { cwd, env: environmentFor(instance, section, cookie) }, fds)
    if (child.pid === undefined) throw (await once(child, 'error'))[0]
    record(event, child, child.pid, { cookie, section, output }, around)
  } catch (error) {
    closeOutput(output)
    removeOutput(output)
    throw explained(error as NodeJS.ErrnoException, section.command, cwd, instance)
  } finally {
    for (const fd of fds) closeSync(fd)
  }
}

/** The process leads a group of its own, so that a terminal's Ctrl-C doesn't reach it and one signal reaches all of it. */
function spawnLeader(command: readonly string[], options: { cwd: string; env: Record<string, string> }, fds: [number, number]) {
  const [program = '', ...args] = command
  return spawn(program, args, { ...options, detached: true, stdio: ['ignore', ...fds] })
}

function record(
  start: BeforeStartEvent,
  child: ChildProcess,
  pid: number,
  { cookie, section, output }: { cookie: string; section: ProcessServiceOptions; output: Output },
  { kept, events }: Surroundings,
): void {
  const { instance } = start
  const startTime = processInfo(pid)?.startTime ?? null
  instance.data.process = { pid, startTime, cookie, command: [...section.command], output: output.folder } satisfies ProcessRecord
  const lines = linesOf(kept, instance)
  const run: Run = { instance, events, child, section, output, lines, last: { stdout: '', stderr: '' }, start, stopping: false }
  kept.running.set(instance, run)
  observe(run)
}

async function checkFolder(cwd: string, instance: Instance): Promise<void> {
  const isFolder = await stat(cwd).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isFolder) throw new Error(`there is no folder ${cwd} to run its process in: make it, or set ${where(instance, 'cwd')}`)
}

function explained(error: NodeJS.ErrnoException, command: readonly string[], cwd: string, instance: Instance): Error {
  const program = command[0] ?? ''
  const setting = where(instance, 'command')
  const place = program.includes('/') ? `no such file, seen from ${cwd}` : 'no such program on the PATH of the gateway'
  const sentences: Record<string, string> = {
    ENOENT: `${place} (or the interpreter that it names is missing): install it, or correct ${setting}`,
    EACCES: `it may not be executed: chmod +x it, or put its interpreter in front of it in ${setting}`,
  }
  const why = sentences[error.code ?? ''] ?? `${messageOf(error)}: look at ${setting}`
  return new Error(`process ${JSON.stringify(program)} could not be started: ${why}`, { cause: error })
}

const where = (instance: Instance, key: string): string => `services.${instance.service.id}.process.${key}`
