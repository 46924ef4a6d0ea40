import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { AnswerListener, Carrier } from './answer-listener.ts'
import { AnswerReader } from './answer-reader.ts'
import { WireError } from './errors.ts'
import type { Place } from './read-buffer.ts'
import type { Reader } from './reading.ts'
import type { RequestHead } from './request-head.ts'
import { streamBody } from './stream-body.ts'
import { flushAtEndOfTurn, type Sender } from './turn.ts'

/** Methods whose requests have a body as a rule: none is said to be empty (RFC 9110, 8.6). */
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH'])

/** Bodies up to this size are copied behind their head, in bytes. */
const SMALL = 16 * 1024

/** A request as it goes out; a `Content-Length` among its headers is that of its body. */
export interface OutgoingRequest extends RequestHead {
  readonly body: Readable | Buffer | null
  /** Called when a body that is a Buffer has gone out, or can't any more; maybe never when it was not sent at all. */
  readonly sent?: (() => void) | undefined
  /** Longest time from the end of the request until the head of its answer, in milliseconds; 0 is any. */
  readonly headTimeoutMs: number
  /** Longest silence in the middle of the answer, in milliseconds; 0 is any. */
  readonly bodyTimeoutMs: number
}

/** Who keeps connections that have nothing to do. */
export interface Keeper {
  /** It may take another request, for no longer than `idleMs` milliseconds if the other side says so. */
  idle(connection: ClientConnection, idleMs: number | undefined): void
  gone(connection: ClientConnection): void
  /** A request that it could not take any more when it was its turn. */
  unsent(request: OutgoingRequest, listener: AnswerListener): void
}

interface Waiting {
  readonly head: string
  readonly request: OutgoingRequest
  readonly listener: AnswerListener
}

/** A body on its way. */
interface Sending {
  readonly body: Readable
  readonly stop: () => void
}

const closed = (): WireError => new WireError('CLOSED', 'the other side closed it')

/**
 * One connection to a service, with one request at a time on it: writes it, and reads its answer strictly. After anything that
 * leaves doubts about where the next answer begins, it is closed.
 */
export class ClientConnection implements Carrier, Reader, Sender {
  readonly #socket: Socket
  readonly #keeper: Keeper
  #listener: AnswerListener | undefined
  #reader: AnswerReader | undefined
  /** The request that is sent at the end of the turn. */
  #waiting: Waiting | undefined
  #sending: Sending | undefined
  /** One for all requests on it: it is only wound up anew. */
  #headTimer: NodeJS.Timeout | undefined
  /** What it was set to, in milliseconds. */
  #headTimerMs = 0
  #headTimeoutMs = 0
  #bodyTimer: NodeJS.Timeout | undefined
  #bodyTimeoutMs = 0
  /** Since when it has nothing to do (`performance.now()`), and how long it may be kept so, in milliseconds. */
  idleSince = 0
  idleMs = 0

