import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { asError, childEnvironment, endTree, messageOf, type OutputLine, processInfo, type TreeRecord } from 'hestia'
import { LineSplitter } from './line-splitter.ts'

/** A list is a program with its arguments, a text a line for the shell. */
export type Command = string | readonly string[]

/** One run of a command, and its bounds. */
export interface Execution {
  readonly command: Command
  readonly cwd: string
  readonly env: Readonly<Record<string, string | number | boolean>>
  readonly timeoutMs: number
  readonly killGraceMs: number
  /** Ends the command early. */
  readonly signal?: AbortSignal
  /** Hears what was started, by which it can be ended later. */
  readonly started?: (tree: TreeRecord) => void
  readonly take: (stream: OutputLine['stream'], line: string) => void
}

/** How a command ended by itself. */
export interface Outcome {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** Its last lines that say something, in one; empty when it wrote nothing. */
  readonly tail: string
}

/** A command that took too long, or was not wanted any more, and was ended. */
export class Ended extends Error {
  override readonly name = 'Ended'
}

/** How long the rest of the output may take after the end; what still holds the pipe then goes on in the background. */
const DRAIN_MS = 200
const TAIL_LINES = 5
const TAIL_LENGTH = 500

/**
 * Runs a command until it ends. What it leaves in the background goes on, and its output is taken for as long as it comes; only a
 * command that is ended before its time is ended with everything that it started.
 * @throws {Ended} when it had to be ended.
 * @throws {NodeJS.ErrnoException} when it could not be run at all.
 */
export async function execute(execution: Execution): Promise<Outcome> {
  const { command, cwd, env, timeoutMs, killGraceMs, signal, started } = execution
  signal?.throwIfAborted()
  const cookie = randomBytes(16).toString('hex')
  const child = launch(command, { cwd, env: childEnvironment(env, cookie) })
  if (child.pid === undefined) throw (await once(child, 'error'))[0]
  const tree = { pid: child.pid, startTime: processInfo(child.pid)?.startTime ?? null, cookie }
  started?.(tree)
  const { tail, drained } = readOutput(child, execution.take)
  const exited = once(child, 'exit') as Promise<[Outcome['code'], Outcome['signal']]>
  const why = await bounded(exited, timeoutMs, signal)
  if (why) {
    try {
      await endTree(tree, 'SIGTERM', killGraceMs)
      await bounded(drained, DRAIN_MS)
    } catch (error) {
      throw new Ended(`${why.message}; and could not be ended: ${messageOf(error)}`)
    }
    throw new Ended(`${why.message}${quoted(tail())}`)
  }
  const [code, signalName] = await exited
  await bounded(drained, DRAIN_MS)
  return { code, signal: signalName, tail: tail() }
}

/** In words, for an error; `exited with code 1; its last lines: ...`. */
export const describe = ({ code, signal, tail }: Outcome): string =>
  `${signal === null ? `exited with code ${code}` : `was ended by ${signal}`}${quoted(tail)}`

/** A command as one would type it. */
export const show = (command: Command): string => {
  if (typeof command === 'string') return JSON.stringify(command)
  return JSON.stringify(command.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`)).join(' '))
}

const quoted = (tail: string): string => (tail === '' ? '' : `; its last lines: ${tail}`)

/** It leads a group of its own, so that a terminal's Ctrl-C doesn't reach it, and it can't ask for a password there. */
function launch(command: Command, given: { cwd: string; env: Record<string, string> }): ChildProcess {
  const options: SpawnOptions = { ...given, detached: true, stdio: ['ignore', 'pipe', 'pipe'] }
  if (typeof command === 'string') return spawn(command, { ...options, shell: true })
  const [program = '', ...args] = command
  return spawn(program, args, options)
}

function readOutput(child: ChildProcess, take: Execution['take']): { tail: () => string; drained: Promise<unknown> } {
  const last: string[] = []
  const follow = (stream: OutputLine['stream'], readable: Readable): Promise<unknown> => {
    const splitter = new LineSplitter((line) => {
      take(stream, line)
      if (line.trim() === '') return
      last.push(stripVTControlCharacters(line).trim())
      if (last.length > TAIL_LINES) last.shift()
    })
    readable.on('data', (bytes: Buffer) => splitter.add(bytes))
    readable.on('error', () => undefined)
    return once(readable, 'close').then(() => splitter.end())
  }
  const drained = Promise.all([follow('stdout', child.stdout!), follow('stderr', child.stderr!)])
  child.once('exit', () => {
    // A service that it leaves in the background holds the pipes; the gateway shall end all the same.
    for (const readable of [child.stdout, child.stderr]) (readable as Readable & { unref(): void }).unref()
  })
  return { tail: () => last.join(' | ').slice(-TAIL_LENGTH), drained }
}

/** Waits for `work`; answers why it was not waited for any longer, if so. */
async function bounded(work: Promise<unknown>, timeoutMs: number, signal?: AbortSignal): Promise<Error | undefined> {
  let timer: NodeJS.Timeout | undefined
  let abort: (() => void) | undefined
  const over = new Promise<Error>((resolve) => {
    timer = setTimeout(() => resolve(new Error(`did not end within ${timeoutMs} ms`)), timeoutMs)
    abort = () => resolve(new Error(`was ended: ${asError(signal?.reason).message}`))
    signal?.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([work.then(() => undefined), over])
  } finally {
    clearTimeout(timer)
    if (abort) signal?.removeEventListener('abort', abort)
  }
}
