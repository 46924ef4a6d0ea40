import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { AnswerListener, Carrier } from './answer-listener.ts'
import { AnswerReader } from './answer-reader.ts'
import type { Draft } from './draft.ts'
import { WireError } from './errors.ts'
import { hasLength, hasSmallBody, type OutgoingRequest } from './outgoing-request.ts'
import type { Place } from './read-buffer.ts'
import type { Reader } from './reading.ts'
import { own, type SocketOwner } from './socket-owner.ts'
import { streamBody } from './stream-body.ts'
import { flushAtEndOfTurn, type Sender } from './turn.ts'

/** Who keeps connections that have nothing to do. */
export interface Keeper {
  /** It may take another request, for no longer than `idleMs` milliseconds if the other side says so. */
  idle(connection: ClientConnection, idleMs: number | undefined): void
  gone(connection: ClientConnection): void
  /** A request that it could not take any more when it was its turn. */
  unsent(request: OutgoingRequest, listener: AnswerListener): void
}

interface Waiting {
  readonly draft: Draft
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
export class ClientConnection implements SocketOwner, Carrier, Reader, Sender {
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
    own(socket, this)
  }

  /** Whether a request can be sent now, as far as is known. */
  get usable(): boolean {
    return this.#listener === undefined && this.#waiting === undefined && this.#socket.writable && !this.#socket.readableEnded
  }

  /** Sends a request by its draft (see `draftRequest`) at the end of the turn, if it is still usable then. */
  sendSoon(draft: Draft, request: OutgoingRequest, listener: AnswerListener): void {
    this.#waiting = { draft, request, listener }
    flushAtEndOfTurn(this)
  }

  /**
   * By now it is known what the other side said in this turn: that it closes the connection, for one. What it said unasked would
   * be taken for the answer, if the request were on its way.
   */
  flush(): void {
    const waiting = this.#waiting
    if (!waiting) return
    this.#waiting = undefined
    if (this.usable) this.send(waiting.draft, waiting.request, waiting.listener)
    else this.#keeper.unsent(waiting.request, waiting.listener)
  }

  /** Sends it now; only while it is usable. */
  send(draft: Draft, request: OutgoingRequest, listener: AnswerListener): void {
    this.#listener = listener
    listener.onConnect(this)
    if (this.#listener !== listener) return
    this.#reader = new AnswerReader(request.method, listener)
    this.#bodyTimeoutMs = request.bodyTimeoutMs
    this.#headTimeoutMs = request.headTimeoutMs
    const { body } = request
    if (body === null || hasSmallBody(request)) {
      draft.send(this.#socket)
      request.sent?.()
      this.#awaitHead()
    } else if (Buffer.isBuffer(body)) {
      // The two are one write.
      draft.keep()
      this.#socket.cork()
      draft.send(this.#socket)
      this.#socket.write(body, request.sent)
      this.#socket.uncork()
      this.#awaitHead()
    } else {
      draft.send(this.#socket)
      const stop = streamBody(this.#socket, body, hasLength(request), (error) => this.#sent(error))
      this.#sending = { body, stop }
    }
  }

  #sent(error: Error | undefined): void {
    this.#sending = undefined
    if (error) this.#broken(error)
    else if (!this.#reader?.hasHead) this.#awaitHead()
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
    return this.#reader?.hasHead === true
  }

  read(bytes: Buffer, place: Place): boolean {
    const reader = this.#reader
    if (!this.#listener || !reader) {
      // Nobody has asked for anything.
      this.#close()
      return false
    }
    const hadHead = reader.hasHead
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
    else if (reader.hasHead && this.#bodyTimeoutMs > 0)
      this.#bodyTimer = setTimeout(bodyIsLate, this.#bodyTimeoutMs, this).unref()
    if (reader.hasHead) this.#listener.onLull()
    return reader.more
  }

  /** The answer is whole. `surplus`: bytes follow that nobody has asked for. */
  #complete(surplus: boolean): void {
    const listener = this.#listener!
    const reader = this.#reader!
    const { keepAlive, idleMs } = reader
    const isReusable = keepAlive && !surplus && this.#sending === undefined
    this.#listener = undefined
    if (isReusable) {
      this.#reset()
      this.#keeper.idle(this, idleMs)
    } else this.#close()
    listener.onComplete(reader.trailers)
  }

  ended(): void {
    try {
      if (!this.#reader) throw closed()
      this.#reader.end()
      this.#complete(false)
    } catch (thrown) {
      this.#broken(thrown as Error)
    }
  }

  failed(error: Error): void {
    this.#broken(error)
  }

  closed(): void {
    this.#broken(closed())
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
    if (this.#reader && !this.#reader.hasHead && !this.#sending)
      this.#broken(new WireError('HEAD_TIMEOUT', `no head of an answer within ${this.#headTimeoutMs} ms`))
  }

  bodyIsLate(): void {
    this.#broken(new WireError('BODY_TIMEOUT', `silent for ${this.#bodyTimeoutMs} ms`))
  }
}

const headIsLate = (connection: ClientConnection): void => connection.headIsLate()
const bodyIsLate = (connection: ClientConnection): void => connection.bodyIsLate()
