import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { HestiaError } from '../errors.ts'

/** What a request view is made of. */
export interface RequestParts {
  readonly id: string
  readonly method: string
  /** Path and query below the service, exactly as they came. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly clientAddress: string | undefined
  /** The body, still to be read or already there. */
  readonly body: IncomingMessage | Buffer | undefined
  /** Aborted when the client has left. */
  readonly signal: () => AbortSignal
}

/** A request as hooks and strategies see it; whatever costs something is worked out when it is looked at. */
export class RequestView {
  readonly id: string
  readonly method: string
  readonly target: string
  readonly headers: IncomingHttpHeaders
  /** Who asks; the address is that of the connection. */
  readonly client: { readonly address: string | undefined }
  /** Set by a `resolveUpstream` handler: the request neither wakes an instance nor keeps it awake. */
  passive = false
  readonly #signal: () => AbortSignal
  #body: IncomingMessage | Buffer | undefined
  #query: URLSearchParams | undefined
  #json: { readonly value: unknown } | undefined

  constructor(parts: RequestParts) {
    this.id = parts.id
    this.method = parts.method
    this.target = parts.target
    this.headers = parts.headers
    this.client = { address: parts.clientAddress }
    this.#body = parts.body
    this.#signal = parts.signal
  }

  /** The path below the service, with its percent-encoding, without the query. */
  get path(): string {
    const end = this.target.indexOf('?')
    return end === -1 ? this.target : this.target.slice(0, end)
  }

  get query(): URLSearchParams {
    const start = this.target.indexOf('?')
    this.#query ??= new URLSearchParams(start === -1 ? '' : this.target.slice(start + 1))
    return this.#query
  }

  /** Aborted when the client has left. */
  get signal(): AbortSignal {
    return this.#signal()
  }

  /** The body to send on: the client's stream, or the very bytes that were received. */
  get rawBody(): IncomingMessage | Buffer | undefined {
    return this.#body
  }

  /** Bytes of the body that are held in memory. */
  get heldBytes(): number {
    return Buffer.isBuffer(this.#body) ? this.#body.length : 0
  }

  /** The JSON body, for hooks and strategies that declare that they read it; undefined when there is none or it isn't JSON. */
  get body(): unknown {
    this.#json ??= { value: Buffer.isBuffer(this.#body) ? parse(this.#body) : undefined }
    return this.#json.value
  }

  /** Whether there is a JSON body that could be read. */
  get isJson(): boolean {
    return this.#body !== undefined && /^application\/(?:[^;\s]+\+)?json\b/i.test(this.headers['content-type'] ?? '')
  }

  /**
   * Holds the whole body in memory; what is forwarded are these bytes.
   * @throws {HestiaError} `body_too_large` beyond `limit` bytes, `invalid_request` when the client broke off.
   */
  async readBody(limit: number): Promise<void> {
    const stream = this.#body
    if (!stream || Buffer.isBuffer(stream)) return
    const tooLarge = () =>
      new HestiaError('body_too_large', {
        message: `A body that routing looks into may have at most ${limit} bytes.`,
        fields: { limit },
      })
    if (Number(this.headers['content-length']) > limit) throw tooLarge()
    const chunks: Buffer[] = []
    let size = 0
    try {
      for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        size += chunk.length
        if (size > limit) throw tooLarge()
        chunks.push(chunk)
      }
    } catch (thrown) {
      if (thrown instanceof HestiaError) throw thrown
      throw new HestiaError('invalid_request', { message: 'The client broke off in the middle of the body.', cause: thrown })
    }
    this.#body = Buffer.concat(chunks)
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}
