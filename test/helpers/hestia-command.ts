import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { cleanEnv } from './child-gateway.ts'
import { plainNode } from './plain-node.ts'

const COMMAND = fileURLToPath(new URL('../../bin/hestia.js', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface HowToRun {
  readonly cwd?: string
  readonly env?: Record<string, string>
  /** Another program than the command of the sources. */
  readonly program?: string
  /** On a terminal of its own, where both outputs are one. */
  readonly terminal?: boolean
  /** What is typed. */
  readonly input?: string
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Starts `hestia` as a process of its own, from any folder. */
export function startHestia(args: readonly string[], { cwd, env, program = COMMAND, terminal, input }: HowToRun = {}) {
  const line = plainNode(program, ...args)
  const [file, ...rest] = terminal ? ['script', '-qefc', line.map(quoted).join(' '), '/dev/null'] : line
  // What the test runner thinks of colours is not what is tested.
  const { NO_COLOR: _no, FORCE_COLOR: _force, ...clean } = cleanEnv()
  const child: ChildProcess = spawn(file!, rest, {
    cwd,
    env: { ...clean, TERM: 'xterm', ...env },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  const texts = { stdout: '', stderr: '' }
  child.stdout!.on('data', (chunk) => (texts.stdout += String(chunk)))
  child.stderr!.on('data', (chunk) => (texts.stderr += String(chunk)))
  child.stdin?.write(input)
  const ended = once(child, 'close').then(([code]): Ended => ({ code: code as number | null, ...texts }))
  return { child, texts, ended }
}

/** Runs `hestia` to its end. */
export const hestia = (args: readonly string[], how?: HowToRun): Promise<Ended> => startHestia(args, how).ended
