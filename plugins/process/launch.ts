import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type BeforeStartEvent, type Events, type Instance, messageOf, processInfo } from 'hestia'
import type { ProcessServiceOptions } from '../../schemas/process.ts'
import { cookiePrefix, newCookie } from './cookie.ts'
import { environmentFor } from './environment.ts'
import { useExternal, watchExternal } from './external.ts'
import { isOccupied } from './occupied.ts'
import { closeOutput, type Output, openOutput, removeOutput, reopenOutput } from './output.ts'
import { type OwnRecord, programOf, recordOf, thisGateway } from './record.ts'
import { type Kept, linesOf, observe, type Run } from './running.ts'

/** What a start needs of the gateway; nothing of it belongs to a generation. */
export interface Surroundings {
  readonly kept: Kept
  readonly events: Events
  readonly configFile: string
  /** Ends when what an earlier gateway left is taken care of. */
  readonly handedOver: () => Promise<void>
}

/**
 * Starts the process of an instance, unless it runs already, left by an earlier gateway, or something else serves at its
 * address. Does not wait until it answers.
 * @throws when it can't be started: what is missing, and where to set it.
 */
export async function launch(event: BeforeStartEvent, section: ProcessServiceOptions, around: Surroundings): Promise<void> {
  const { instance, signal } = event
  await around.handedOver()
  const left = recordOf(instance)
  if (left) return 'external' in left ? watchExternal(event, left) : resume(event, section, left, around)
  await around.kept.ending.get(instance)
  const isTaken = await isOccupied(instance.url, signal)
  if (signal.aborted) return
  if (isTaken) return useExternal(event)
  const cwd = resolve(dirname(around.configFile), section.cwd ?? '.')
  await checkFolder(cwd, instance)
  // From here on everything happens in one tick: an attempt that has ended meanwhile starts nothing.
  if (signal.aborted) return
  const cookie = newCookie(around.configFile)
  const { output, fds } = openOutput(cookiePrefix(around.configFile))
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
  around: Surroundings,
): void {
  const { instance } = start
  const startTime = processInfo(pid)?.startTime ?? null
  const written: OwnRecord = {
    pid,
    startTime,
    cookie,
    command: [...section.command],
    program: programOf(pid),
    output: output.folder,
    keeper: thisGateway(),
  }
  instance.data.process = { ...written }
  follow(start, child, section, output, written, around)
}

/** Goes on with a process that an earlier gateway started. */
function resume(start: BeforeStartEvent, section: ProcessServiceOptions, left: OwnRecord, around: Surroundings): void {
  const { instance } = start
  if (around.kept.running.has(instance)) return
  let output: Output
  try {
    output = reopenOutput(left.output)
  } catch {
    // Whoever cleaned up took only the output: it writes into files without a name.
    const made = openOutput(cookiePrefix(around.configFile))
    for (const fd of made.fds) closeSync(fd)
    output = made.output
  }
  instance.data.process = { ...left, output: output.folder, keeper: thisGateway() }
  follow(start, undefined, section, output, left, around)
}

/** Observes it from now on. The record is complete: whoever writes it down hears of it. */
function follow(
  start: BeforeStartEvent,
  child: ChildProcess | undefined,
  section: ProcessServiceOptions,
  output: Output,
  { pid, startTime }: OwnRecord,
  { kept, events }: Surroundings,
): void {
  const { instance } = start
  const lines = linesOf(kept, instance)
  const last = { stdout: '', stderr: '' }
  const run: Run = {
    instance,
    events,
    child,
    pid,
    startTime,
    look: undefined,
    section,
    output,
    lines,
    last,
    start,
    stopping: false,
  }
  kept.running.set(instance, run)
  observe(run)
  start.progress(`process ${pid} runs`)
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
