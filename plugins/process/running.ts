import type { ChildProcess } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import type { BeforeStartEvent, Events, Instance } from 'hestia'
import type { ProcessServiceOptions } from '../../schemas/process.ts'
import { closeOutput, finishOutput, followOutput, type Output, readOutput, removeOutput, type StreamName } from './output.ts'

/** One line that a process wrote. */
export interface OutputLine {
  /** When it was seen, in milliseconds since the epoch. */
  readonly at: number
  readonly stream: StreamName
  readonly line: string
}

/** One process that runs for an instance. Outlives the code that started it, and refers to nothing of a generation. */
export interface Run {
  readonly instance: Instance
  readonly events: Events
  readonly child: ChildProcess
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
  /** The gateway itself ends, and has stopped what it wanted stopped. */
  gatewayEnds: boolean
}

export const createKept = (): Kept => ({ running: new Map(), lines: new WeakMap(), gatewayEnds: false })

export const sectionOf = (instance: Instance): ProcessServiceOptions | undefined =>
  instance.section<ProcessServiceOptions>('process')

/** Leaves what still runs alone, and keeps nothing that could keep the gateway alive. */
export function letGo({ running }: Kept): void {
  for (const { child, output } of running.values()) {
    child.removeAllListeners()
    closeOutput(output)
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
  run.child.on('exit', (code, signal) => ended(run, code, signal))
  run.child.unref()
}

/** Reads what was written up to now. */
export function catchUp(run: Run): void {
  readOutput(run.output, (stream, line) => takeLine(run, stream, line))
}

/** Nothing of it is left: takes the last of its output and forgets it. */
export function forget(kept: Kept, run: Run): void {
  kept.running.delete(run.instance)
  run.child.removeAllListeners()
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

function ended(run: Run, code: number | null, signal: NodeJS.Signals | null): void {
  if (run.stopping) return
  finishOutput(run.output, (stream, line) => takeLine(run, stream, line))
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`
  const foreground = code === 0 && run.instance.state === 'starting' ? ' (it must stay in the foreground)' : ''
  const last = stripVTControlCharacters(run.last.stderr || run.last.stdout).trim()
  run.instance.crashed(new Error(`process ${how}${foreground}${last && `; its last line: ${last.slice(0, 500)}`}`))
}
