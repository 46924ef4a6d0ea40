import { type ClientRequest, type IncomingMessage, request as makeRequest } from 'node:http'
import type { Socket } from 'node:net'
import { type Carrier, FOR_GOOD, WireError } from 'hestia'
import type { Attempt } from './attempt.ts'
import type { RequestBody } from './request-body.ts'
import type { Upstream } from './upstreams.ts'

/** What is sent by `node:http`. */
export interface NodeRequest {
  readonly method: string
  readonly path: string
  /** Names and values in turn, without those that belong to the connection. */
  readonly headers: readonly string[]
  /** Protocols to switch to, as the client named them. */
  readonly upgrade: string | undefined
  /** Whether the body is sent only when the service asks for it with 100 (Continue). */
  readonly expects: boolean
  /** The trailer fields that the client has announced behind its body (RFC 9110, 6.5). */
  readonly trailer: string | undefined
  readonly body: RequestBody | Buffer | undefined
}

/** A service that knows nothing of `Expect` sends no 100: after this long the body goes out all the same (RFC 9110, 10.1.1). */
const CONTINUE_TIMEOUT_MS = 1000

/**
 * Sends what is no plain request: one that wants to switch protocols, where the service may refuse with an answer of its own,
 * one whose client waits with the body until the service wants it, and one with trailers. On a connection of its own.
 */
export function sendByNode(upstream: Upstream, request: NodeRequest, attempt: Attempt): void {
  let made: ClientRequest
  try {
    made = makeRequest({
      method: request.method,
      path: request.path,
      headers: headersOf(request) as never,
      createConnection: ((_options: unknown, created: (error: Error | null, socket?: Socket) => void) => {
        upstream.connections.connector.open((error, socket) => (socket ? created(null, socket) : created(error)), true)
      }) as never,
    })
  } catch (thrown) {
    attempt.onError(thrown as Error)
    return
  }
  new Exchanged(made, upstream, request, attempt).begin()
}

function headersOf({ headers, upgrade, expects, trailer, body }: NodeRequest): string[] {
  if (upgrade !== undefined) return [...headers, 'Connection', 'Upgrade', 'Upgrade', upgrade]
  const all = [...headers, ...(expects ? ['Expect', '100-continue'] : []), ...(trailer === undefined ? [] : ['Trailer', trailer])]
  if (all.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-length')) return all
  return Buffer.isBuffer(body) ? [...all, 'Content-Length', String(body.length)] : [...all, 'Transfer-Encoding', 'chunked']
}

/** Wires one `ClientRequest` to an attempt. */
class Exchanged implements Carrier {
  readonly #request: ClientRequest
  readonly #upstream: Upstream
  readonly #body: RequestBody | Buffer | undefined
  readonly #expects: boolean
  readonly #attempt: Attempt
  #response: IncomingMessage | undefined
  #bodyStarted = false
  #timer: NodeJS.Timeout | undefined

  constructor(request: ClientRequest, upstream: Upstream, { body, expects }: NodeRequest, attempt: Attempt) {
    this.#request = request
    this.#upstream = upstream
    this.#body = body
    this.#expects = expects
    this.#attempt = attempt
  }

  begin(): void {
    const request = this.#request
    const attempt = this.#attempt
    request
      .on('socket', () => this.#connected())
      .on('error', (error) => this.#fail(error))
      .on('information', (info) => attempt.onHeaders(info.statusCode, info.rawHeaders, info.statusMessage))
      .on('continue', () => this.#sendBody())
      .on('upgrade', (head, socket, first) => {
        clearTimeout(this.#timer)
        attempt.onSwitch(head, socket, first)
      })
      .on('response', (response) => this.#answer(response))
      .on('close', () => clearTimeout(this.#timer))
    if (this.#body) request.flushHeaders()
    else request.end()
  }

  #connected(): void {
    const { options } = this.#upstream
    this.#attempt.onConnect(this)
    if (!this.#body) this.#awaitHead()
    else if (this.#expects) this.#timer = setTimeout(() => this.#sendBody(), CONTINUE_TIMEOUT_MS)
    else this.#sendBody()
    if (options.idle_timeout_ms > 0)
      this.#request.once('response', (response) => {
        response.setTimeout(options.idle_timeout_ms, () =>
          response.destroy(new WireError('BODY_TIMEOUT', `silent for ${options.idle_timeout_ms} ms`)),
        )
      })
  }

  abort(): void {
    this.#request.destroy()
    if (this.#body && !Buffer.isBuffer(this.#body)) this.#body.destroy()
  }

  resume(): void {
    this.#response?.resume()
  }

  #awaitHead(): void {
    clearTimeout(this.#timer)
    const { first_byte_timeout_ms } = this.#upstream.options
    if (first_byte_timeout_ms === 0) return
    const late = new WireError('HEAD_TIMEOUT', `no head of an answer within ${first_byte_timeout_ms} ms`)
    this.#timer = setTimeout(() => this.#request.destroy(late), first_byte_timeout_ms)
  }

  #sendBody(): void {
    if (this.#bodyStarted || this.#request.destroyed) return
    this.#bodyStarted = true
    clearTimeout(this.#timer)
    if (this.#expects) this.#attempt.onContinue()
    this.#request.once('finish', () => this.#awaitHead())
    const body = this.#body
    if (body === undefined || Buffer.isBuffer(body)) this.#request.end(body)
    else {
      body.once('end', () => this.#end(body)).on('error', (error) => this.#request.destroy(error))
      body.pipe(this.#request, { end: false })
    }
  }

  /** The trailers are there once the body has ended. */
  #end(body: RequestBody): void {
    const { trailers } = body
    if (trailers.length > 0) this.#request.addTrailers(trailers)
    this.#request.end()
  }

  #answer(response: IncomingMessage): void {
    clearTimeout(this.#timer)
    const attempt = this.#attempt
    this.#response = response
    // Answered without the body having been asked for: nobody will send it.
    response
      .on('data', (chunk: Buffer) => {
        if (!attempt.onPart(chunk, FOR_GOOD)) response.pause()
      })
      .on('end', () => {
        attempt.onComplete(response.rawTrailers)
        if (!this.#request.writableFinished) this.#request.destroy()
      })
      .on('error', (error) => this.#fail(error))
      .on('close', () => {
        if (!response.complete) this.#fail(new WireError('CLOSED', 'closed in the middle of the answer'))
      })
    try {
      attempt.onHeaders(response.statusCode ?? 0, response.rawHeaders, response.statusMessage ?? '')
      process.nextTick(() => attempt.onLull())
    } catch (thrown) {
      this.#request.destroy()
      this.#fail(thrown as Error)
    }
  }

  #fail(error: Error): void {
    clearTimeout(this.#timer)
    this.#attempt.onError(error)
  }
}
