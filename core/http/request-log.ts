import type { FastifyBaseLogger } from 'fastify'
import type { Logger } from 'pino'

type Method = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'

/**
 * The logger of one request. Most requests never log; the child that carries the request's id is made with the first line, as
 * making one for every request costs more than the request's own routing.
 */
class RequestLog {
  readonly #parent: Logger
  #bindings: object
  #child: Logger | undefined

  constructor(parent: Logger, bindings: object) {
    this.#parent = parent
    this.#bindings = bindings
  }

  get #log(): Logger {
    this.#child ??= this.#parent.child(this.#bindings)
    return this.#child
  }

  get level(): string {
    return this.#parent.level
  }

  /** As pino's: fields that its further lines have besides. */
  setBindings(bindings: object): void {
    if (this.#child) this.#child.setBindings(bindings)
    else this.#bindings = { ...this.#bindings, ...bindings }
  }

  child(bindings: object): Logger {
    return this.#log.child(bindings)
  }

  fatal(...line: unknown[]): void {
    this.#write('fatal', line)
  }

  error(...line: unknown[]): void {
    this.#write('error', line)
  }

  warn(...line: unknown[]): void {
    this.#write('warn', line)
  }

  info(...line: unknown[]): void {
    this.#write('info', line)
  }

  debug(...line: unknown[]): void {
    this.#write('debug', line)
  }

  trace(...line: unknown[]): void {
    this.#write('trace', line)
  }

  silent(): void {}

  #write(method: Method, line: unknown[]): void {
    if (!this.#parent.isLevelEnabled(method)) return
    const [first, ...rest] = line
    this.#log[method](first as object, ...(rest as [string]))
  }
}

/** For Fastify's `childLoggerFactory`. */
export const requestLog = (parent: Logger, bindings: object): FastifyBaseLogger => new RequestLog(parent, bindings)
