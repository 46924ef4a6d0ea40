import type { ChildProcess } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import { type BeforeStartEvent, type Events, type Instance, type OutputLine, processInfo } from 'hestia'
import type { ProcessServiceOptions } from '../../schemas/process.ts'
import type { Findings } from './leftovers.ts'
import { closeOutput, finishOutput, followOutput, type Output, readOutput, removeOutput, type StreamName } from './output.ts'

/** How often it is looked whether a process that an earlier gateway started runs still, in milliseconds. */
const LOOK_MS = 250

/** One process that runs for an instance. Outlives the code that started it, and refers to nothing of a generation. */
export interface Run {
  readonly instance: Instance
  readonly events: Events
  /** Undefined when an earlier gateway started it. */
  readonly child: ChildProcess | undefined
  readonly pid: number
  readonly startTime: number | null
  look: NodeJS.Timeout | undefined
  /** As it was at the start. */
  readonly section: ProcessServiceOptions
  readonly output: Output
  readonly lines: OutputLine[]
  /** The last line of each stream that says something, for the error when it dies. */
  readonly last: { stdout: string; stderr: string }
  /** The attempt that takes each line as a sign of life, until it is over. */
  start: BeforeStartEvent | undefined
  /** Its end is wanted. */
  stopping: boolean
}

/** What is kept over generations. */
export interface Kept {
  readonly running: Map<Instance, Run>
  /** Output stays readable after the end, so that a failed start can be looked into. */
  readonly lines: WeakMap<Instance, OutputLine[]>
  /** What an earlier gateway started, before this one starts anything. */
  readonly found: Promise<Findings>
  /** Ends when every one of them has been given to its instance, or is being ended. */
  handedOver: Promise<void> | undefined
  /** Of those that are being ended, by instance: nothing else is started in their place before. */
  readonly ending: Map<Instance, Promise<void>>
  /** Cookies of trees that were ended, or are being. */
  readonly ended: Set<string>
  /** The gateway itself ends, and has stopped what it wanted stopped. */
  gatewayEnds: boolean
}

export const createKept = (found: Promise<Findings>): Kept => ({
  running: new Map(),
  lines: new WeakMap(),
  found,
  handedOver: undefined,
  ending: new Map(),
  ended: new Set(),
  gatewayEnds: false,
})

export const sectionOf = (instance: Instance): ProcessServiceOptions | undefined =>
  instance.section<ProcessServiceOptions>('process')

/** Leaves what still runs alone, and keeps nothing that could keep the gateway alive. */
export function letGo({ running }: Kept): void {
  for (const run of running.values()) {
    overlook(run)
    closeOutput(run.output)
  }
  running.clear()
}

export function linesOf(kept: Kept, instance: Instance): OutputLine[] {
  let lines = kept.lines.get(instance)
  if (!lines) {
    lines = []
    kept.lines.set(instance, lines)
  }
  return lines
}

/** Follows output and end of a process. Here, and not in the hook, so that no closure can hold on to a generation. */
export function observe(run: Run): void {
  followOutput(run.output, (stream, line) => takeLine(run, stream, line))
  if (run.child) {
    run.child.on('exit', (code, signal) =>
      ended(run, signal === null ? `exited with code ${code}` : `was ended by ${signal}`, code),
    )
    run.child.unref()
    return
  }
  // Only a parent is told how a process ends; anybody can see that it has.
  run.look = setInterval(() => {
    const info = processInfo(run.pid)
    if (info && !info.zombie && info.startTime === run.startTime) return
    overlook(run)
    ended(run, 'has ended')
  }, LOOK_MS).unref()
}

/** Its end is no news any more. */
function overlook({ child, look }: Run): void {
  child?.removeAllListeners()
  clearInterval(look)
}

/** Reads what was written up to now. */
export function catchUp(run: Run): void {
  readOutput(run.output, (stream, line) => takeLine(run, stream, line))
}

/** Nothing of it is left: takes the last of its output and forgets it. */
export function forget(kept: Kept, run: Run): void {
  kept.running.delete(run.instance)
  overlook(run)
  finishOutput(run.output, (stream, line) => takeLine(run, stream, line))
  closeOutput(run.output)
  removeOutput(run.output)
}

function takeLine(run: Run, stream: StreamName, line: string): void {
  const { instance, lines, last } = run
  const limit = (sectionOf(instance) ?? run.section).log_lines
  lines.push({ at: Date.now(), stream, line })
  while (lines.length > limit) lines.shift()
  if (line.trim() !== '') last[stream] = line
  run.events.emit('instance.output', { service: instance.service.id, instance: instance.name, stream, line })
  if (instance.state === 'starting') run.start?.progress(line)
  else run.start = undefined
}

function ended(run: Run, how: string, code?: number | null): void {
  if (run.stopping) return
  finishOutput(run.output, (stream, line) => takeLine(run, stream, line))
  const foreground = code === 0 && run.instance.state === 'starting' ? ' (it must stay in the foreground)' : ''
  const last = stripVTControlCharacters(run.last.stderr || run.last.stdout).trim()
  run.instance.crashed(new Error(`process ${how}${foreground}${last && `; its last line: ${last.slice(0, 500)}`}`))
}