  constructor(socket: Socket, keeper: Keeper) {
    this.#socket = socket
    this.#keeper = keeper
    socket
      .on('end', () => this.#ended())
      .on('error', (error) => this.#broken(error))
      .on('close', () => this.#broken(closed()))
  }

  /** Whether a request can be sent now, as far as is known. */
  get usable(): boolean {
    return this.#listener === undefined && this.#waiting === undefined && this.#socket.writable && !this.#socket.readableEnded
  }

  /** Sends a request with this head (see `writeRequestHead`) at the end of the turn, if it is still usable then. */
  sendSoon(head: string, request: OutgoingRequest, listener: AnswerListener): void {
    this.#waiting = { head, request, listener }
    flushAtEndOfTurn(this)
  }

  /** By now it is known what the other side said in this turn: that it closes the connection, for one. */
  flush(): void {
    const waiting = this.#waiting
    if (!waiting) return
    this.#waiting = undefined
    if (this.usable) this.send(waiting.head, waiting.request, waiting.listener)
    else this.#keeper.unsent(waiting.request, waiting.listener)
  }

  /** Sends a request with this head now; only while it is usable. */
  send(head: string, request: OutgoingRequest, listener: AnswerListener): void {
    this.#listener = listener
    listener.onConnect(this)
    if (this.#listener !== listener) return
    this.#reader = new AnswerReader(request.method, listener)
    this.#bodyTimeoutMs = request.bodyTimeoutMs
    this.#headTimeoutMs = request.headTimeoutMs
    const { body } = request
    if (body === null) {
      const isEmpty = WITH_BODY.has(request.method) && !has(request.headers, 'content-length')
      this.#socket.write(isEmpty ? `${head}Content-Length: 0\r\n\r\n` : `${head}\r\n`, 'latin1')
      this.#awaitHead()
      return
    }
    const hasLength = has(request.headers, 'content-length')
    if (Buffer.isBuffer(body)) {
      writeBoth(this.#socket, hasLength ? `${head}\r\n` : `${head}Content-Length: ${body.length}\r\n\r\n`, body, request.sent)
      this.#awaitHead()
    } else {
      this.#socket.write(hasLength ? `${head}\r\n` : `${head}Transfer-Encoding: chunked\r\n\r\n`, 'latin1')
      const stop = streamBody(this.#socket, body, hasLength, (error) => this.#sent(error))
      this.#sending = { body, stop }
    }
  }

  #sent(error: Error | undefined): void {
    this.#sending = undefined
    if (error) this.#broken(error)
    else if (!this.#reader?.head) this.#awaitHead()
  }

  #awaitHead(): void {
    const timeoutMs = this.#headTimeoutMs
    if (timeoutMs > 0 && this.#headTimer && this.#headTimerMs === timeoutMs) this.#headTimer.refresh()
    else {
      clearTimeout(this.#headTimer)
      this.#headTimerMs = timeoutMs
      this.#headTimer = timeoutMs === 0 ? undefined : setTimeout(headIsLate, timeoutMs, this).unref()
    }
  }

  abort(listener: AnswerListener): void {
    if (this.#listener !== listener) return
    this.#listener = undefined
    this.#close()
  }

  resume(listener: AnswerListener): void {
    if (this.#listener === listener) this.#socket.resume()
  }

  /** Ends the connection, whatever it is doing. */
  destroy(): void {
    this.flush()
    this.#broken(new WireError('CLOSED', 'it was closed'))
  }

  /** Whether it is in the middle of the body of an answer. */
  get inBody(): boolean {
    return this.#reader?.head !== undefined
  }

  read(bytes: Buffer, place: Place): boolean {
    const reader = this.#reader
    if (!this.#listener || !reader) {
      // Nobody has asked for anything.
      this.#close()
      return false
    }
    const hadHead = reader.head !== undefined
    let surplus: number
    try {
      surplus = reader.read(bytes, place)
    } catch (thrown) {
      this.#broken(thrown as Error)
      return false
    }
    if (this.#reader !== reader) return false
    if (reader.done) {
      this.#complete(surplus > 0)
      return true
    }
    if (hadHead) this.#bodyTimer?.refresh()
    else if (reader.head && this.#bodyTimeoutMs > 0) this.#bodyTimer = setTimeout(bodyIsLate, this.#bodyTimeoutMs, this).unref()
    if (reader.head) this.#listener.onLull()
    return reader.more
  }

  /** The answer is whole. `surplus`: bytes follow that nobody has asked for. */
  #complete(surplus: boolean): void {
    const listener = this.#listener!
    const reader = this.#reader!
    const { keepAlive, idleMs } = reader.head!
    const isReusable = keepAlive && !surplus && this.#sending === undefined
    this.#listener = undefined
    if (isReusable) {
      this.#reset()
      this.#keeper.idle(this, idleMs)
    } else this.#close()
    listener.onComplete(reader.trailers)
  }

  /** The other side sends no more. */
  #ended(): void {
    try {
      if (!this.#reader) throw closed()
      this.#reader.end()
      this.#complete(false)
    } catch (thrown) {
      this.#broken(thrown as Error)
    }
  }

  #broken(error: Error): void {
    const listener = this.#listener
    this.#listener = undefined
    this.#close()
    listener?.onError(error)
  }

  #reset(): void {
    this.#reader?.cancel()
    this.#reader = undefined
    // Whatever is left of it is of no use to anybody.
    this.#sending?.stop()
    this.#sending?.body.destroy()
    this.#sending = undefined
    clearTimeout(this.#bodyTimer)
    this.#bodyTimer = undefined
  }

  #close(): void {
    this.#reset()
    clearTimeout(this.#headTimer)
    this.#headTimer = undefined
    this.#keeper.gone(this)
    this.#socket.destroy()
  }

  /** The time for a head is over; of whichever request is on it by now. */
  headIsLate(): void {
    if (this.#reader && !this.#reader.head && !this.#sending)
      this.#broken(new WireError('HEAD_TIMEOUT', `no head of an answer within ${this.#headTimeoutMs} ms`))
  }

  bodyIsLate(): void {
    this.#broken(new WireError('BODY_TIMEOUT', `silent for ${this.#bodyTimeoutMs} ms`))
  }
}

/** As one packet, if there is room for both in it. */
function writeBoth(socket: Socket, head: string, body: Buffer, sent: (() => void) | undefined): void {
  if (body.length <= SMALL) {
    const both = Buffer.allocUnsafe(head.length + body.length)
    both.write(head, 'latin1')
    body.copy(both, head.length)
    socket.write(both)
    sent?.()
  } else {
    socket.cork()
    socket.write(head, 'latin1')
    socket.write(body, sent)
    socket.uncork()
  }
}

const headIsLate = (connection: ClientConnection): void => connection.headIsLate()
const bodyIsLate = (connection: ClientConnection): void => connection.bodyIsLate()

function has(headers: readonly string[], name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const candidate = headers[i]!
    if (candidate.length === name.length && candidate.toLowerCase() === name) return true
  }
  return false
}
