import { stat } from 'node:fs/promises'
import { type BeforeStartEvent, type Instance, messageOf, type OnIdleEvent, type OutputLine, type TreeRecord } from 'hestia'
import type { CommandOptions, CommandServiceOptions } from '../../schemas/command.ts'
import { environmentFor } from './environment.ts'
import { type Command, describe, Ended, execute, type Outcome, show } from './execute.ts'
import { type CommandRecord, type Kept, recordOf, settingsToStop } from './kept.ts'
import { endOrphan } from './orphan.ts'

type Action = 'start' | 'stop' | 'status'

interface Run {
  readonly action: Action
  readonly instance: Instance
  readonly section: CommandServiceOptions
  readonly record: CommandRecord
  readonly reason?: string
  readonly signal?: AbortSignal
  readonly started?: (tree: TreeRecord) => void
  readonly take?: (stream: OutputLine['stream'], line: string) => void
}

/**
 * Brings an instance up, unless its status command says that it runs already. Does not wait until it answers.
 * @throws when its start command fails, with the last of its output.
 */
export async function bringUp(
  event: BeforeStartEvent,
  section: CommandServiceOptions,
  record: CommandRecord,
  kept: Kept,
): Promise<void> {
  const { instance, signal, progress } = event
  const adopted = recordOf(instance) !== undefined
  if (adopted || (await runs(event, section, record, kept))) {
    if (signal.aborted) return
    instance.data.command = { ...record }
    kept.started.set(instance, section)
    progress(adopted ? 'goes on with what the gateway before it started' : 'it runs already: its status command says so')
    return
  }
  if (signal.aborted) return
  // Recorded before it begins: what is half up has to be brought down as well.
  instance.data.command = { ...record }
  kept.started.set(instance, section)
  const take = taking(instance, section, kept, progress)
  const started = (running: TreeRecord) => {
    instance.data.command = { ...record, running }
    progress('its start command runs')
  }
  const work = run({ action: 'start', instance, section, record, signal, started, take })
  kept.starting.set(instance, work)
  try {
    const outcome = await work.finally(() => {
      instance.data.command = { ...record }
    })
    if (outcome.code !== 0) throw new Error(`${named('start', section.start)} ${describe(outcome)}`)
  } catch (error) {
    // Nothing ran, so there is nothing to bring down.
    if ((error as NodeJS.ErrnoException).syscall !== undefined) {
      delete instance.data.command
      kept.started.delete(instance)
    }
    throw error
  } finally {
    kept.starting.delete(instance)
  }
}

/**
 * Brings an instance down, whichever generation brought it up.
 * @throws when its stop command fails: then it may run still.
 */
export async function bringDown({ instance, reason }: OnIdleEvent, kept: Kept, defaults: CommandOptions): Promise<void> {
  await kept.starting.get(instance)?.catch(() => undefined)
  const record = recordOf(instance)
  if (!record) return
  const section = settingsToStop(instance, record, kept, defaults)
  kept.started.delete(instance)
  if (record.running) await endOrphan(record.running, section.kill_grace_ms)
  if (!section.stop) return
  const take = taking(instance, section, kept)
  const result = await run({ action: 'stop', instance, section, record, reason, take }).then(
    (outcome) => (outcome.code === 0 ? undefined : `${named('stop', section.stop!)} ${describe(outcome)}`),
    messageOf,
  )
  if (result === undefined) return
  throw new Error(
    `${result}. ${instance.id} counts as stopped, but may run still: look after it, and correct ${where(instance, 'stop')}`,
  )
}

/**
 * Whether the status command says that it runs.
 * @throws when the command could not be run, or did not end in time.
 */
export async function asksStatus(instance: Instance, section: CommandServiceOptions, record: CommandRecord): Promise<boolean> {
  return (await run({ action: 'status', instance, section, record })).code === 0
}

async function runs(
  { instance, signal, progress }: BeforeStartEvent,
  section: CommandServiceOptions,
  record: CommandRecord,
  kept: Kept,
): Promise<boolean> {
  if (section.status === undefined) return false
  const take = taking(instance, section, kept)
  try {
    return (await run({ action: 'status', instance, section, record, signal, take })).code === 0
  } catch (error) {
    // A machine that doesn't answer has nothing that runs; what is the matter with it the start command will say.
    if (!(error instanceof Ended)) throw error
    progress(error.message)
    return false
  }
}

async function run({ action, instance, section, record, reason, signal, started, take }: Run): Promise<Outcome> {
  const command = section[action] as Command
  await checkFolder(record.cwd, instance)
  const { timeout_ms, status_timeout_ms, kill_grace_ms } = section
  try {
    return await execute({
      command,
      cwd: record.cwd,
      env: environmentFor(instance, section, { action, reason, address: record.address }),
      timeoutMs: action === 'status' ? status_timeout_ms : timeout_ms,
      killGraceMs: kill_grace_ms,
      ...(signal ? { signal } : {}),
      ...(started ? { started } : {}),
      take: take ?? (() => undefined),
    })
  } catch (error) {
    if (signal?.aborted && !(error instanceof Ended)) throw error
    throw explained(error as NodeJS.ErrnoException, action, command, record.cwd, instance)
  }
}

/** Keeps each line, and tells of it. */
function taking(
  instance: Instance,
  section: CommandServiceOptions,
  kept: Kept,
  progress?: (note: string) => void,
): (stream: OutputLine['stream'], line: string) => void {
  const lines = kept.lines.get(instance) ?? []
  kept.lines.set(instance, lines)
  return (stream, line) => {
    lines.push({ at: Date.now(), stream, line })
    while (lines.length > section.log_lines) lines.shift()
    kept.events.emit('instance.output', { service: instance.service.id, instance: instance.name, stream, line })
    if (instance.state === 'starting') progress?.(line)
  }
}

async function checkFolder(cwd: string, instance: Instance): Promise<void> {
  const isFolder = await stat(cwd).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (isFolder) return
  const message = `there is no folder ${cwd} to run its commands in: make it, or set ${where(instance, 'cwd')}`
  throw Object.assign(new Error(message), { syscall: 'chdir' })
}

function explained(error: NodeJS.ErrnoException, action: Action, command: Command, cwd: string, instance: Instance): Error {
  const what = named(action, command)
  if (error instanceof Ended) {
    const hint =
      action === 'start' && error.message.startsWith('did not end') ? ' (it must end once the service is on its way)' : ''
    return new Ended(`${what} ${error.message}${hint}`)
  }
  if (error.syscall === undefined) return error
  const program = typeof command === 'string' ? '/bin/sh' : (command[0] ?? '')
  const place = program.includes('/') ? `no such file, seen from ${cwd}` : 'no such program on the PATH of the gateway'
  const sentences: Record<string, string> = {
    ENOENT: `${place} (or the interpreter that it names is missing): install it, or correct ${where(instance, action)}`,
    EACCES: `it may not be executed: chmod +x it, or put its interpreter in front of it in ${where(instance, action)}`,
  }
  const why = sentences[error.code ?? ''] ?? `${error.message}: look at ${where(instance, action)}`
  return Object.assign(new Error(`${what} could not be run: ${why}`, { cause: error }), { syscall: error.syscall })
}

const named = (action: Action, command: Command): string => `${action} command ${show(command)}`
const where = (instance: Instance, key: string): string => `services.${instance.service.id}.command.${key}`
