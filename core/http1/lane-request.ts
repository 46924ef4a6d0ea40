import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { PlainRequest } from './plain-request.ts'
import type { Place } from './read-buffer.ts'

/** What node:http's own parser uses, and what it does with a body that nobody has read when the request is answered. */
interface Parsed {
  _addHeaderLines(headers: string[], count: number): void
  /** Whether somebody has begun to read it. */
  _consuming: boolean
  /** Whether it was given up. */
  readonly _dumped?: boolean
  _dump(): void
}

/** Whoever feeds a body to a request. */
export interface BodySource {
  /** More of it may come. */
  resume(): void
}

/** Takes a body as it comes, in place of whoever reads the stream. */
export interface BodyTaker {
  /** Where the next part shall lie, of which there are at most `left` bytes. */
  room(left: number): Buffer
  /** A part has come, there or elsewhere; only there for now. */
  take(part: Buffer): void
  end(): void
}

const READS = ['data', 'readable', 'resume'] as const

/** A plain request as node:http would have made it; its body may be there from the beginning, or be fed to it. */
export class LaneRequest extends IncomingMessage {
  /** All of its body, if that has come with the head. */
  readonly whole: Buffer | undefined
  readonly #source: BodySource
  #taker: BodyTaker | undefined
  /** How many have ever listened to a body that is fed; who has left again may have kept what came before. */
  #readers = 0

  constructor({ method, url, headers, body, left }: PlainRequest, socket: Socket, source: BodySource) {
    super(socket)
    this.#source = source
    this.httpVersion = '1.1'
    this.httpVersionMajor = 1
    this.httpVersionMinor = 1
    this.method = method
    this.url = url
    this.#parsed._addHeaderLines(headers, headers.length)
    if (left === 0) {
      this.whole = body
      this.complete = true
      return
    }
    if (body) this.push(body)
    this.on('newListener', (name) => {
      if (name === 'data' || name === 'readable') this.#readers++
    })
  }

  get #parsed(): Parsed {
    return this as unknown as Parsed
  }

  /** Whether parts of its body may have come to more than one. */
  get isShared(): boolean {
    return this.#readers > 1
  }

  /** Few look at the stream of a request whose body they can have, or which has none: it flows when one does. */
  override _read(): void {
    if (!this.complete) {
      this.#parsed._consuming = true
      this.#source.resume()
    } else {
      if (this.whole) this.push(this.whole)
      this.push(null)
    }
  }

  /** The next part of its body, which lies at `place` for now. @returns whether more may come. */
  feed(part: Buffer, place: Place, isLast: boolean): boolean {
    const taker = this.#taker
    taker?.take(part)
    const more = taker || this.#parsed._dumped ? true : this.push(place.keep(part))
    if (!isLast) return more
    this.complete = true
    this.push(null)
    if (taker) this.#end(taker)
    return true
  }

  /** Where the next part shall lie, of which there are at most `left` bytes; undefined if that does not matter. */
  roomFor(left: number): Buffer | undefined {
    return this.#taker?.room(left)
  }

  /** Gives its body to `taker`. @returns false when somebody reads it already, as a stream, or wants to. */
  giveBody(taker: BodyTaker): boolean {
    if (this.readableFlowing !== null || READS.some((event) => this.listenerCount(event) > 0)) return false
    for (let part = this.read() as Buffer | null; part; part = this.read() as Buffer | null) taker.take(part)
    if (this.complete) this.#end(taker)
    else this.#taker = taker
    return true
  }

  #end(taker: BodyTaker): void {
    this.#taker = undefined
    // Its stream is at its end, too.
    this.resume()
    taker.end()
  }

  /** It was answered: what is left of its body is for who reads its stream already, or is forgotten. */
  answered(): void {
    if (this.#parsed._consuming && !this.#taker) return
    this.#taker = undefined
    this.#parsed._dump()
  }
}

/** Whether somebody else may have what is read from a request, so that it must not be overwritten. */
export const isShared = (request: IncomingMessage): boolean => request instanceof LaneRequest && request.isShared

/** The body of a request that came with its head, all of it; undefined where it has to be read. */
export const wholeBodyOf = (request: IncomingMessage): Buffer | undefined =>
  request instanceof LaneRequest ? request.whole : undefined
