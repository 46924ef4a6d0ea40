import { type Logger, pino, stdTimeFunctions } from 'pino'
import pretty from 'pino-pretty'
import type { LogConfig } from '../schemas/config.ts'
import type { Events, HestiaEvent } from './events.ts'
import { formatProblem } from './problem.ts'

/** Header fields and options that never reach a log line. */
const SECRETS = ['authorization', 'cookie', 'token', 'password', 'api_key', '["x-api-key"]', '["set-cookie"]']

/** The gateway's logger: lines for people on a terminal, JSON (one object a line) elsewhere. */
export function makeLogger({ level, format }: Readonly<LogConfig>): Logger {
  const redact = { paths: SECRETS.flatMap((name) => (name.startsWith('[') ? [`*${name}`] : [name, `*.${name}`])), censor: '***' }
  const options = { level, redact, base: null, timestamp: stdTimeFunctions.isoTime }
  const forPeople = format === 'pretty' || (format === 'auto' && process.stdout.isTTY)
  return forPeople ? pino(options, pretty({ sync: true, ignore: 'plugin' })) : pino(options)
}

type Level = 'error' | 'warn' | 'info' | 'debug' | 'trace'
type Line = readonly [level: Level, sentence: string]

const listed = (problems: Parameters<typeof formatProblem>[0][]): string => problems.map(formatProblem).join('; ')
const seconds = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`)

/** Level and sentence for each event; the event's fields go with it. */
// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
function lineOf(event: HestiaEvent): Line {
  const where = 'instance' in event && event.instance !== undefined ? `${event.service}/${event.instance}` : ''
  switch (event.type) {
    case 'instance.state':
      return ['debug', `${where}: ${event.from} -> ${event.to} (${event.reason})`]
    case 'instance.attempt':
      return ['info', `${where}: starting${event.attempts > 1 ? `, attempt ${event.attempt} of ${event.attempts}` : ''}`]
    case 'instance.progress':
      return ['debug', `${where}: ${event.note}`]
    case 'instance.ready':
      return ['info', `${where}: ready after ${seconds(event.durationMs)}`]
    case 'instance.attempt_failed':
      return ['warn', `${where}: attempt ${event.attempt} of ${event.attempts} failed: ${event.error}`]
    case 'instance.start_failed':
      return ['error', `${where}: could not be started: ${event.error}; left alone for ${seconds(event.retryAfterMs)}`]
    case 'instance.crashed':
      return ['error', `${where}: ended by itself: ${event.error}`]
    case 'instance.stopped':
      return ['info', `${where}: stopped (${event.reason}) in ${seconds(event.durationMs)}`]
    case 'instance.kept':
      return ['debug', `${where}: kept for ${seconds(event.keepForMs)} by ${event.plugin}`]
    case 'instance.health':
      return [event.healthy ? 'info' : 'warn', `${where}: ${event.healthy ? 'healthy again' : 'unhealthy'}: ${event.reason}`]
    case 'instance.output':
      return ['debug', `${where}: ${event.line}`]
    case 'hook.failed':
      return ['error', `${where}: ${event.hook} of plugin ${event.plugin} failed: ${event.error}`]
    case 'request.routed':
      return ['debug', `${where}: chosen by ${event.strategy ?? event.plugin} (${event.reason})`]
    case 'request.fallback':
      return ['warn', `${event.service}: ${event.from} failed, trying ${event.to}: ${event.error}`]
    case 'request.failed':
      return ['warn', `${where || event.service}: ${event.code}: ${event.error}`]
    case 'service.added':
    case 'service.changed':
    case 'service.removed':
      return ['info', `service ${event.service} ${event.type.slice('service.'.length)}`]
    case 'strategy.loaded':
    case 'strategy.removed':
      return ['info', `strategy ${event.strategy} ${event.type.slice('strategy.'.length)} (${event.file})`]
    case 'strategy.failed':
      return ['error', `strategy refused: ${listed([...event.problems])}`]
    case 'reload.applied':
      return ['info', `generation ${event.generation} serves after ${seconds(event.durationMs)}: ${event.changes.join(', ')}`]
    case 'reload.rejected':
      return ['error', `refused, the previous version keeps serving: ${listed([...event.problems])}`]
    case 'generation.retired':
      return ['debug', `generation ${event.generation} retired${event.drained ? '' : ' with requests still open'}`]
    case 'server.listening':
      return ['info', `listening on ${event.address}`]
    case 'server.stopping':
      return ['info', `ending (${event.signal})`]
  }
}

/** Writes every event as one line, with its fields. Returns what ends it. */
export function logEvents(events: Events, log: Logger): () => void {
  return events.subscribe((event) => {
    const [level, sentence] = lineOf(event)
    if (!log.isLevelEnabled(level)) return
    const { at: _, ...fields } = event
    log[level](fields, sentence)
  })
}
