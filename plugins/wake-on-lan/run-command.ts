import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { childEnvironment, Deadline, endTree, messageOf, processInfo } from 'hestia'

/** Of what a command writes, so much of the end is kept for the message when it fails, in bytes. */
const KEPT = 2000
/** How long it may take to end after it was asked to, in milliseconds. */
const GRACE_MS = 2000

/**
 * Runs a program without a shell and waits for its end; one that takes too long is ended with all that it started.
 * @returns undefined when it exited with 0, else what went wrong.
 */
export async function runCommand(
  [program = '', ...args]: readonly string[],
  options: {
    readonly machine: string
    readonly address: string
    readonly folder: string
    readonly timeoutMs: number
    readonly signal: AbortSignal
  },
): Promise<string | undefined> {
  const { machine, address, folder, timeoutMs, signal } = options
  const cookie = randomBytes(16).toString('hex')
  const env = childEnvironment({ HESTIA_MACHINE: machine, HESTIA_ADDRESS: address }, cookie)
  const child = spawn(program, args, { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let tail = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      tail = (tail + text).slice(-KEPT)
    })
  }
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const { pid } = child
  const deadline = new Deadline(timeoutMs, signal)
  const stop = () => {
    if (pid !== undefined)
      endTree({ pid, startTime: processInfo(pid)?.startTime ?? null, cookie }, 'SIGTERM', GRACE_MS).catch(() => undefined)
  }
  deadline.signal.addEventListener('abort', stop, { once: true })
  const what = `${JSON.stringify(program)} (machines.${machine}.sleep)`
  try {
    const [code, killedBy] = await ended
    if (code === 0) return undefined
    const how = deadline.signal.aborted
      ? `took longer than ${timeoutMs} ms`
      : killedBy
        ? `was ended by ${killedBy}`
        : `exited with code ${code}`
    const line = tail.trim().split('\n').at(-1)
    return `${what} ${how}${line ? `; its last line: ${line}` : ''}`
  } catch (error) {
    return `${what} could not be run: ${messageOf(error)}`
  } finally {
    deadline.end()
  }
}
