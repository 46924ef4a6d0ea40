import { isDeepStrictEqual } from 'node:util'
import type { Events, Instance, OutputLine, TreeRecord } from 'hestia'
import type { CommandOptions, CommandServiceOptions } from '../../schemas/command.ts'

/** `instance.data.command`: it was brought up, or found running, and is to be brought down. */
export interface CommandRecord {
  /** Working folder of its commands. */
  readonly cwd: string
  /** Address of its machine; null when it names none. */
  readonly address: string | null
  /** For a later gateway that has no such service any more. Without `env`, as that may hold secrets. */
  readonly stop: CommandServiceOptions['start'] | null
  /** Its start command, while that runs: if the gateway is killed, it goes on. */
  readonly running?: TreeRecord
}

/** What outlives generations; refers to nothing of one. */
export interface Kept {
  readonly events: Events
  /** Settings with which an instance was brought up. */
  readonly started: Map<Instance, CommandServiceOptions>
  /** Start commands that run; what comes after them waits for their end. */
  readonly starting: Map<Instance, Promise<unknown>>
  /** Output stays readable after the end. */
  readonly lines: WeakMap<Instance, OutputLine[]>
  /** The gateway itself ends, and has stopped what it wanted stopped. */
  gatewayEnds: boolean
}

export const createKept = (events: Events): Kept => ({
  events,
  started: new Map(),
  starting: new Map(),
  lines: new WeakMap(),
  gatewayEnds: false,
})

export const sectionOf = (instance: Instance): CommandServiceOptions | undefined =>
  instance.section<CommandServiceOptions>('command')

export const recordOf = (instance: Instance): CommandRecord | undefined => instance.data.command as CommandRecord | undefined

/**
 * The settings that bring an instance down: those of now, unless they are for something else than what was started. A stop command
 * that didn't work can so be corrected while the service runs. What is nowhere configured any more is in the record.
 */
export function settingsToStop(
  instance: Instance,
  record: CommandRecord,
  { started }: Kept,
  defaults: CommandOptions,
): CommandServiceOptions {
  const [now, then] = [sectionOf(instance), started.get(instance)]
  if (now && then) return isDeepStrictEqual(now.start, then.start) ? now : then
  return now ?? then ?? { ...defaults, start: [], ...(record.stop === null ? {} : { stop: record.stop }) }
}
