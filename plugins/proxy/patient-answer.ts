import { FOR_GOOD, type FrontDoor, type HestiaError, type Place, type RequestView } from 'hestia'
import type { Answer, RawHeaders, Source } from './answer.ts'
import type { Mapping } from './rewrite.ts'

/** Clients and gateways in front give up on silence after several seconds at the earliest. */
const COMMENT_INTERVAL_MS = 1000
const COMMENT = Buffer.from(': starting\n\n')
const HEAD: RawHeaders = ['Content-Type', 'text/event-stream; charset=utf-8', 'Cache-Control', 'no-cache']
/** How much of an answer that isn't a stream is kept, to tell the client why, in bytes. */
const MAX_KEPT = 64 * 1024

/**
 * Keeps a client that waits for a stream of server-sent events alive with comments (HTML standard, 9.2.6) until the service
 * answers; its events follow unchanged. What comes instead of events, an error above all, becomes an event, as the head has
 * gone out. For a request that needn't wait this is the plain answer.
 */
export class PatientAnswer implements Answer, Source {
  readonly #inner: Answer
  readonly #request: RequestView
  readonly #door: FrontDoor
  #timer: NodeJS.Timeout | undefined
  /** The head has gone out before the service had answered. */
  #ahead = false
  #full = false
  #answered = false
  #source: Source | undefined
  /** An answer that is no stream, as far as it has come. */
  #kept: { readonly status: number; readonly type: string; readonly chunks: Buffer[]; size: number } | undefined

  constructor(inner: Answer, request: RequestView, door: FrontDoor) {
    this.#inner = inner
    this.#request = request
    this.#door = door
  }

  get started(): boolean {
    return this.#ahead ? this.#answered : this.#inner.started
  }

  get complete(): boolean {
    return this.#inner.complete
  }

  waiting(): void {
    if (this.#ahead || !this.#door.keepsAlive?.(this.#request)) return
    this.#ahead = true
    this.#inner.head(200, 'OK', HEAD, undefined, this)
    this.#inner.flush()
    this.#comment()
    this.#timer = setInterval(() => this.#comment(), COMMENT_INTERVAL_MS)
    this.#inner.onceClosed(() => clearInterval(this.#timer))
  }

  /** The client takes more, after a comment or a part of the answer. */
  resume(): void {
    this.#full = false
    this.#source?.resume()
  }

  information(status: number, reason: string, headers: RawHeaders): void {
    this.#inner.information(status, reason, headers)
  }

  head(status: number, reason: string, headers: RawHeaders, mapping: Mapping | undefined, source: Source): boolean {
    if (!this.#ahead) return this.#inner.head(status, reason, headers, mapping, source)
    clearInterval(this.#timer)
    this.#answered = true
    this.#source = source
    const type = headerOf(headers, 'content-type')
    const isEventStream = /^text\/event-stream\b/i.test(type)
    if (status !== 200 || !isEventStream || headerOf(headers, 'content-encoding') !== '')
      this.#kept = { status, type, chunks: [], size: 0 }
    return isEventStream
  }

  flush(): void {
    this.#inner.flush()
  }

  data(part: Buffer, place: Place): boolean {
    const kept = this.#kept
    if (!kept) return this.#write(part, place)
    kept.size += part.length
    if (kept.size <= MAX_KEPT) kept.chunks.push(place.keep(part))
    return true
  }

  end(trailers: RawHeaders): void {
    if (this.#kept) this.#say(explain(this.#kept.status, this.#kept.type, Buffer.concat(this.#kept.chunks)))
    this.#inner.end(this.#ahead ? [] : trailers)
  }

  proceed(): void {
    this.#inner.proceed()
  }

  fail(error: HestiaError): void {
    clearInterval(this.#timer)
    if (!this.#ahead || (this.#answered && !this.#kept)) {
      this.#inner.fail(error)
      return
    }
    this.#say(this.#door.errorBody?.(error) ?? { error: { message: error.message, code: error.code } })
    this.#inner.end([])
  }

  onceClosed(closed: () => void): void {
    this.#inner.onceClosed(closed)
  }

  #comment(): void {
    if (!this.#full) this.#write(COMMENT)
  }

  #say(event: object): void {
    this.#write(Buffer.from(`data: ${JSON.stringify(event)}\n\n`))
  }

  #write(bytes: Buffer, place: Place = FOR_GOOD): boolean {
    const more = this.#inner.data(bytes, place)
    this.#full = !more
    return more
  }
}

function headerOf(headers: RawHeaders, name: string): string {
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.toLowerCase() === name) return headers[i + 1]!
  return ''
}

/** What a service said instead of a stream, as the data of an event: its own error if it is one. */
function explain(status: number, type: string, body: Buffer): object {
  const said = body.toString('utf8')
  try {
    const json = JSON.parse(said) as unknown
    if (typeof json === 'object' && json !== null && 'error' in json) return json
  } catch {
    // Not JSON: told as it is.
  }
  const what = `The service answered with status ${status} and ${type || 'no content type'} instead of a stream of events`
  return { error: { message: status < 400 || said === '' ? `${what}.` : `${what}: ${said}`, type: 'server_error', code: status } }
}
