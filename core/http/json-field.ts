import { mayHoldKey } from './key-scan.ts'
import { searchedKey } from './searched-key.ts'
import type { Span } from './span.ts'

/**
 * One top-level field of a JSON object, found without parsing the object. It is read from its end: there the last of several
 * fields of one name is met first, which is the one that `JSON.parse` keeps, and nothing in front of it matters. Only a field
 * near the start is looked for there, if a search through the rest can tell that no other has its name.
 */

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
/** Where the ends of nested values and strings can be. */
const MARKS = [QUOTE, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET]
/** No such place. */
const NONE = -1
/** What is nearer than this many bytes is found sooner one by one, what is farther by a native search. */
const NEAR = 8
/** How far from the start a field is looked for from there, in bytes. */
const HEAD = 1024
/** Most values that decide are shorter than this, in bytes: they end before a native search has begun. */
const SHORT = 64
/** RFC 8259, 3 and 6, but for `null`, which has no text. */
const LITERAL = /^(?:true|false|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/
/** What may follow a value. */
const FOLLOWS = /[\s,}]/

/**
 * The value of the field `name` of the object that `bytes` hold: a string as it is, a number or a boolean as it is written.
 * Undefined for other values, and when there is no such field, no object, or no JSON (RFC 8259; a byte order mark may precede).
 * No more is looked at than is needed to find it: whether the rest is JSON is for the service to say.
 */
export function jsonField(bytes: Buffer, name: string): string | undefined {
  const span = jsonSpan(bytes, name)
  return span && (bytes[span.from] === QUOTE ? stringAt(bytes, span.from, span.to) : literalAt(bytes, span.from, span.to))
}

/** Where the value of the field `name` stands, strings with their quotes; as {@link jsonField}. */
export function jsonSpan(bytes: Buffer, name: string): Span | undefined {
  const brace = spaceAfter(bytes, bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0)
  let end = spaceBefore(bytes, bytes.length)
  if (bytes[brace] !== OPEN_BRACE || bytes[end - 1] !== CLOSE_BRACE) return undefined
  const early = soleKey(bytes, brace, name)
  if (early !== NONE) return valueAfter(bytes, early)
  const nameLength = Buffer.byteLength(name)
  do {
    // Behind the value is a comma or the brace that closes the object.
    const to = spaceBefore(bytes, end - 1)
    const from = valueBefore(bytes, to)
    if (from <= brace) return undefined
    const colon = spaceBefore(bytes, from) - 1
    const keyEnd = spaceBefore(bytes, colon)
    if (bytes[colon] !== COLON || bytes[keyEnd - 1] !== QUOTE) return undefined
    const key = stringBefore(bytes, keyEnd)
    if (key <= brace) return undefined
    if (isName(bytes, key, keyEnd, name, nameLength)) return { from, to }
    end = spaceBefore(bytes, key)
  } while (bytes[end - 1] === COMMA)
  return undefined
}

/** Where, near the start, the key of the object ends whose name nothing behind it can have; `NONE` if that isn't sure. */
function soleKey(bytes: Buffer, brace: number, name: string): number {
  const searched = searchedKey(name)
  // More often than not it is the first one.
  const first = spaceAfter(bytes, brace + 1)
  const key = searched.isAt(bytes, first) ? first : bytes.subarray(0, brace + HEAD).indexOf(searched.bytes)
  if (key === NONE) return NONE
  const end = key + searched.bytes.length
  if (bytes[spaceAfter(bytes, end)] !== COLON || !isInObject(bytes, brace, key)) return NONE
  return mayHoldKey(bytes, end, name) ? NONE : end
}

/** Whether the object that begins at `brace` is what `at` is in: nothing nested in it, and no string. */
function isInObject(bytes: Buffer, brace: number, at: number): boolean {
  let depth = 0
  let isInside = false
  for (let i = brace; i < at; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) isInside = !isInside
    else if (isInside) i += byte === BACKSLASH ? 1 : 0
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--
  }
  return depth === 1 && !isInside
}

/** Where the value of the key stands that ends before `keyEnd`. */
function valueAfter(bytes: Buffer, keyEnd: number): Span | undefined {
  const from = spaceAfter(bytes, spaceAfter(bytes, keyEnd) + 1)
  if (bytes[from] !== QUOTE) {
    const text = bytes.toString('latin1', from, from + HEAD)
    return { from, to: from + Math.max(0, text.search(FOLLOWS)) }
  }
  for (let quote = from; ; ) {
    quote = quoteAfter(bytes, quote)
    if (quote === NONE) return undefined
    if (isEscaped(bytes, quote)) continue
    const next = bytes[spaceAfter(bytes, quote + 1)]
    return next === COMMA || next === CLOSE_BRACE ? { from, to: quote + 1 } : undefined
  }
}

