import { type IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { isName, NOT_IN_VALUE } from './syntax.ts'
import { flushAtEndOfTurn, type Sender } from './turn.ts'

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

type Headers = OutgoingHttpHeaders | OutgoingHttpHeader[]

/** Parts of a body up to this size are copied, to be one write with what goes before and after them, in bytes. */
const SMALL = 16 * 1024

/** Headers by which node:http frames an answer: whoever sets them himself has it done by node:http. */
const FRAMING = new Set(['connection', 'keep-alive', 'transfer-encoding', 'trailer'])

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

/**
 * A response of node:http with a shorter way for a head that is given whole, as names and values in turn: it then writes to the
 * socket itself, the same bytes, and is closed as soon as they are with the system. Used in any other way it is the response that it inherits from.
 */
export class LaneResponse extends ServerResponse implements Sender {
  readonly #socket: Socket
  readonly #owner: ResponseOwner
  #isShort = false
  #hasBody = true
  /** What has to be sent before anything else. */
  #head = ''
  /** What is sent at the end of the turn. */
  #pending: Buffer | undefined
  /** Whether it is flushed then. */
  #isQueued = false

  constructor(request: IncomingMessage, owner: ResponseOwner, keepAlive: boolean, keepAliveMs: number) {
    super(request)
    this.#owner = owner
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
    const isWhole = Array.isArray(raw) && !this.headersSent && this.getHeaderNames().length === 0
    const text = typeof reason === 'string' ? reason : (STATUS_CODES[status] ?? 'unknown')
    const head = isWhole ? this.#headOf(status, text, raw as readonly string[]) : undefined
    if (head === undefined) {
      this.#inherit()
      return super.writeHead(status, reason as string, headers)
    }
    this.#isShort = true
    this.statusCode = status
    this.statusMessage = text
    this.#head = head
    this.#state._header = head
    return this
  }

  /** @returns undefined when node:http has to do it. */
  #headOf(status: number, reason: string, headers: readonly string[]): string | undefined {
    let head = `HTTP/1.1 ${status} ${reason}\r\n`
    let [hasLength, hasDate] = [false, false]
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!
      const value = headers[i + 1]!
      if (!isName(name) || NOT_IN_VALUE.test(value)) return undefined
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
      head += `${name}: ${value}\r\n`
    }
    if (!hasDate) head += `Date: ${httpDate()}\r\n`
    if (this.shouldKeepAlive) {
      head += 'Connection: keep-alive\r\n'
      const seconds = Math.floor(this.#state._keepAliveTimeout / 1000)
      if (seconds > 0) head += `Keep-Alive: timeout=${seconds}\r\n`
    } else head += 'Connection: close\r\n'
    this.#hasBody = status !== 204 && status !== 304 && this.req.method !== 'HEAD'
    this.chunkedEncoding = this.#hasBody && !hasLength
    return this.chunkedEncoding ? `${head}Transfer-Encoding: chunked\r\n\r\n` : `${head}\r\n`
  }

  override write(chunk: unknown, ...rest: unknown[]): boolean {
    if (!this.#isShort) {
      this.#inherit()
      return super.write(chunk, ...(rest as []))
    }
    const bytes = bytesOf(chunk, rest[0])
    const written = rest.find(isFunction)
    const isNothing = bytes.length === 0 || this.destroyed || this.finished || !this.#hasBody
    if (written && (isNothing || bytes.length <= SMALL)) process.nextTick(written)
    if (isNothing) return true
    const before = this.chunkedEncoding ? `${this.#head}${bytes.length.toString(16)}\r\n` : this.#head
    const after = this.chunkedEncoding ? '\r\n' : ''
    this.#head = ''
    if (bytes.length <= SMALL) return this.#writeSmall(before, bytes, after)
    const socket = this.#socket
    socket.cork()
    this.#sendPending()
    if (before !== '') socket.write(before, 'latin1')
    let more = socket.write(bytes, written)
    if (after !== '') more = socket.write(after, 'latin1')
    socket.uncork()
    return more
  }

  #writeSmall(before: string, bytes: Buffer, after: string): boolean {
    const all = Buffer.allocUnsafe(before.length + bytes.length + after.length)
    all.write(before, 0, 'latin1')
    bytes.copy(all, before.length)
    if (after !== '') all.write(after, before.length + bytes.length, 'latin1')
    this.#add(all)
    return !this.#socket.writableNeedDrain
  }

  /** What follows often comes in the same turn. */
  #add(bytes: Buffer): void {
    this.#pending = this.#pending ? Buffer.concat([this.#pending, bytes]) : bytes
    if (this.#pending.length > SMALL) this.#sendPending()
    this.#queue()
  }

  #queue(): void {
    if (this.#isQueued) return
    this.#isQueued = true
    flushAtEndOfTurn(this)
  }

  #sendPending(): void {
    const pending = this.#pending
    this.#pending = undefined
    if (pending && !this.#socket.destroyed) this.#socket.write(pending)
  }

  /** Sends what was written in this turn; after the last of it the response is done. */
  flush(): void {
    this.#isQueued = false
    this.#sendPending()
    // If the connection is gone, its end is told by its owner.
    if (!this.#isShort || !this.finished || this.#state._closed || this.#socket.destroyed) return
    if (this.#socket.writableLength === 0) this.done()
    else
      this.#socket.write('', (error) => {
        if (!error) this.done()
      })
  }

  override destroy(error?: Error): this {
    this.#sendPending()
    return super.destroy(error)
  }

  override flushHeaders(): void {
    if (!this.#isShort) {
      this.#inherit()
      super.flushHeaders()
      return
    }
    if (this.#head !== '') this.#add(Buffer.from(this.#head, 'latin1'))
    this.#head = ''
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
    if (chunk !== undefined && chunk !== null && !isFunction(chunk)) this.write(chunk, encoding)
    this.#state.finished = true
    const last = this.chunkedEncoding ? `${this.#head}0\r\n${this.#state._trailer}\r\n` : this.#head
    this.#head = ''
    if (last !== '') this.#add(Buffer.from(last, 'latin1'))
    this.#queue()
    return this
  }

  /** From here on it is node:http's. */
  #inherit(): void {
    if (this.destroyed || (this.#socket as { _httpMessage?: unknown })._httpMessage === this) return
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
