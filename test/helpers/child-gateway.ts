import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from './until.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface ChildGateway {
  readonly url: string
  readonly child: ChildProcess
  /** Lines of its log, parsed where they are JSON. */
  readonly lines: Record<string, unknown>[]
  /** Sends a signal and answers the exit code once it has ended. */
  end(signal?: NodeJS.Signals): Promise<number | null>
}

/** The environment without what the test runner put there for its own children. */
export function cleanEnv(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|TAP|_TAPJS|npm_|HESTIA_)/.test(name))
  return { ...Object.fromEntries(kept), ...extra }
}

/** Starts a gateway as a process of its own, as `npm start` does. */
export function spawnGateway(
  configFile: string,
  options: { nodeArgs?: string[]; env?: Record<string, string>; cwd?: string } = {},
) {
  const args = [...(options.nodeArgs ?? []), `${ROOT}bin/hestia.js`, '--config', configFile]
  return spawn(process.execPath, args, {
    cwd: options.cwd ?? ROOT,
    env: cleanEnv(options.env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** The same, and waits until it listens. */
export async function startChildGateway(
  t: { teardown(fn: () => unknown): void },
  configFile: string,
  options: { nodeArgs?: string[]; env?: Record<string, string>; cwd?: string } = {},
): Promise<ChildGateway> {
  const child = spawnGateway(configFile, options)
  const lines: Record<string, unknown>[] = []
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  createInterface(child.stdout).on('line', (line) => lines.push(line.startsWith('{') ? JSON.parse(line) : { msg: line }))
  const exited = once(child, 'exit') as Promise<[number | null]>
  const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    return (await exited)[0]
  }
  t.teardown(() => end('SIGKILL'))
  const listening = await until(
    () => {
      if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}: ${errors}`)
      return lines.find(({ type }) => type === 'server.listening')
    },
    'the gateway to listen',
    60_000,
  )
  return { url: String(listening.address), child, lines, end }
}
