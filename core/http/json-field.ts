/**
 * One top-level field of a JSON object, without parsing the rest: what is not asked for is jumped over, so that a prompt full
 * of images costs a search for its closing quote.
 */

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
/** Where a string ends is looked for byte by byte so far, then by a native search, whose call costs as much as some dozen bytes. */
const SHORT_STRING = 48
/** Where nothing was found, or what stands there is no JSON. */
const NONE = -1
/** RFC 8259, 3 and 6, but for `null`, which has no text. */
const LITERAL = /^(?:true|false|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/

/**
 * The value of the field `name` of the object that `bytes` hold: a string as it is, a number or a boolean as it is written.
 * Undefined for other values, and when there is no such field, no object, or no JSON (RFC 8259; a byte order mark is let pass).
 * Of several fields of that name the last counts, as with `JSON.parse`. Values that are jumped over are checked only for where
 * they end: what is wrong inside of them is for the service to say.
 */
export function jsonField(bytes: Buffer, name: string): string | undefined {
  const mark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
  let at = skipSpace(bytes, mark)
  if (bytes[at] !== OPEN_BRACE) return undefined
  const nameLength = Buffer.byteLength(name)
  let [from, to] = [NONE, NONE]
  at = skipSpace(bytes, at + 1)
  if (bytes[at] === CLOSE_BRACE) return undefined
  for (;;) {
    if (bytes[at] !== QUOTE) return undefined
    const keyEnd = skipString(bytes, at)
    if (keyEnd === NONE) return undefined
    const colon = skipSpace(bytes, keyEnd)
    if (bytes[colon] !== COLON) return undefined
    const begin = skipSpace(bytes, colon + 1)
    const end = skipValue(bytes, begin)
    if (end === NONE) return undefined
    if (isKey(bytes, at, keyEnd, name, nameLength)) [from, to] = [begin, end]
    at = skipSpace(bytes, end)
    if (bytes[at] === CLOSE_BRACE) break
    if (bytes[at] !== COMMA) return undefined
    at = skipSpace(bytes, at + 1)
  }
  // Something behind the object: no JSON.
  if (from === NONE || skipSpace(bytes, at + 1) < bytes.length) return undefined
  return bytes[from] === QUOTE ? stringAt(bytes, from, to) : literalAt(bytes, from, to)
}

function isKey(bytes: Buffer, from: number, to: number, name: string, nameLength: number): boolean {
  // An escape takes more bytes than what it stands for.
  if (to - from - 2 === nameLength) return bytes.toString('utf8', from + 1, to - 1) === name
  return to - from - 2 > nameLength && bytes.subarray(from, to).includes(BACKSLASH) && stringAt(bytes, from, to) === name
}

function stringAt(bytes: Buffer, from: number, to: number): string | undefined {
  try {
    return JSON.parse(bytes.toString('utf8', from, to)) as string
  } catch {
    return undefined
  }
}

function literalAt(bytes: Buffer, from: number, to: number): string | undefined {
  const text = bytes.toString('latin1', from, to)
  return LITERAL.test(text) ? text : undefined
}

/** Past the white space that stands at `at`. */
function skipSpace(bytes: Buffer, at: number): number {
  const { length } = bytes
  let i = at
  while (i < length) {
    const byte = bytes[i]!
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
    i++
  }
  return i
}

/** Past the string whose opening quote stands at `at`. */
function skipString(bytes: Buffer, at: number): number {
  const { length } = bytes
  let i = at + 1
  for (;;) {
    const far = Math.min(length, i + SHORT_STRING)
    while (i < far) {
      const byte = bytes[i]!
      if (byte === QUOTE) return i + 1
      i += byte === BACKSLASH ? 2 : 1
    }
    if (i >= length) return NONE
    const quote = bytes.indexOf(QUOTE, i)
    if (quote === NONE) return NONE
    // Escaped by an odd number of backslashes; those before `i` belong to escapes that have ended.
    let first = quote
    while (first > i && bytes[first - 1] === BACKSLASH) first--
    if ((quote - first) % 2 === 0) return quote + 1
    i = quote + 1
  }
}

/** Past the value that begins at `at`. */
function skipValue(bytes: Buffer, at: number): number {
  const byte = bytes[at]
  if (byte === QUOTE) return skipString(bytes, at)
  if (byte === OPEN_BRACE || byte === OPEN_BRACKET) return skipNested(bytes, at)
  const { length } = bytes
  let i = at
  while (i < length) {
    const byte = bytes[i]!
    if (byte === COMMA || byte === CLOSE_BRACE || byte <= 0x20) break
    i++
  }
  return i === at ? NONE : i
}

/** Past the object or array that begins at `at`, however deep it is. */
function skipNested(bytes: Buffer, at: number): number {
  const { length } = bytes
  let depth = 0
  let i = at
  while (i < length) {
    const byte = bytes[i]!
    if (byte === QUOTE) {
      i = skipString(bytes, i)
      if (i === NONE) return NONE
      continue
    }
    i++
    // The brackets differ from the braces, and all four from all other bytes of JSON outside of strings, in these bits.
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
    else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return i
  }
  return NONE
}
