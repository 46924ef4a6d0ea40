import type { Readable } from 'node:stream'
import { Draft } from './draft.ts'
import { WireError } from './errors.ts'
import { isName, NOT_IN_TARGET, NOT_IN_VALUE, TOKEN } from './syntax.ts'

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

/** Bodies up to this size are copied behind their head, in bytes. */
const SMALL = 16 * 1024

const bad = (message: string): WireError => new WireError('BAD_REQUEST', message)

/**
 * The head of a request on a connection that is kept, and its body if that is a small one.
 * @throws {WireError} `BAD_REQUEST` for what would say something else on the wire than it does here.
 */
export function draftRequest(request: OutgoingRequest): Draft {
  const head = headOf(request)
  const draft = new Draft()
  draft.text(head)
  if (hasSmallBody(request)) draft.add(request.body)
  return draft
}

/** One character for each byte. */
function headOf(request: OutgoingRequest): string {
  const { method, target, host, headers, body } = request
  if (!TOKEN.test(method)) throw bad(`${JSON.stringify(method)} is no method`)
  if (NOT_IN_TARGET.test(target)) throw bad('the path has characters that must be percent-encoded')
  if (NOT_IN_VALUE.test(host)) throw bad('the Host header has characters that no header may have')
  let head = `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive\r\n`
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const value = headers[i + 1]!
    if (!isName(name)) throw bad(`${JSON.stringify(name)} is no name of a header`)
    if (NOT_IN_VALUE.test(value)) throw bad(`the header ${name} has characters that no header may have`)
    head += `${name}: ${value}\r\n`
  }
  if (hasLength(request)) return `${head}\r\n`
  if (Buffer.isBuffer(body)) return `${head}Content-Length: ${body.length}\r\n\r\n`
  if (body) return `${head}Transfer-Encoding: chunked\r\n\r\n`
  return WITH_BODY.has(method) ? `${head}Content-Length: 0\r\n\r\n` : `${head}\r\n`
}

/** Whether its body is in the draft. */
export const hasSmallBody = (request: OutgoingRequest): request is OutgoingRequest & { readonly body: Buffer } =>
  Buffer.isBuffer(request.body) && request.body.length <= SMALL

/** Whether its headers say how long its body is. */
export function hasLength({ headers }: OutgoingRequest): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (name.length === 14 && name.toLowerCase() === 'content-length') return true
  }
  return false
}
