/** Where a value stands among bytes: from its first byte to behind its last. */
export interface Span {
  readonly from: number
  readonly to: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const [COMMA, COLON] = [0x2c, 0x3a]
const OPENING = new Set([0x5b, 0x7b])
const CLOSING = new Set([0x5d, 0x7d])

/** Where the string stands, with its quotes, that is the field `name` of a JSON object; the last one if there are several. */
export function spanInJson(bytes: Buffer, name: string): Span | undefined {
  let span: Span | undefined
  walkJson(bytes, (key, value) => {
    if (key === name && value) span = value
  })
  return span
}

/** The names of all fields of a JSON object, in their order; those that stand there twice come twice. */
export function fieldsInJson(bytes: Buffer): string[] {
  const names: string[] = []
  walkJson(bytes, (key, value) => {
    if (!value) names.push(key)
  })
  return names
}

/** Calls `found` with the name of each field of a JSON object, and again with the value if that is a string. */
function walkJson(bytes: Buffer, found: (key: string, value: Span | undefined) => void): void {
  let depth = 0
  let key: string | undefined
  let isValue = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) {
      const to = endOfString(bytes, i)
      if (depth === 1 && isValue && key !== undefined) found(key, { from: i, to })
      else if (depth === 1 && !isValue) {
        key = textAt(bytes, i, to)
        if (key !== undefined) found(key, undefined)
      }
      i = to - 1
    } else if (OPENING.has(byte)) depth++
    else if (CLOSING.has(byte)) depth--
    else if (depth === 1 && byte === COLON) isValue = true
    else if (depth === 1 && byte === COMMA) isValue = false
  }
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

function textAt(bytes: Buffer, from: number, to: number): string | undefined {
  try {
    return JSON.parse(bytes.toString('utf8', from, to)) as string
  } catch {
    return undefined
  }
}

/** Where the value of a field stands in a `multipart/form-data` body (RFC 7578); the last one if there are several. */
export function spanInForm(bytes: Buffer, boundary: string, name: string): Span | undefined {
  let span: Span | undefined
  walkForm(bytes, boundary, (field, value) => {
    if (field === name) span = value
  })
  return span
}

/** The names of all fields of a `multipart/form-data` body without files, in their order. */
export function fieldsInForm(bytes: Buffer, boundary: string): string[] {
  const names: string[] = []
  walkForm(bytes, boundary, (field) => names.push(field))
  return names
}

function walkForm(bytes: Buffer, boundary: string, found: (name: string, value: Span) => void): void {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  // The first delimiter has no line break before it.
  let part = bytes.indexOf(delimiter.subarray(2))
  while (part !== -1) {
    const from = bytes.indexOf('\r\n\r\n', part)
    const to = from === -1 ? -1 : bytes.indexOf(delimiter, from + 2)
    if (to === -1) return
    const name = to >= from + 4 ? nameOf(bytes.toString('utf8', part, from)) : undefined
    if (name !== undefined) found(name, { from: from + 4, to })
    part = to + 2
  }
}

function nameOf(head: string): string | undefined {
  const line = /^content-disposition:(.*)$/im.exec(head)?.[1] ?? ''
  return /;\s*filename\*?=/i.test(line)
    ? undefined
    : (/;\s*name="([^"]*)"/i.exec(line)?.[1] ?? /;\s*name=([^;\s"]+)/i.exec(line)?.[1])
}
