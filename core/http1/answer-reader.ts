import type { AnswerListener } from './answer-listener.ts'
import { type BodySink, ChunkedDecoder } from './chunked-decoder.ts'
import { WireError } from './errors.ts'
import { FOR_NOW, type Place } from './read-buffer.ts'
import { type Framing, parseResponseHead } from './response-head.ts'

/** The largest head of an answer, in bytes: cookies of some web UIs are large. */
const MAX_HEAD_BYTES = 64 * 1024

const END_OF_HEAD = Buffer.from('\r\n\r\n')
const NO_TRAILERS: readonly string[] = []

/** Reads one answer out of bytes as they come, for a listener that may be gone in the middle of it. */
export class AnswerReader implements BodySink {
  readonly #method: string
  readonly #listener: AnswerListener
  /** What of a head has come so far, when it came in parts. */
  #early: Buffer | undefined
  /** Where the body ends; undefined before the head of the final answer has come, of which nothing else is kept. */
  #framing: Framing | undefined
  /** Of a body with a length, in bytes. */
  #left = 0
  #keepAlive = false
  #idleMs: number | undefined
  #chunks: ChunkedDecoder | undefined
  #more = true
  #place: Place = FOR_NOW
  #done = false
  /** Nobody hears of it any more. */
  #over = false
  /** @param method of the request: the answer to HEAD has no body. */
  constructor(method: string, listener: AnswerListener) {
    this.#method = method
    this.#listener = listener
  }

  /** Whether the head of the final answer has come. */
  get hasHead(): boolean {
    return this.#framing !== undefined
  }

  /** Whether another request may follow on the connection. */
  get keepAlive(): boolean {
    return this.#keepAlive
  }

  /** How long the other side says that it keeps an idle connection, in milliseconds. */
  get idleMs(): number | undefined {
    return this.#idleMs
  }

  /** Whether the answer is whole. */
  get done(): boolean {
    return this.#done
  }

  /** Whether the listener takes more, by its last word. */
  get more(): boolean {
    return this.#more
  }

  get trailers(): readonly string[] {
    return this.#chunks?.trailers ?? NO_TRAILERS
  }

  /** The listener hears nothing any more. */
  cancel(): void {
    this.#over = true
  }

  take(part: Buffer): void {
    if (part.length === 0 || this.#over) return
    if (!this.#listener.onPart(part, this.#place)) this.#more = false
  }

  /**
   * Takes the next bytes, which lie at `place` until it returns.
   * @returns how many of them belong to what follows, once it is done.
   * @throws {WireError} `BAD_ANSWER`, and what the listener throws.
   */
  read(bytes: Buffer, place: Place): number {
    this.#more = true
    this.#place = place
    let rest = bytes
    while (this.#framing === undefined) {
      const after = this.#readHead(rest)
      if (!after || this.#over) return 0
      rest = after
    }
    return this.#readBody(this.#framing, rest)
  }

  /** The other side sends no more. @throws {WireError} `CLOSED` if the answer is not whole. */
  end(): void {
    if (this.#framing !== 'close') throw new WireError('CLOSED', 'the other side closed it')
    this.#done = true
  }

  /** @returns what follows the head; undefined while it is not whole. */
  #readHead(bytes: Buffer): Buffer | undefined {
    const early = this.#early
    const all = early ? Buffer.concat([early, bytes]) : bytes
    const end = all.indexOf(END_OF_HEAD, early ? Math.max(0, early.length - 3) : 0)
    if ((end === -1 ? all.length : end) > MAX_HEAD_BYTES)
      throw new WireError('BAD_ANSWER', `its head is larger than ${MAX_HEAD_BYTES} bytes`)
    if (end === -1) {
      this.#early = early ? all : Buffer.from(bytes)
      return undefined
    }
    this.#early = undefined
    const head = parseResponseHead(all.toString('latin1', 0, end + 2), this.#method)
    if (head.status === 101) throw new WireError('BAD_ANSWER', 'it switches to a protocol that nobody asked for')
    if (head.status >= 200) {
      this.#framing = head.framing
      this.#left = head.length
      this.#keepAlive = head.keepAlive
      this.#idleMs = head.idleMs
      if (head.framing === 'chunked') this.#chunks = new ChunkedDecoder()
    }
    this.#listener.onHeaders(head.status, head.headers, head.reason)
    return all.subarray(end + 4)
  }

  #readBody(framing: Framing, bytes: Buffer): number {
    let taken = bytes.length
    if (framing === 'chunked') {
      taken = this.#chunks!.decode(bytes, this)
      this.#done = this.#chunks!.done
    } else if (framing === 'close') this.take(bytes)
    else {
      // Without a body there is nothing left to begin with.
      if (taken > this.#left) taken = this.#left
      this.#left -= taken
      this.take(taken < bytes.length ? bytes.subarray(0, taken) : bytes)
      this.#done = this.#left === 0
    }
    return bytes.length - taken
  }
}
