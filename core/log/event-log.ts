import { type Logger, levels } from 'pino'
import type { LogConfig } from '../../schemas/config.ts'
import type { Events, EventType, HestiaEvent } from '../events.ts'
import { AccessLog } from './access-log.ts'
import { type Lines, levelOf } from './logger.ts'
import { levelOfType, lineOf } from './sentences.ts'

const familyOf = (type: EventType): string => type.slice(0, type.indexOf('.'))
const rank = (level: string): number => levels.values[level] ?? Infinity

/** Writes every event that its level lets through as one line: its sentence, and for programs its fields. */
export class EventLog {
  readonly #events: Events
  readonly #log: Logger
  readonly #forPeople: boolean
  readonly #access: AccessLog
  #stop: () => void = () => undefined

  constructor(events: Events, { log, out, forPeople }: Lines) {
    this.#events = events
    this.#log = log
    this.#forPeople = forPeople
    this.#access = new AccessLog(out, forPeople)
  }

  /** Goes on with another configuration. What isn't written is not listened to, so that it costs nothing. */
  follow(config: Readonly<LogConfig>): void {
    this.#stop()
    const log = this.#log
    log.level = config.level
    const families = new Map<string, Logger>(
      Object.keys(config.levels).map((name) => [name, log.child({}, { level: levelOf(config, name) })]),
    )
    const isWritten = (type: EventType) => rank(levelOfType(type)) >= rank(levelOf(config, familyOf(type)))
    const stops = [
      this.#events.subscribe(
        (event) => this.#write(families.get(familyOf(event.type)) ?? log, event),
        (type) => type !== 'request.finished' && isWritten(type),
      ),
    ]
    if (isAccessWritten(config)) stops.push(this.#events.subscribe(this.#access.writer(config.access), ['request.finished']))
    this.#stop = () => {
      for (const stop of stops) stop()
    }
  }

  /** Writes what waits, and nothing from here on. */
  close(): void {
    this.#stop()
    this.#access.flush()
  }

  #write(log: Logger, event: HestiaEvent): void {
    const { level, sentence } = lineOf(event)
    if (!log.isLevelEnabled(level)) return
    const { at: _, ...fields } = event
    // Lines stand in the order in which things happened.
    this.#access.flush()
    if (this.#forPeople) log[level](sentence)
    else log[level](fields, sentence)
  }
}

const isAccessWritten = (config: Readonly<LogConfig>): boolean =>
  config.access.sample > 0 && rank(config.access.level) >= rank(levelOf(config, 'request'))
