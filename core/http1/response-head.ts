import { WireError } from './errors.ts'
import { fieldsOf, HEADER_LINES, VALUE_CHARACTER } from './syntax.ts'

/** Where the body of an answer ends (RFC 9112, 6.3): there is none, after so many bytes, by chunks, or with the connection. */
export type Framing = 'none' | 'length' | 'chunked' | 'close'

export interface ResponseHead {
  readonly status: number
  readonly reason: string
  /** Names and values in turn, as they came. */
  readonly headers: string[]
  readonly framing: Framing
  /** Of the body, in bytes, with framing `length`. */
  readonly length: number
  /** Whether another request may follow on the connection. */
  readonly keepAlive: boolean
  /** How long the other side says that it keeps an idle connection, in milliseconds (`Keep-Alive: timeout=`). */
  readonly idleMs: number | undefined
}

const STATUS_LINE = new RegExp(`^HTTP/1\\.[01] [1-9]\\d\\d(?: ${VALUE_CHARACTER}*)?\\r\\n`)
const HEAD = new RegExp(`${STATUS_LINE.source}${HEADER_LINES}$`)
/** Where the minor version, the status and the reason stand in it. */
const MINOR = 7
const STATUS = 9
const REASON = 13

const bad = (message: string): WireError => new WireError('BAD_ANSWER', message)

/**
 * Reads the head of an answer, strictly: what two readers could take for different things is refused.
 * @param text the head with the end of its last line, one character for each byte.
 * @param method of the request, as the answer to HEAD has no body.
 * @throws {WireError} `BAD_ANSWER`.
 */
export function parseResponseHead(text: string, method: string): ResponseHead {
  if (!HEAD.test(text)) throw bad(faultOf(text))
  const end = text.indexOf('\r')
  const headers = fieldsOf(text, end + 2)
  const status = Number(text.slice(STATUS, REASON - 1))
  let length = -1
  let coding: string | undefined
  let keepAlive = text[MINOR] === '1'
  let idleMs: number | undefined
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    // Few headers matter here, and their lengths tell most others apart.
    switch (name.length) {
      case 10:
        if (/^connection$/i.test(name)) keepAlive = persists(headers[i + 1]!, keepAlive)
        else if (/^keep-alive$/i.test(name)) idleMs = timeoutOf(headers[i + 1]!)
        break
      case 14:
        if (/^content-length$/i.test(name)) length = lengthOf(headers[i + 1]!, length)
        break
      case 17:
        if (/^transfer-encoding$/i.test(name)) coding = coding === undefined ? headers[i + 1]! : `${coding}, ${headers[i + 1]!}`
        break
    }
  }
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') throw bad(`its transfer coding ${JSON.stringify(coding)} is not known`)
    if (length !== -1) throw bad('it has both a Content-Length and a Transfer-Encoding, which do not agree on where it ends')
  }
  let framing: Framing = length !== -1 ? 'length' : coding !== undefined ? 'chunked' : 'close'
  if (status < 200 || status === 204 || status === 304 || method === 'HEAD') framing = 'none'
  return {
    status,
    reason: text.slice(REASON, end),
    headers,
    framing,
    length: framing === 'length' ? length : 0,
    keepAlive: keepAlive && framing !== 'close',
    idleMs,
  }
}

function faultOf(text: string): string {
  if (STATUS_LINE.test(text)) return 'one of its header lines is not valid'
  const line = text.slice(0, text.indexOf('\r\n'))
  return `it begins with ${JSON.stringify(line.slice(0, 40))}, which is no status line`
}

function persists(connection: string, before: boolean): boolean {
  if (/(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(connection)) return false
  return before || /(?:^|,)[ \t]*keep-alive[ \t]*(?:,|$)/i.test(connection)
}

function timeoutOf(keepAlive: string): number | undefined {
  const seconds = /(?:^|[,\s])timeout=(\d{1,6})/i.exec(keepAlive)?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1000
}

function lengthOf(value: string, before: number): number {
  if (before !== -1) throw bad('it has more than one Content-Length')
  if (!/^\d{1,15}$/.test(value)) throw bad(`its Content-Length ${JSON.stringify(value)} is no length`)
  return Number(value)
}
