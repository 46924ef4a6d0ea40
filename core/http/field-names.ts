import { type BodyFormat, isJson } from './body-format.ts'
import { multipartParts } from './form-field.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const [COMMA, COLON] = [0x2c, 0x3a]
const OPENING = new Set([0x5b, 0x7b])
const CLOSING = new Set([0x5d, 0x7d])

/**
 * The names of all top-level fields of a body, files included, in their order; those that stand there twice come twice. Undefined
 * where another reader could see other ones: this is for those who must know what a service will make of a body.
 */
export function fieldNames(bytes: Buffer, format: BodyFormat): readonly string[] | undefined {
  if (format?.type === 'multipart') return multipartNames(bytes, format.boundary)
  return isJson(bytes, format) ? jsonNames(bytes) : undefined
}

function jsonNames(bytes: Buffer): string[] | undefined {
  const names: string[] = []
  let depth = 0
  let isValue = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) {
      const to = endOfString(bytes, i)
      if (depth === 1 && !isValue) {
        const name = stringAt(bytes, i, to)
        if (name === undefined) return undefined
        names.push(name)
      }
      i = to - 1
    } else if (OPENING.has(byte)) {
      // Some readers are content with the first of several objects.
      if (depth++ === 0) isValue = false
    } else if (CLOSING.has(byte)) depth--
    else if (depth === 1 && byte === COLON) isValue = true
    else if (depth === 1 && byte === COMMA) isValue = false
  }
  return names
}

/** Behind the closing quote, or the end of all where there is none. */
function endOfString(bytes: Buffer, from: number): number {
  let quote = bytes.indexOf(QUOTE, from + 1)
  while (quote !== -1) {
    let first = quote
    while (bytes[first - 1] === BACKSLASH) first--
    if ((quote - first) % 2 === 0) return quote + 1
    quote = bytes.indexOf(QUOTE, quote + 1)
  }
  return bytes.length
}

function stringAt(bytes: Buffer, from: number, to: number): string | undefined {
  try {
    return JSON.parse(bytes.toString('utf8', from, to)) as string
  } catch {
    return undefined
  }
}

/** A disposition as every reader understands it: with one name, without escapes. */
const PLAIN = /^content-disposition: *form-data; *name="([^"\\%]*)"(?:; *filename="[^"]*")?$/i

function multipartNames(bytes: Buffer, boundary: string): string[] | undefined {
  const names: string[] = []
  for (const { head } of multipartParts(bytes, boundary)) {
    const [, ...lines] = head.split('\r\n')
    const [line = '', ...more] = lines.filter((other) => !/^content-type:[^\r\n]*$/i.test(other))
    const name = more.length === 0 ? PLAIN.exec(line)?.[1] : undefined
    if (name === undefined) return undefined
    names.push(name)
  }
  // One at the begin of each part and one behind the last: what else looks like one is one to a reader who minds line ends less.
  return count(bytes, `--${boundary}`) === names.length + 1 ? names : undefined
}

function count(bytes: Buffer, text: string): number {
  let found = 0
  for (let at = bytes.indexOf(text, 0, 'latin1'); at !== -1; at = bytes.indexOf(text, at + text.length, 'latin1')) found++
  return found
}
