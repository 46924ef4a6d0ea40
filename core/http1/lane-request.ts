import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { PlainRequest } from './plain-request.ts'

/** What node:http's own parser uses. */
interface Parsed {
  _addHeaderLines(headers: string[], count: number): void
}

/** A plain request as node:http would have made it, but whole from the beginning. */
export class LaneRequest extends IncomingMessage {
  /** All of its body, if it has one. */
  readonly whole: Buffer | undefined

  constructor({ method, url, headers, body }: PlainRequest, socket: Socket) {
    super(socket)
    this.whole = body
    this.httpVersion = '1.1'
    this.httpVersionMajor = 1
    this.httpVersionMinor = 1
    this.method = method
    this.url = url
    ;(this as unknown as Parsed)._addHeaderLines(headers, headers.length)
    this.complete = true
  }

  /** Few look at the stream of a request whose body they can have, or which has none: it flows when one does. */
  override _read(): void {
    if (this.whole) this.push(this.whole)
    this.push(null)
  }
}

/** The body of a request that came with its head, all of it; undefined where it has to be read. */
export const wholeBodyOf = (request: IncomingMessage): Buffer | undefined =>
  request instanceof LaneRequest ? request.whole : undefined
