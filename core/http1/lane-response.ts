import { type IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { Draft } from './draft.ts'
import { isLarge } from './read-buffer.ts'
import { IN_VALUE } from './syntax.ts'
import { flushAtEndOfCall, flushAtEndOfTurn, type Sender } from './turn.ts'

/** What of its inherited state the short way has to keep true, as everybody else goes by it. */
interface State {
  socket: Socket | null
  finished: boolean
  _header: string | null
  _trailer: string
  _closed: boolean
  readonly _last: boolean
  _keepAliveTimeout: number
}

/** Whose response it is. */
export interface ResponseOwner {
  /** It was sent, or its connection is gone. */
  finished(response: LaneResponse): void
}

export interface ResponseOptions {
  /** Whether the connection may take another request after it. */
  readonly keepAlive: boolean
  /** How long it may then be idle, in milliseconds. */
  readonly keepAliveMs: number
  /** Whether it goes out as soon as it can, as there are no others to go out in a row with. */
  readonly isAlone: boolean
}

type Headers = OutgoingHttpHeaders | OutgoingHttpHeader[]

/** Headers by which node:http frames an answer: whoever sets them himself has it done by node:http. */
const FRAMING = new Set(['connection', 'keep-alive', 'transfer-encoding', 'trailer'])

/** In place of a head that is in the draft, and not needed for as long as its body takes: what is asked is whether there is one. */
const WRITTEN = 'written'

let dateUntil = 0
let date = ''

/** `Date` (RFC 9110, 6.6.1) changes once a second. */
function httpDate(): string {
  const now = Date.now()
  if (now >= dateUntil) {
    date = new Date(now).toUTCString()
    dateUntil = now - (now % 1000) + 1000
  }
  return date
}

function keepAlive(timeoutMs: number): string {
  const seconds = Math.floor(timeoutMs / 1000)
  return seconds > 0 ? `Connection: keep-alive\r\nKeep-Alive: timeout=${seconds}\r\n` : 'Connection: keep-alive\r\n'
}

/**
 * A response of node:http with a shorter way for a head that is given whole, as names and values in turn: it then writes to the
 * socket itself, the same bytes, and is closed as soon as they are with the system. Used in any other way it is the response that it inherits from.
 */
export class LaneResponse extends ServerResponse implements Sender {
  readonly #socket: Socket
  readonly #owner: ResponseOwner
  readonly #isAlone: boolean
  #isShort = false
  /** Whether it is node:http's, which it is for good. */
  #isInherited = false
  #hasBody = true
  /** What is sent next. */
  #draft: Draft | undefined
  /** Whether that is a head which waits for what follows it. */
  #isHeld = false
  /** Whether it is about to be flushed. */
  #isQueued = false

  constructor(request: IncomingMessage, owner: ResponseOwner, { keepAlive, keepAliveMs, isAlone }: ResponseOptions) {
    super(request)
    this.#owner = owner
    this.#isAlone = isAlone
    this.#socket = request.socket
    this.#state.socket = this.#socket
    this.#state._keepAliveTimeout = keepAliveMs
    this.shouldKeepAlive = keepAlive
  }

  get #state(): State {
    return this as unknown as State
  }

  /** Whether the connection may take another request after it. */
  get leavesOpen(): boolean {
    return this.shouldKeepAlive && !this.#state._last
  }

  override writeHead(status: number, reason?: string | Headers, headers?: Headers): this {
    const raw = Array.isArray(reason) ? reason : headers
    const isWhole = Array.isArray(raw) && !this.#isInherited && !this.headersSent && this.getHeaderNames().length === 0
    const text = typeof reason === 'string' ? reason : (STATUS_CODES[status] ?? 'unknown')
    const draft = isWhole ? this.#draftOf(status, text, raw) : undefined
    if (draft === undefined) {
      this.#inherit()
      return super.writeHead(status, reason as string, headers)
    }
    this.#isShort = true
    this.statusCode = status
    this.statusMessage = text
    this.#state._header = WRITTEN
    this.#draft = draft
    this.#isHeld = true
    this.#queue()
    return this
  }

  /** @returns undefined when node:http has to do it. */
  #draftOf(status: number, reason: string, headers: readonly OutgoingHttpHeader[]): Draft | undefined {
    if (!Number.isInteger(status) || status < 200 || status > 999) return undefined
    const draft = new Draft()
    draft.text(`HTTP/1.1 ${status} `)
    if (reason !== '' && !draft.only(reason, IN_VALUE)) return undefined
    draft.text('\r\n')
    let [hasLength, hasDate] = [false, false]
    for (let i = 0; i < headers.length; i += 2) {
      const name = String(headers[i])
      const value = headers[i + 1]
      if (value === undefined || Array.isArray(value) || !draft.field(name, String(value))) return undefined
      switch (name.length) {
        case 4:
          hasDate ||= name.toLowerCase() === 'date'
          break
        case 14:
          hasLength ||= name.toLowerCase() === 'content-length'
          break
        case 7:
        case 10:
        case 17:
          if (FRAMING.has(name.toLowerCase())) return undefined
          break
      }
    }
    if (!hasDate) draft.text(`Date: ${httpDate()}\r\n`)
    draft.text(this.shouldKeepAlive ? keepAlive(this.#state._keepAliveTimeout) : 'Connection: close\r\n')
    this.#hasBody = status !== 204 && status !== 304 && this.req.method !== 'HEAD'
    this.chunkedEncoding = this.#hasBody && !hasLength
    draft.text(this.chunkedEncoding ? 'Transfer-Encoding: chunked\r\n\r\n' : '\r\n')
    return draft
  }

  override write(chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
    if (!this.#isShort) {
      this.#inherit()
      return super.write(chunk, encoding as BufferEncoding, callback as () => void)
    }
    const bytes = bytesOf(chunk, encoding)
    const written = isFunction(encoding) ? encoding : isFunction(callback) ? callback : undefined
    const isSmall = !isLarge(bytes.length)
    const isNothing = bytes.length === 0 || this.destroyed || this.finished || !this.#hasBody
    if (written && (isNothing || isSmall)) process.nextTick(written)
    if (isNothing) return true
    const draft = this.#release()
    if (this.chunkedEncoding) draft.size(bytes.length)
    if (isSmall) {
      draft.add(bytes)
      if (this.chunkedEncoding) draft.text('\r\n')
      if (isLarge(draft.length)) this.#sendDraft()
      return !this.#socket.writableNeedDrain
    }
    const socket = this.#socket
    // All of them are one write.
    draft.keep()
    socket.cork()
    this.#sendDraft()
    let more = socket.write(bytes, written)
    if (this.chunkedEncoding) more = socket.write('\r\n', 'latin1')
    socket.uncork()
    return more
  }

  /** Whether a part of the body of this size is copied when it is written. */
  copies(size: number): boolean {
    return this.#isShort && !isLarge(size)
  }

  /** What is sent next, from here on with the head. */
  #release(): Draft {
    this.#isHeld = false
    this.#queue()
    this.#draft ??= new Draft()
    return this.#draft
  }

  #queue(): void {
    if (this.#isQueued) return
    this.#isQueued = true
    if (this.#isAlone) flushAtEndOfCall(this)
    else flushAtEndOfTurn(this)
  }

  #sendDraft(): void {
    const draft = this.#draft
    this.#draft = undefined
    if (draft && draft.length > 0 && !this.#socket.destroyed) draft.send(this.#socket)
  }

  /** Sends what was written since the last time; after the last of it the response is done. */
  flush(): void {
    this.#isQueued = false
    if (this.#isHeld) this.#draft?.keep()
    else this.#sendDraft()
    // If the connection is gone, its end is told by its owner.
    if (!this.#isShort || !this.finished || this.#state._closed || this.#socket.destroyed) return
    if (this.#socket.writableLength === 0) this.done()
    else
      this.#socket.write('', (error) => {
        if (!error) this.done()
      })
  }

  override destroy(error?: Error): this {
    if (!this.#isHeld) this.#sendDraft()
    return super.destroy(error)
  }

  override flushHeaders(): void {
    if (!this.#isShort) {
      this.#inherit()
      super.flushHeaders()
      return
    }
    if (this.#isHeld) this.#release()
  }

  override end(...args: unknown[]): this {
    if (!this.#isShort) {
      this.#inherit()
      return super.end(...(args as []))
    }
    if (this.finished) return this
    const ended = args.find(isFunction)
    if (ended) this.once('finish', ended)
    const [chunk, encoding] = args
    if (chunk !== undefined && chunk !== null && !isFunction(chunk))
      this.write(chunk, isFunction(encoding) ? undefined : encoding)
    this.#state.finished = true
    const draft = this.#release()
    if (this.chunkedEncoding) draft.text(`0\r\n${this.#state._trailer}\r\n`)
    return this
  }

  /** From here on it is node:http's. */
  #inherit(): void {
    if (this.destroyed || this.#isInherited) return
    this.#isInherited = true
    this.assignSocket(this.#socket)
    this.once('finish', () => {
      this.detachSocket(this.#socket)
      process.nextTick(done, this)
    })
  }

  /** The socket takes more. */
  drained(): void {
    if (this.#isShort || this.writableNeedDrain) this.emit('drain')
  }

  /** All of it was sent. */
  done(): void {
    if (this.#isShort && !this.#state._closed) this.emit('finish')
    this.over()
  }

  /** Nothing can be sent any more. */
  over(): void {
    if (this.#state._closed) return
    this.#state.socket = null
    this.#state._closed = true
    this.destroyed = true
    this.emit('close')
    this.#owner.finished(this)
  }
}

const isFunction = (value: unknown): value is () => void => typeof value === 'function'

function bytesOf(chunk: unknown, encoding: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk
  if (typeof chunk === 'string') return Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
  return Buffer.from(chunk as Uint8Array)
}

const done = (response: LaneResponse): void => response.done()

/** Whether `response` copies parts of its body of this size when they are written, so that nobody else has to. */
export const copiesParts = (response: ServerResponse, size: number): boolean =>
  response instanceof LaneResponse && response.copies(size)
