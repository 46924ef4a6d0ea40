/** How much is read at once, in bytes. */
export const READ_SIZE = 64 * 1024

/** Parts from this size on are not copied on any way, in bytes: a write of their own costs less. */
const LARGE = 16 * 1024

/** How many are kept to be used again: as many as a few large bodies have under way at once. */
const MOST_FREE = 16

/** Where bytes that were read lie, until the next ones are. */
export interface Place {
  /** A part of them for good: itself, or a copy. */
  keep(part: Buffer): Buffer
}

/** Whoever has read them has given them away already. */
export const FOR_GOOD: Place = { keep: (part) => part }

/** The next connection reads to the same place. */
export const FOR_NOW: Place = { keep: (part) => Buffer.from(part) }

const lenders = new WeakMap<Buffer, ReadBuffer>()
const free: ReadBuffer[] = []

/**
 * A buffer for who reads large parts, which are passed on instead of copied. It is used again once all of them were given back;
 * whoever never does that does no harm but that the next one has to be made.
 */
export class ReadBuffer implements Place {
  readonly bytes = Buffer.allocUnsafeSlow(READ_SIZE)
  /** Who is not done with it yet. */
  #users = 0

  /** One that nobody uses, for one user. */
  static take(): ReadBuffer {
    const buffer = free.pop() ?? new ReadBuffer()
    buffer.#users = 1
    return buffer
  }

  keep(part: Buffer): Buffer {
    if (!isLarge(part.length)) return Buffer.from(part)
    this.#users++
    lenders.set(part, this)
    return part
  }

  /** One user less. */
  release(): void {
    if (--this.#users === 0 && free.length < MOST_FREE) free.push(this)
  }
}

export const isLarge = (size: number): boolean => size >= LARGE

/**
 * What to call once a part has gone out, by who is sure to be the only one that has it: its bytes are then overwritten. Undefined
 * for those that lie nowhere else; it has to be the very object that was passed on.
 */
export const returnOf = (part: Buffer): (() => void) | undefined =>
  isLarge(part.length) && lenders.has(part) ? () => giveBack(part) : undefined

/** The same at once. */
export function giveBack(part: Buffer): void {
  const buffer = lenders.get(part)
  if (!buffer) return
  lenders.delete(part)
  buffer.release()
}
