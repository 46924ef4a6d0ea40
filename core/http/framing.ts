import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { HestiaError } from '../errors.ts'
import { requestId } from './request-id.ts'

/**
 * Finds requests that two parsers could split differently, beyond what Node's own parser refuses: more than one Host, no Host
 * in HTTP/1.1 (RFC 9112, 3.2), or a transfer coding other than `chunked` (RFC 9112, 6.1).
 */
export function framingError(request: IncomingMessage): HestiaError | undefined {
  const { rawHeaders, headers } = request
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  if (hosts > 1) return bad('The request has more than one Host header.')
  if (hosts === 0 && request.httpVersion === '1.1') return bad('The request has no Host header.')
  const coding = headers['transfer-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') return bad(`The transfer coding "${coding}" is not known here.`)
  return undefined
}

const bad = (message: string): HestiaError => new HestiaError('bad_request_framing', { message })

/**
 * Answers a request that is not served, in its turn behind those before it on the connection, which then ends: what follows on
 * it cannot be trusted.
 */
export function answerUnserved(response: ServerResponse, error: HestiaError, id: string): void {
  const body = JSON.stringify(error.body(id))
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-request-id': id,
    connection: 'close',
  }
  response.writeHead(error.statusCode, headers).end(body)
}

/**
 * What Node's parser refused, as an answer of ours; none behind requests that are still being answered: they get their answers
 * whole, then the connection ends.
 */
export function answerBrokenRequest(error: NodeJS.ErrnoException & { reason?: string }, socket: Duplex): void {
  const pending = pendingOn(socket)
  if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
  else if (pending?.req.complete) endBehind(pending, socket)
  else if (pending?.headersSent) socket.destroy()
  else answerRaw(socket, errorOf(error), requestId({ headers: {} } as IncomingMessage))
}

/** The answer that is due next on a connection. */
const pendingOn = (socket: Duplex): ServerResponse | undefined =>
  (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined

/** Node refuses whatever else comes on it, too. */
const ending = new WeakSet<Duplex>()

function endBehind(pending: ServerResponse, socket: Duplex): void {
  if (ending.has(socket)) return
  ending.add(socket)
  const afterwards = (): void => {
    const next = pendingOn(socket)
    if (next?.req.complete) next.once('close', afterwards)
    else socket.destroy()
  }
  pending.once('close', afterwards)
}

function errorOf(error: NodeJS.ErrnoException & { reason?: string }): HestiaError {
  const code: string = error.code ?? ''
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new HestiaError('headers_too_large', { message: 'The head of the request is larger than server.max_header_bytes.' })
    case 'HPE_INVALID_METHOD':
      return new HestiaError('method_not_implemented', {
        message: 'The method of the request is none that the HTTP parser knows.',
      })
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HestiaError('request_timeout', {
        message: 'The head of the request did not arrive within server.head_timeout_ms.',
      })
    default:
      return bad(`The request is not valid HTTP/1.1: ${error.reason ?? error.message}.`)
  }
}

/** Answers on the bare socket and ends the connection: what follows on it cannot be trusted. */
export function answerRaw(socket: Duplex, error: HestiaError, id: string): void {
  const body = JSON.stringify(error.body(id))
  socket.end(
    `HTTP/1.1 ${error.statusCode} ${error.code}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `X-Request-Id: ${id}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}
