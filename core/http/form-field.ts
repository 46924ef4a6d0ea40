import type { Span } from './span.ts'

/** One field of a form: of the text parts of `multipart/form-data`, or of `application/x-www-form-urlencoded`. */

const CRLF = '\r\n'
/** The longest head of a part that is looked at, in bytes. */
const MAX_HEAD_BYTES = 16 * 1024

/**
 * The text of the part `name` (RFC 7578), of the last one if there are several; parts that are files are jumped over.
 * Undefined when there is none, or no boundary behind it.
 */
export function multipartField(bytes: Buffer, boundary: string, name: string): string | undefined {
  const span = multipartSpan(bytes, boundary, name)
  return span && bytes.toString('utf8', span.from, span.to)
}

/** Where that text stands. */
export function multipartSpan(bytes: Buffer, boundary: string, name: string): Span | undefined {
  let found: Span | undefined
  for (const { head, ...span } of multipartParts(bytes, boundary)) if (nameOf(head) === name) found = span
  return found
}

/** Head and place of each part that has a head and a boundary behind it. */
export function* multipartParts(bytes: Buffer, boundary: string): Generator<Span & { readonly head: string }> {
  const delimiter = Buffer.from(`${CRLF}--${boundary}`, 'latin1')
  // When nothing precedes the first delimiter it has no line end before it.
  const isFirst = bytes.subarray(0, delimiter.length - CRLF.length).equals(delimiter.subarray(CRLF.length))
  let at = isFirst ? -CRLF.length : bytes.indexOf(delimiter)
  if (at === -1) return
  for (;;) {
    const lineEnd = bytes.indexOf(CRLF, at + delimiter.length)
    const next = lineEnd === -1 ? -1 : bytes.indexOf(delimiter, lineEnd)
    if (next === -1) return
    const head = bytes.subarray(lineEnd, Math.min(next, lineEnd + MAX_HEAD_BYTES))
    const length = head.indexOf(CRLF + CRLF)
    if (length !== -1) yield { head: head.toString('utf8', 0, length), from: lineEnd + length + 2 * CRLF.length, to: next }
    at = next
  }
}

/** The name in the head of a text part; undefined for files. */
function nameOf(head: string): string | undefined {
  const disposition = /^content-disposition:[ \t]*form-data[ \t]*;(.*)$/im.exec(head)?.[1]
  if (disposition === undefined || /(?:^|;)[ \t]*filename\*?=/i.test(disposition)) return undefined
  const [, quoted, token] = /(?:^|;)[ \t]*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(disposition) ?? []
  // Browsers write these three percent-encoded (HTML, 4.10.21.8), others escape them.
  const unescaped = quoted?.replace(/\\(["\\])/g, '$1')
  return (unescaped ?? token)?.replace(/%(?:22|0D|0A)/gi, decodeURIComponent)
}

/** The value of the field `name`, of the last one if there are several (URL Standard, 5.1). */
export function urlencodedField(bytes: Buffer, name: string): string | undefined {
  let found: string | undefined
  for (let at = 0; at < bytes.length; ) {
    const ampersand = bytes.indexOf('&', at)
    const end = ampersand === -1 ? bytes.length : ampersand
    const pair = bytes.subarray(at, end)
    const equals = pair.indexOf('=')
    const key = equals === -1 ? pair : pair.subarray(0, equals)
    if (pair.length > 0 && decode(key) === name) found = equals === -1 ? '' : decode(pair.subarray(equals + 1))
    at = end + 1
  }
  return found
}

const decode = (bytes: Buffer): string => new URLSearchParams(`v=${bytes.toString('utf8')}`).get('v')!
