import { type CollectedResponse, HestiaError, type Place } from 'hestia'
import type { Answer, RawHeaders } from './answer.ts'
import { incomingHeaders } from './incoming-headers.ts'

/** Keeps an answer in memory, up to `limit` bytes. */
export class Collector implements Answer {
  /** Ends with the answer. */
  readonly answer: Promise<Omit<CollectedResponse, 'decision'>>
  readonly #limit: number
  readonly #pseudonym: string
  readonly #chunks: Buffer[] = []
  #size = 0
  #head: Omit<CollectedResponse, 'decision' | 'body'> | undefined
  #resolve!: (answer: Omit<CollectedResponse, 'decision'>) => void
  #reject!: (error: HestiaError) => void
  #settled = false
  #closed: () => void = () => undefined

  constructor(limit: number, pseudonym: string) {
    this.#limit = limit
    this.#pseudonym = pseudonym
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get started(): boolean {
    return this.#head !== undefined
  }

  get complete(): boolean {
    return this.#settled
  }

  information(): void {}

  proceed(): void {}

  flush(): void {}

  head(status: number, statusText: string, raw: RawHeaders): boolean {
    const { headers, isEventStream } = incomingHeaders(raw, status, {
      mapping: undefined,
      pseudonym: this.#pseudonym,
      trailers: false,
      isMarked: false,
    })
    this.#head = { status, statusText, rawHeaders: headers }
    return isEventStream
  }

  data(part: Buffer, place: Place): boolean {
    this.#size += part.length
    if (this.#size > this.#limit) {
      const message = `The answer has more than the ${this.#limit} bytes that may be kept in memory; ask the service directly.`
      this.fail(new HestiaError('upstream_failed', { message, fields: { limit: this.#limit } }))
    } else this.#chunks.push(place.keep(part))
    return true
  }

  end(): void {
    this.#settled = true
    if (this.#head) this.#resolve({ ...this.#head, body: Buffer.concat(this.#chunks) })
    this.#closed()
  }

  fail(error: HestiaError): void {
    this.#settled = true
    this.#reject(error)
    this.#closed()
  }

  onceClosed(closed: () => void): void {
    this.#closed = closed
  }
}
