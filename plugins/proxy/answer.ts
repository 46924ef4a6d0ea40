import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { copiesParts, type HestiaError, onceClosed, type Place, returnOf } from 'hestia'
import { incomingHeaders } from './incoming-headers.ts'
import { discard } from './request-body.ts'
import type { Mapping } from './rewrite.ts'

/** Names and values in turn, one character for each byte. */
export type RawHeaders = readonly string[]

/** Where the body of an answer comes from. */
export interface Source {
  /** More may come, after `data` has said no. */
  resume(): void
}

/** Where the answer of a service goes. */
export interface Answer {
  /** Whether the head of a final answer has gone out, so that nothing else can be answered. */
  readonly started: boolean
  /** Whether all of it has been delivered, an error included. */
  readonly complete: boolean
  /** The request has to wait for an instance. */
  waiting?(): void
  /** An answer before the answer (1xx). */
  information(status: number, reason: string, headers: RawHeaders): void
  /**
   * The head. `mapping` fits addresses in it; `source` is told when more may come after `data` has said no.
   * @returns whether it is a stream of events.
   * @throws when it can't be passed on.
   */
  head(status: number, reason: string, headers: RawHeaders, mapping: Mapping | undefined, source: Source): boolean
  /** No more comes for now: what is held back to be sent with it goes out. */
  flush(): void
  /** Part of the body, which lies at `place` until this returns. Answers false when no more should come for now. */
  data(part: Buffer, place: Place): boolean
  end(trailers: RawHeaders): void
  /** The service takes the body of a request that asked before sending it. */
  proceed(): void
  /** An error instead of an answer; or an answer that breaks off, if it had started. */
  fail(error: HestiaError): void
  /** Calls `closed` once, when the answer is delivered, or can't be any more. */
  onceClosed(closed: () => void): void
}

/** An error in the client's own way. */
export interface ErrorAnswer {
  /** That of the error if absent. */
  readonly status?: number
  /** Names and values in turn, beside those that every error has; a media type goes with a body. */
  readonly headers: readonly string[]
  /** JSON of the error if absent. */
  readonly body?: string
}

/** What was decided for a request. */
export interface Decisions {
  /** As headers: names and values in turn; undefined when the client isn't to know. */
  marks(): readonly string[] | undefined
}

/** How to answer one client. */
export interface AnswerOptions {
  readonly pseudonym: string
  /** Whether paths of the service stand under a prefix or a host name of Hestia's. */
  readonly isMapped: boolean
  /** The JSON body of an error, if the client speaks a language of its own. */
  readonly errorBody: ((error: HestiaError) => object) | undefined
  readonly present: ((error: HestiaError) => ErrorAnswer | undefined) | undefined
}

const JSON_TYPE: readonly string[] = ['Content-Type', 'application/json; charset=utf-8']
const NOTHING: readonly string[] = []
/** Programs on libuv take a reset that they find together with the last bytes for a regular end: it comes a little later. */
const RESET_AFTER_MS = 10
const BODILESS = new Set([204, 304])

/** Writes straight into the client's response: nothing is copied, parsed or held on the way. */
export class ClientAnswer implements Answer {
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  readonly #incoming: IncomingMessage
  readonly #response: ServerResponse
  readonly #options: AnswerOptions
  /** Who knows what was decided for the request. No function: one made for each request costs the collector dearly. */
  decisions: Decisions | undefined
  #source: Source | undefined
  #wrote = false
  #ended = false

  constructor(request: FastifyRequest, reply: FastifyReply, options: AnswerOptions) {
    this.#request = request
    this.#reply = reply
    this.#incoming = request.raw
    this.#response = reply.raw
    this.#options = options
  }

  get started(): boolean {
    return this.#response.headersSent
  }

  get complete(): boolean {
    const { socket, writableFinished } = this.#response
    return writableFinished && (!socket || socket.writableFinished)
  }

  information(status: number, reason: string, headers: RawHeaders): void {
    const { socket } = this.#response
    // 100 answers an expectation, which is between Hestia and its client; HTTP/1.0 knows no 1xx.
    if (status === 100 || this.started || !socket || this.#incoming.httpVersion === '1.0') return
    let head = `HTTP/1.1 ${status} ${reason}\r\n`
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!
      if (!/^(?:connection|keep-alive|upgrade|transfer-encoding)$/i.test(name)) head += `${name}: ${headers[i + 1]!}\r\n`
    }
    socket.write(`${head}\r\n`, 'latin1')
  }

