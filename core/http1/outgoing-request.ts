import type { Readable } from 'node:stream'
import { Draft } from './draft.ts'
import { WireError } from './errors.ts'
import { isLarge } from './read-buffer.ts'
import { IN_TARGET, IN_TOKEN } from './syntax.ts'

/** A request as it goes out; a `Content-Length` among its headers is that of its body. */
export interface OutgoingRequest {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly host: string
  /** Names and values in turn, without `Host` and those that belong to the connection. */
  readonly headers: readonly string[]
  readonly body: Readable | Buffer | null
  /** Called when a body that is a Buffer has gone out, or can't any more; maybe never when it was not sent at all. */
  readonly sent?: (() => void) | undefined
  /** Longest time from the end of the request until the head of its answer, in milliseconds; 0 is any. */
  readonly headTimeoutMs: number
  /** Longest silence in the middle of the answer, in milliseconds; 0 is any. */
  readonly bodyTimeoutMs: number
}

/** Methods whose requests have a body as a rule: none is said to be empty (RFC 9110, 8.6). */
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH'])

const KEEP_ALIVE = 'Connection: keep-alive\r\n'
const END = '\r\n'

const bad = (message: string): WireError => new WireError('BAD_REQUEST', message)

/**
 * The head of a request on a connection that is kept, and its body if that is a small one.
 * @throws {WireError} `BAD_REQUEST` for what would say something else on the wire than it does here.
 */
export function draftRequest(request: OutgoingRequest): Draft {
  const { method, target, host, headers } = request
  const draft = new Draft()
  if (!draft.only(method, IN_TOKEN)) throw bad(`${JSON.stringify(method)} is no method`)
  draft.text(' ')
  if (!draft.only(target, IN_TARGET)) throw bad('the path has characters that must be percent-encoded')
  draft.text(' HTTP/1.1\r\n')
  if (!draft.field('Host', host)) throw bad('the Host header has characters that no header may have')
  draft.text(KEEP_ALIVE)
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const value = headers[i + 1]!
    if (!draft.field(name, value)) throw bad(faultOf(name))
  }
  draft.text(framingOf(request))
  if (hasSmallBody(request)) draft.add(request.body)
  return draft
}

function faultOf(name: string): string {
  const isName = new Draft().only(name, IN_TOKEN)
  return isName ? `the header ${name} has characters that no header may have` : `${JSON.stringify(name)} is no name of a header`
}

/** The last lines of the head. */
function framingOf(request: OutgoingRequest): string {
  const { method, body } = request
  if (hasLength(request)) return END
  if (Buffer.isBuffer(body)) return `Content-Length: ${body.length}\r\n\r\n`
  if (body) return 'Transfer-Encoding: chunked\r\n\r\n'
  return WITH_BODY.has(method) ? 'Content-Length: 0\r\n\r\n' : END
}

/** Whether its body is in the draft. */
export const hasSmallBody = (request: OutgoingRequest): request is OutgoingRequest & { readonly body: Buffer } =>
  Buffer.isBuffer(request.body) && !isLarge(request.body.length)

/** Whether its headers say how long its body is. */
export function hasLength({ headers }: OutgoingRequest): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (name.length === 14 && name.toLowerCase() === 'content-length') return true
  }
  return false
}
