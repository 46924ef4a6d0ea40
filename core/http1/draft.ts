import type { Socket } from 'node:net'
import { type Characters, CR, IN_TOKEN, IN_VALUE, LF, SPACE } from './syntax.ts'

/** What is sent at once has room in it, as a rule, in bytes. */
const SIZE = 256 * 1024

/** So much text is written sooner by a loop than by a call that leaves JavaScript. */
const SHORT = 24

const COLON = 0x3a
const DIGITS = Buffer.from('0123456789abcdef')

const WAS_FULL = Symbol('was full')

/** A connection whose other side does not always keep up: it would take new memory each time. */
interface Slow {
  [WAS_FULL]?: true
}

/** Where all drafts lie that are sent at once, one behind the other. */
let slab = Buffer.allocUnsafeSlow(SIZE)
/** Where the next one begins. */
let tip = 0
let turn = 0

/** One that has no drafts in it yet. */
function renew(size: number): void {
  slab = Buffer.allocUnsafeSlow(Math.max(SIZE, size))
  tip = 0
}

const REFUSED = -1

/** Writes text and checks it, in one pass over its characters. @returns where it ends, or {@link REFUSED}. */
function put(text: string, from: number, allowed: Characters): number {
  const { length } = text
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (allowed[code] !== 1) return REFUSED
    slab[from + i] = code
  }
  return from + length
}

/** All were sent: what was not kept is no draft any more, and what it lay in is used anew. */
export function forgetDrafts(): void {
  tip = 0
  turn++
}

/**
 * Bytes that are put together in a turn of the event loop, to be sent at its end or before: in memory that is used again as soon
 * as all of them were, as new memory for each answer would cost more than what is written to it. Whatever is not sent by then has
 * to be kept.
 */
export class Draft {
  #bytes: Buffer = slab
  #from = tip
  #to = tip
  /** In which it was begun; undefined: it lies in memory of its own. */
  #turn: number | undefined = turn

  get length(): number {
    return this.#to - this.#from
  }

  /** Adds text, one byte for each character: only of characters up to U+00FF. */
  text(text: string): void {
    const { length } = text
    this.#reserve(length)
    if (length > SHORT) slab.write(text, tip, 'latin1')
    else for (let i = 0; i < length; i++) slab[tip + i] = text.charCodeAt(i)
    this.#advance(tip + length)
  }

  /** Adds text that must not be empty, if all of its characters are `allowed`; else the draft is of no more use. @returns whether they are. */
  only(text: string, allowed: Characters): boolean {
    if (typeof text !== 'string') return false
    this.#reserve(text.length)
    const to = put(text, tip, allowed)
    if (to <= tip) return false
    this.#advance(to)
    return true
  }

  /** Adds a header line, if name and value are such (RFC 9110, 5.1 and 5.5); else the draft is of no more use. @returns whether they are. */
  field(name: string, value: string): boolean {
    // What comes from a plugin may be anything.
    if (typeof name !== 'string' || typeof value !== 'string') return false
    this.#reserve(name.length + value.length + 4)
    let at = put(name, tip, IN_TOKEN)
    if (at <= tip) return false
    slab[at++] = COLON
    slab[at++] = SPACE
    at = put(value, at, IN_VALUE)
    if (at === REFUSED) return false
    slab[at++] = CR
    slab[at++] = LF
    this.#advance(at)
    return true
  }

  /** Adds the size of a chunk as a line (RFC 9112, 7.1). */
  size(bytes: number): void {
    let digits = 1
    for (let rest = bytes; rest > 15; rest = Math.floor(rest / 16)) digits++
    this.#reserve(digits + 2)
    for (let at = tip + digits - 1, rest = bytes; at >= tip; at--, rest = Math.floor(rest / 16)) slab[at] = DIGITS[rest % 16]!
    slab[tip + digits] = CR
    slab[tip + digits + 1] = LF
    this.#advance(tip + digits + 2)
  }

  /** Adds a copy of `part`. */
  add(part: Uint8Array): void {
    this.#reserve(part.length)
    slab.set(part, tip)
    this.#advance(tip + part.length)
  }

  /** Room for `size` more bytes at the tip of the slab, behind what is there; that moves if anything else stands between. */
  #reserve(size: number): void {
    this.#check()
    if (this.#bytes === slab && this.#to === tip && tip + size <= slab.length) return
    const { length } = this
    if (tip + length + size > slab.length) renew(length + size)
    this.#bytes.copy(slab, tip, this.#from, this.#to)
    this.#bytes = slab
    this.#turn = turn
    this.#from = tip
    this.#advance(tip + length)
  }

  #advance(to: number): void {
    this.#to = to
    tip = to
  }

  /** Somebody else's bytes may stand there by now. */
  #check(): void {
    if (this.#turn !== undefined && this.#turn !== turn) throw new Error('a draft was used after its turn')
  }

  /** It shall outlast the turn. */
  keep(): void {
    this.#check()
    if (this.#turn === undefined) return
    this.#bytes = Buffer.from(this.#bytes.subarray(this.#from, this.#to))
    this.#from = 0
    this.#to = this.#bytes.length
    this.#turn = undefined
  }

  /** Writes it to a socket, for good. */
  send(socket: Socket & Slow): void {
    this.#check()
    if (isLong(socket)) this.keep()
    socket.write(this.#bytes.subarray(this.#from, this.#to))
    if (this.#bytes !== slab || socket.writableLength === 0) return
    // It lies there until all of it has gone out.
    renew(0)
    socket[WAS_FULL] = true
  }
}

/** Whether what is written to it may be needed for longer than it stays what it is: it waits, is encrypted, or is looked at. */
const isLong = (socket: Socket & Slow): boolean =>
  socket.writableLength > 0 || socket[WAS_FULL] === true || 'encrypted' in socket || Object.hasOwn(socket, 'write')
