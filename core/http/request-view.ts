import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { type BodyFormat, bodyFormat, fieldOf, jsonOf, withField } from './body-format.ts'
import type { Caller } from './caller.ts'
import { fieldNames } from './field-names.ts'
import { HeldBody, tooLarge } from './held-body.ts'
import type { TraceContext } from './trace-context.ts'

const NO_MODELS: readonly string[] = Object.freeze([])

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
  /** How long the client wants to wait for an instance at most, in milliseconds; undefined: as long as it takes. */
  readonly patienceMs?: number | undefined
  /** The trace that it is part of, if a plugin traces. */
  readonly trace?: TraceContext | null | undefined
  /** Who asks; null or absent while nobody finds out. */
  readonly caller?: Caller | null | undefined
  /** Asks for the body, when the client waits with it until it is asked. */
  readonly askForBody?: (() => void) | undefined
}

/** A request as hooks and strategies see it; whatever costs something is worked out when it is looked at. */
export class RequestView {
  readonly id: string
  readonly method: string
  readonly target: string
  readonly headers: IncomingHttpHeaders
  /** Who asks; the address is that of the connection. */
  readonly client: { readonly address: string | undefined }
  /** The trace that it is part of, if a plugin traces. */
  readonly trace: TraceContext | undefined
  /** How long the client wants to wait for an instance at most, in milliseconds; undefined: as long as it takes. */
  readonly patienceMs: number | undefined
  /** What it may do; null while nobody asks who it is. */
  readonly caller: Caller | null
  /** Set by a front door that finds it out: the names of the one model that is meant, by any of which a caller may be permitted. */
  models: readonly string[] = NO_MODELS
  /** Set by a `resolveUpstream` handler: the request neither wakes an instance nor keeps it awake. */
  passive = false
  readonly #signal: () => AbortSignal
  #body: IncomingMessage | Buffer | undefined
  /** Where it is held, if it was read here. */
  #held: HeldBody | undefined
  /** Whether somebody may have kept it. */
  #isShared = false
  readonly #askForBody: (() => void) | undefined
  #query: URLSearchParams | undefined
  #format: { readonly is: BodyFormat } | undefined
  #json: { readonly value: unknown } | undefined

  constructor(parts: RequestParts) {
    this.id = parts.id
    this.method = parts.method
    this.target = parts.target
    this.headers = parts.headers
    this.client = { address: parts.clientAddress }
    this.patienceMs = parts.patienceMs
    this.trace = parts.trace ?? undefined
    this.caller = parts.caller ?? null
    this.#body = parts.body
    this.#signal = parts.signal
    this.#askForBody = parts.askForBody
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

  /** The body: the client's stream, or the very bytes that were received. */
  get rawBody(): IncomingMessage | Buffer | undefined {
    this.#isShared = true
    return this.#body
  }

  /** The same for whoever sends it on, and says with `forgetBody` that it was. */
  get bodyToSend(): IncomingMessage | Buffer | undefined {
    return this.#body
  }

  get hasBody(): boolean {
    return this.#body !== undefined
  }

  /** The request is over: if nobody else has the bytes that are held, their memory is used for others. */
  forgetBody(): void {
    if (!this.#held) return
    if (!this.#isShared) this.#held.release()
    this.#held = undefined
    this.#body = undefined
  }

  /** Bytes of the body that are held in memory. */
  get heldBytes(): number {
    return Buffer.isBuffer(this.#body) ? this.#body.length : 0
  }

  /** The value of a cookie, as the client sent it; undefined without one. */
  cookie(name: string): string | undefined {
    for (const pair of (this.headers.cookie ?? '').split(';')) {
      const equals = pair.indexOf('=')
      if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
    }
    return undefined
  }

  /**
   * One top-level field of the body, found without parsing the rest: of a JSON object (strings as they are, numbers and
   * booleans as they are written), of a form, or of the text parts of a multipart form. Of several of one name it is the last.
   * Like `body` it is for hooks and strategies that declare that they read it; undefined when there is no such field.
   */
  field(name: string): string | undefined {
    return Buffer.isBuffer(this.#body) ? fieldOf(this.#body, this.#bodyFormat, name) : undefined
  }

  /** The body with another text in place of `field(name)`; undefined when there is none, or in a form that is not multipart. */
  withField(name: string, text: string): Buffer | undefined {
    return Buffer.isBuffer(this.#body) ? withField(this.#body, this.#bodyFormat, name, text) : undefined
  }

  /** Names of all fields of the body; undefined where another reader could see other ones. */
  get fieldNames(): readonly string[] | undefined {
    return Buffer.isBuffer(this.#body) ? fieldNames(this.#body, this.#bodyFormat) : undefined
  }

  /** The JSON body, for hooks and strategies that declare that they read it; undefined when there is none or it isn't JSON. */
  get body(): unknown {
    this.#json ??= { value: Buffer.isBuffer(this.#body) ? jsonOf(this.#body, this.#bodyFormat) : undefined }
    return this.#json.value
  }

  /** Whether there is a body that `field` or `body` can make something of. */
  get hasReadableBody(): boolean {
    return this.#body !== undefined && this.#bodyFormat !== undefined
  }

  get #bodyFormat(): BodyFormat {
    this.#format ??= { is: bodyFormat(this.headers) }
    return this.#format.is
  }

  /**
   * Holds the whole body in memory; what is forwarded are these bytes. Answers no promise when it is there already.
   * @throws {HestiaError} `body_too_large` beyond `limit` bytes, `invalid_request` when the client broke off; also as the promise's reason.
   */
  readBody(limit: number): Promise<void> | undefined {
    const body = this.#body
    if (!body) return undefined
    if (Number(this.headers['content-length']) > limit) throw tooLarge(limit)
    return Buffer.isBuffer(body) ? undefined : this.#read(body, limit)
  }

  async #read(stream: IncomingMessage, limit: number): Promise<void> {
    this.#askForBody?.()
    const held = new HeldBody(stream, Number(this.headers['content-length']), limit)
    await held.read
    this.#held = held
    this.#body = held.bytes
  }
}
