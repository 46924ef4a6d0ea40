import { type Logger, pino, stdTimeFunctions } from 'pino'
import pretty from 'pino-pretty'
import type { LogConfig } from '../../schemas/config.ts'
import { withSources } from '../stack-traces.ts'
import type { Out } from './access-log.ts'
import { redact } from './redact.ts'

export interface Lines {
  readonly log: Logger
  readonly out: Out
  readonly forPeople: boolean
}

/** One line for each thing, in the time of who reads it. */
const PRETTY = { sync: true, singleLine: true, ignore: 'plugin', translateTime: 'SYS:HH:MM:ss.l' }

/**
 * The gateway's logger, and where its lines go: lines for people on a terminal, JSON (one object a line) elsewhere. Secrets are
 * taken out of whatever it is given. `stream`: instead of the standard output.
 */
export function makeLogger({ level, format }: Readonly<LogConfig>, stream?: Out): Lines {
  const forPeople = format === 'pretty' || (format === 'auto' && process.stdout.isTTY)
  const out = forPeople ? pretty(PRETTY) : (stream ?? pino.destination({ dest: 1, sync: true }))
  const options = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    hooks: { streamWrite: (line: string) => redact(withSources(line)) },
  }
  return { log: pino(options, out as never), out, forPeople }
}

/** Level of a plugin's lines, or of those about events of a family (`request`, `instance`, ...: what is before the dot). */
export const levelOf = ({ level, levels }: Readonly<LogConfig>, name: string): LogConfig['level'] => levels[name] ?? level