/** Where the next quote stands behind `at`, escaped or not. */
function quoteAfter(bytes: Buffer, at: number): number {
  const far = Math.min(bytes.length, at + SHORT)
  for (let i = at + 1; i < far; i++) if (bytes[i] === QUOTE) return i
  return bytes.indexOf(QUOTE, far)
}

/** Whether an odd number of backslashes stands before `at`. */
function isEscaped(bytes: Buffer, at: number): boolean {
  let first = at
  while (first > 0 && bytes[first - 1] === BACKSLASH) first--
  return (at - first) % 2 === 1
}

function isName(bytes: Buffer, from: number, to: number, name: string, nameLength: number): boolean {
  const length = to - from - 2
  if (length === nameLength && bytes.toString('utf8', from + 1, to - 1) === name) return true
  // An escape takes more bytes than what it stands for.
  return length > nameLength && bytes.subarray(from, to).includes(BACKSLASH) && stringAt(bytes, from, to) === name
}

function stringAt(bytes: Buffer, from: number, to: number): string | undefined {
  if (isAsWritten(bytes, from + 1, to - 1)) return bytes.toString('latin1', from + 1, to - 1)
  try {
    return JSON.parse(bytes.toString('utf8', from, to)) as string
  } catch {
    return undefined
  }
}

/** Whether all that stands there is printable ASCII, and no backslash. */
function isAsWritten(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!
    if (byte < 0x20 || byte > 0x7e || byte === BACKSLASH) return false
  }
  return true
}

function literalAt(bytes: Buffer, from: number, to: number): string | undefined {
  const text = bytes.toString('latin1', from, to)
  return LITERAL.test(text) ? text : undefined
}

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/** Where white space that begins at `at` ends. */
function spaceAfter(bytes: Buffer, at: number): number {
  let i = at
  while (isSpace(bytes[i])) i++
  return i
}

/** Where white space that ends before `end` begins. */
function spaceBefore(bytes: Buffer, end: number): number {
  let i = end
  while (i > 0 && isSpace(bytes[i - 1])) i--
  return i
}

/** Where the value begins that ends before `end`; `NONE` if there is none. */
function valueBefore(bytes: Buffer, end: number): number {
  const last = bytes[end - 1]
  if (last === QUOTE) return stringBefore(bytes, end)
  if (last === CLOSE_BRACE || last === CLOSE_BRACKET) return nestedBefore(bytes, end)
  let i = end
  while (i > 0 && isLiteral(bytes[i - 1]!)) i--
  return i === end ? NONE : i
}

/** Whether a byte may be part of a number or a word: letters, digits, `+`, `-` and `.`. */
const isLiteral = (byte: number): boolean =>
  (byte >= 0x61 && byte <= 0x7a) ||
  (byte >= 0x30 && byte <= 0x39) ||
  byte === 0x2b ||
  byte === 0x2d ||
  byte === 0x2e ||
  byte === 0x45

/** Where the string begins whose closing quote stands before `end`: at the nearest quote that is not escaped. */
function stringBefore(bytes: Buffer, end: number): number {
  let quote = end - 1
  for (;;) {
    const near = Math.max(0, quote - NEAR)
    do quote--
    while (quote >= near && bytes[quote] !== QUOTE)
    if (quote < near) quote = quote < 0 ? NONE : bytes.lastIndexOf(QUOTE, quote)
    if (quote === NONE) return NONE
    if (!isEscaped(bytes, quote)) return quote
  }
}

/** Where the object or array begins that ends before `end`, however deep it is. */
function nestedBefore(bytes: Buffer, end: number): number {
  const behind = MARKS.map(() => bytes.length)
  let depth = 0
  let i = end - 1
  let near = i - NEAR
  while (i >= 0) {
    if (i < near) i = markBefore(bytes, i, behind)
    if (i < 0) return NONE
    const byte = bytes[i]!
    // Quotes, and what has the bits that only braces, brackets, `Y`, `y`, `_` and DEL share.
    if (byte === QUOTE || (byte & 0xd9) === 0x59) {
      if (byte === QUOTE) i = stringBefore(bytes, i + 1)
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth++
      else if ((byte === OPEN_BRACE || byte === OPEN_BRACKET) && --depth === 0) return i
      near = i - NEAR
    }
    i--
  }
  return NONE
}

/** Where the nearest quote, brace or bracket stands, from `at` on backwards; `behind` remembers what was found of each. */
function markBefore(bytes: Buffer, at: number, behind: number[]): number {
  let nearest = NONE
  for (let kind = 0; kind < MARKS.length; kind++) {
    if (behind[kind]! > at) behind[kind] = bytes.lastIndexOf(MARKS[kind]!, at)
    if (behind[kind]! > nearest) nearest = behind[kind]!
  }
  return nearest
}
