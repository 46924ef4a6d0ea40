import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ProcessInfo, processInfo } from '../../core/processes/proc.ts'
import { cleanEnv } from '../../test/helpers/child-gateway.ts'
import { pinned, type Role } from './cores.ts'
import { familyOf } from './processes.ts'

/** A process of the benchmark. */
export interface Child {
  readonly process: ChildProcess
  readonly pid: number
  /** What it has written to standard output; kept only if `output` was asked for. */
  output(): string
  /** The end of what it has written to standard error. */
  errors(): string
  hasEnded(): boolean
  /** Asks it to end, and kills it, if it doesn't within three seconds, and what it has started and left. */
  end(): Promise<void>
  /** Resolves when it has ended. @throws if it failed. */
  done(): Promise<void>
}

export interface ChildOptions {
  readonly cwd?: string
  readonly env?: Record<string, string>
  /** Whether what it writes is of interest; else it goes to /dev/null. */
  readonly output?: boolean
  /** With a channel for messages. */
  readonly ipc?: boolean
}

const GRACE_MS = 3_000
const running = new Set<Child>()

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has just ended by itself.
  }
}

/** Of those that are there no more somebody else may have the pid. */
function killThose(processes: readonly ProcessInfo[]): void {
  for (const { pid, startTime } of processes) if (processInfo(pid)?.startTime === startTime) kill(pid, 'SIGKILL')
}

/**
 * Starts a process on the cores of its role. It does not outlive the benchmark, however that ends. All share its session: with one of
 * their own, who is to get what nobody else wants (see awake.ts) would compete with them.
 */
export function start(role: Role, command: readonly string[], options: ChildOptions = {}): Child {
  const [program, ...args] = pinned(role, command)
  const child = spawn(program!, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: cleanEnv(options.env),
    stdio: ['ignore', options.output ? 'pipe' : 'ignore', 'pipe', ...(options.ipc ? (['ipc'] as const) : [])],
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`${program} cannot be started`)
  const exited = once(child, 'exit')
  let output = ''
  let errors = ''
  child.stdout?.on('data', (chunk) => (output += String(chunk)))
  child.stderr?.on('data', (chunk) => (errors = (errors + String(chunk)).slice(-4_000)))
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  const end = async () => {
    const family = hasEnded() ? [] : familyOf(pid)
    if (family.length > 0) kill(pid, 'SIGTERM')
    if (!hasEnded()) await Promise.race([exited, sleep(GRACE_MS, undefined, { ref: false })])
    killThose(family)
    if (!hasEnded()) await exited
    running.delete(self)
  }
  const done = async () => {
    if (!hasEnded()) await exited
    running.delete(self)
    if (child.exitCode !== 0) throw new Error(`${command.join(' ')} ended with ${child.exitCode ?? child.signalCode}: ${errors}`)
  }
  const self: Child = { process: child, pid, output: () => output, errors: () => errors, hasEnded, end, done }
  running.add(self)
  return self
}

export const endAll = async (): Promise<void> => {
  await Promise.all([...running].map((child) => child.end()))
}

/** From here on all children end when this process does, Ctrl-C and failures included. */
export function endWithUs(clean: () => void): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => void endAll().finally(() => process.exit(130)))
  process.once('exit', () => {
    for (const child of running) if (!child.hasEnded()) killThose(familyOf(child.pid))
    clean()
  })
}
