import { WireError } from './errors.ts'
import { CR, fieldsOf, HEADER_LINES, LF, VALUE_CHARACTER } from './syntax.ts'

/** Longest line that gives the size of a chunk, and longest trailer section, in bytes. */
const MAX_SIZE_LINE = 1024
const MAX_TRAILERS = 16 * 1024

/** No such thing there. */
const NONE = -1
/** Of each byte its value as a hexadecimal digit. */
const DIGITS = Int8Array.from({ length: 256 }, (_, byte) => {
  const value = Number.parseInt(String.fromCharCode(byte), 16)
  return Number.isNaN(value) ? NONE : value
})
const MOST_DIGITS = 13

const TRAILERS = new RegExp(`^${HEADER_LINES}$`)
const SIZE_LINE = new RegExp(`^([0-9a-fA-F]{1,13})[ \\t]*(?:;${VALUE_CHARACTER}*)?$`)

const bad = (message: string): WireError => new WireError('BAD_ANSWER', message)

/** Who gets the parts of a body. */
export interface BodySink {
  /** Part of the body; only there for now. */
  take(part: Buffer): void
}

/** Takes the chunked coding (RFC 9112, 7.1) off a body that comes in parts. */
export class ChunkedDecoder {
  #state: 'size' | 'data' | 'end of data' | 'trailers' | 'done' = 'size'
  /** Bytes of the present chunk that are still to come. */
  #left = 0
  /** The beginning of a line whose end has not come yet. */
  #line = ''
  /** Names and values in turn; complete once it is done. */
  trailers: string[] = []

  get done(): boolean {
    return this.#state === 'done'
  }

  /**
   * Takes the next bytes.
   * @returns how many bytes belong to the body: fewer than there are when it ends with them.
   * @throws {WireError} `BAD_ANSWER`.
   */
  decode(bytes: Buffer, sink: BodySink): number {
    let at = 0
    while (at < bytes.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const end = Math.min(bytes.length, at + this.#left)
        this.#left -= end - at
        if (this.#left === 0) this.#state = 'end of data'
        sink.take(bytes.subarray(at, end))
        at = end
      } else {
        const next = this.#line === '' ? this.#takePlain(bytes, at) : NONE
        at = next === NONE ? this.#takeLine(bytes, at) : next
      }
    }
    return at
  }

  /** What nearly always stands there, whole: a size without an extension, or the end of a chunk. @returns where it ends. */
  #takePlain(bytes: Buffer, at: number): number {
    if (this.#state === 'end of data') {
      if (bytes[at] !== CR || bytes[at + 1] !== LF) return NONE
      this.#state = 'size'
      return at + 2
    }
    if (this.#state !== 'size') return NONE
    let size = 0
    let end = at
    for (const last = Math.min(bytes.length, at + MOST_DIGITS); end < last; end++) {
      const digit = DIGITS[bytes[end]!]!
      if (digit === NONE) break
      size = size * 16 + digit
    }
    if (end === at || bytes[end] !== CR || bytes[end + 1] !== LF) return NONE
    this.#begin(size)
    return end + 2
  }

  #begin(size: number): void {
    this.#left = size
    this.#state = size === 0 ? 'trailers' : 'data'
  }

  #takeLine(bytes: Buffer, at: number): number {
    const newline = bytes.indexOf(LF, at)
    const end = newline === -1 ? bytes.length : newline + 1
    const limit = this.#state === 'trailers' ? MAX_TRAILERS : MAX_SIZE_LINE
    if (this.#line.length + end - at > limit) throw bad('a line of its chunked coding is too long')
    this.#line += bytes.toString('latin1', at, end)
    if (newline === -1) return end
    if (!this.#line.endsWith('\r\n')) throw bad('a line of its chunked coding does not end with CR and LF')
    this.#read()
    return end
  }

  /** A whole line; of trailers, the whole section so far. */
  #read(): void {
    const line = this.#line
    if (this.#state === 'size') {
      const size = SIZE_LINE.exec(line.slice(0, -2))?.[1]
      if (size === undefined) throw bad(`${JSON.stringify(line.slice(0, 40))} is no size of a chunk`)
      this.#begin(Number.parseInt(size, 16))
    } else if (this.#state === 'end of data') {
      if (line !== '\r\n') throw bad('a chunk is longer than it says')
      this.#state = 'size'
    } else {
      if (line !== '\r\n' && !line.endsWith('\r\n\r\n')) return
      const lines = line.slice(0, -2)
      if (!TRAILERS.test(lines)) throw bad('one of its trailer lines is not valid')
      this.trailers = fieldsOf(lines, 0)
      this.#state = 'done'
    }
    this.#line = ''
  }
}