  head(status: number, reason: string, raw: RawHeaders, mapping: Mapping | undefined, source: Source): boolean {
    const bodiless = BODILESS.has(status) || this.#incoming.method === 'HEAD'
    const { pseudonym, isMapped } = this.#options
    const decided = this.decisions?.marks()
    const { headers, hasRequestId, isEventStream } = incomingHeaders(raw, status, {
      mapping: isMapped ? mapping : undefined,
      pseudonym,
      isMarked: decided !== undefined,
      trailers: !bodiless && this.#incoming.httpVersion !== '1.0',
    })
    if (!hasRequestId) headers.push('X-Request-Id', this.#request.id)
    if (decided) for (const part of decided) headers.push(part)
    this.#source = source
    this.#write(status, reason, headers)
    return isEventStream
  }

  data(part: Buffer, place: Place): boolean {
    this.#wrote = true
    const response = this.#response
    // A plugin that has put itself in between may keep what passes.
    const isTapped = Object.hasOwn(response, 'write')
    const chunk = !isTapped && copiesParts(response, part.length) ? part : place.keep(part)
    const more = response.write(chunk, isTapped ? undefined : returnOf(chunk))
    if (!more) response.once('drain', () => this.#source?.resume())
    return more
  }

  end(trailers: RawHeaders): void {
    if (this.#ended) return
    this.#ended = true
    if (trailers.length > 0 && this.#response.chunkedEncoding) {
      const pairs: [string, string][] = []
      for (let i = 0; i < trailers.length; i += 2) pairs.push([trailers[i]!, trailers[i + 1]!])
      this.#response.addTrailers(pairs)
    }
    this.#response.end()
    this.#letGo()
  }

  proceed(): void {
    if (!this.started) this.#response.writeContinue()
  }

  fail(error: HestiaError): void {
    if (this.#ended) return
    this.#ended = true
    const response = this.#response
    if (this.started) {
      // An end that looks like one would pass off half an answer as a whole.
      const { socket } = response
      // Without a length the end of the connection is the end of the body: only a reset tells the difference.
      if (this.#incoming.httpVersion === '1.0' && socket) setTimeout(reset, RESET_AFTER_MS, socket)
      else response.destroy()
      return
    }
    const { present, errorBody } = this.#options
    const own = present?.(error)
    const body = Buffer.from(own?.body ?? JSON.stringify(errorBody?.(error) ?? error.body(this.#request.id)))
    const headers = [...(own?.body === undefined ? JSON_TYPE : NOTHING), ...(own?.headers ?? NOTHING)]
    headers.push('Content-Length', String(body.length), 'X-Request-Id', this.#request.id)
    if (error.retryAfterSeconds !== undefined) headers.push('Retry-After', String(error.retryAfterSeconds))
    const decided = this.decisions?.marks()
    if (decided) headers.push(...decided, 'X-Hestia-Error', error.code)
    this.#write(own?.status ?? error.statusCode, undefined, headers)
    response.end(body)
    this.#letGo()
  }

  onceClosed(closed: () => void): void {
    onceClosed(this.#response, closed)
  }

  /** Usually body and end come together and one packet will do; if not, the head must not wait for them. */
  flush(): void {
    if (!this.#wrote && !this.#ended && !this.#response.destroyed) this.#response.flushHeaders()
  }

  #letGo(): void {
    if (!this.#incoming.complete) discard(this.#incoming)
  }

  #write(status: number, reason: string | undefined, headers: string[]): void {
    const response = this.#response
    const phrase = reason === undefined || /[^\t\x20-\x7e\x80-\xff]/.test(reason) ? [] : [reason]
    const added = this.#reply.getHeaders()
    let names: Set<string> | undefined
    for (const name in added) {
      names ??= namesOf(headers)
      if (!names.has(name)) for (const value of [added[name]].flat()) headers.push(name, String(value))
    }
    if (response.getHeaderNames().length > 0) {
      // Node merges what was set before with what comes now, and drops all but one of each name, unless they are appended.
      for (const name of response.getHeaderNames()) response.removeHeader(name)
      for (let i = 0; i < headers.length; i += 2) response.appendHeader(headers[i]!, headers[i + 1]!)
      response.writeHead(status, ...(phrase as [string]))
    } else response.writeHead(status, ...(phrase as [string]), headers as never)
  }
}

const namesOf = (headers: readonly string[]): Set<string> =>
  new Set(headers.flatMap((name, i) => (i % 2 === 0 ? [name.toLowerCase()] : [])))

/**
 * Ends a connection so that it can't be taken for a regular end. `resetAndDestroy` ends it regularly first, and the other side
 * may see only that; this is what it does after it.
 */
const reset = (socket: Socket): void => {
  Object.assign(socket, { resetAndClosing: true }).destroy()
}
