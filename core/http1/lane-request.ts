import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { PlainRequest } from './plain-request.ts'

/** What node:http's own parser uses, and what it does with a body that nobody has read when the request is answered. */
interface Parsed {
  _addHeaderLines(headers: string[], count: number): void
  _dump(): void
}

/** A plain request as node:http would have made it; its body may be there from the beginning, or be fed to it. */
export class LaneRequest extends IncomingMessage {
  /** All of its body, if that has come with the head. */
  readonly whole: Buffer | undefined
  readonly #resume: () => void

  /** `resume` is called when more of a body that is fed may come. */
  constructor({ method, url, headers, body, left }: PlainRequest, socket: Socket, resume: () => void) {
    super(socket)
    this.#resume = resume
    this.httpVersion = '1.1'
    this.httpVersionMajor = 1
    this.httpVersionMinor = 1
    this.method = method
    this.url = url
    this.#parsed._addHeaderLines(headers, headers.length)
    if (left === 0) {
      this.whole = body
      this.complete = true
    } else if (body) this.push(body)
  }

  get #parsed(): Parsed {
    return this as unknown as Parsed
  }

  /** Few look at the stream of a request whose body they can have, or which has none: it flows when one does. */
  override _read(): void {
    if (!this.complete) this.#resume()
    else {
      if (this.whole) this.push(this.whole)
      this.push(null)
    }
  }

  /** The next part of its body. @returns whether more may come for now. */
  feed(part: Buffer, isLast: boolean): boolean {
    const more = this.push(part)
    if (!isLast) return more
    this.complete = true
    this.push(null)
    return true
  }

  /** It was answered: what is left of its body is read, and forgotten. */
  forget(): void {
    this.#parsed._dump()
  }
}

/** The body of a request that came with its head, all of it; undefined where it has to be read. */
export const wholeBodyOf = (request: IncomingMessage): Buffer | undefined =>
  request instanceof LaneRequest ? request.whole : undefined
