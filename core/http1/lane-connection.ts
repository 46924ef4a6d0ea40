import type { Socket } from 'node:net'
import { type BodySource, LaneRequest } from './lane-request.ts'
import { LaneResponse, type ResponseOwner } from './lane-response.ts'
import { type PlainRequest, readPlainRequest } from './plain-request.ts'
import type { Place } from './read-buffer.ts'
import { type Reader, readBy } from './reading.ts'
import type { Singly } from './singly.ts'
import { disown, own, type SocketOwner } from './socket-owner.ts'

/** What connections go by; it may change while they last. */
export interface LaneSettings {
  readonly maxHeadBytes: number
  /** How long a client may take for its first request, and how long a connection may be idle after one, in milliseconds. */
  readonly headTimeoutMs: number
  readonly keepAliveMs: number
}

/** Whoever keeps the connections. */
export interface Lane {
  readonly settings: LaneSettings
  /** Is told of all requests. */
  readonly singly: Singly
  /** Whether no connection takes another request. */
  readonly closing: boolean
  serve(request: LaneRequest, response: LaneResponse): void
  /** For node:http, with all that has come on it. */
  handOver(socket: Socket): void
  /** It has sent nothing for too long. */
  overdue(socket: Socket): void
  /** It has ended in the middle of a request that has no answer yet. */
  brokenOff(socket: Socket): void
  gone(connection: LaneConnection): void
}

/** A client's connection as long as all that comes on it are plain requests, one at a time. */
export class LaneConnection implements SocketOwner, ResponseOwner, Reader, BodySource {
  readonly #socket: Socket
  readonly #lane: Lane
  #request: LaneRequest | undefined
  #response: LaneResponse | undefined
  /** Of the request's body, in bytes. */
  #left = 0
  /** What came behind the request that is under way. */
  #early: Buffer | undefined
  #timeoutMs = 0

  constructor(socket: Socket, lane: Lane) {
    this.#socket = socket
    this.#lane = lane
    readBy(socket, this)
    own(socket, this)
    socket.resume()
    this.#expect(lane.settings.headTimeoutMs)
  }

  get idle(): boolean {
    return this.#response === undefined && this.#left === 0
  }

  get inBody(): boolean {
    return this.#left > 0
  }

  get target(): Buffer | undefined {
    return this.#left > 0 ? this.#request!.roomFor(this.#left) : undefined
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #expect(timeoutMs: number): void {
    if (this.#timeoutMs === timeoutMs) return
    this.#timeoutMs = timeoutMs
    this.#socket.setTimeout(timeoutMs)
  }

  read(bytes: Buffer, place: Place): boolean {
    if (this.#left > 0) return this.#feed(bytes, place)
    if (this.#response) {
      this.#hold(bytes)
      return false
    }
    const plain = readPlainRequest(bytes, this.#lane.settings.maxHeadBytes)
    if (plain) this.#serve(plain)
    else this.#leave(Buffer.from(bytes))
    return true
  }

  #feed(bytes: Buffer, place: Place): boolean {
    const part = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes
    this.#left -= part.length
    const more = this.#request!.feed(part, place, this.#left === 0)
    if (part.length < bytes.length) this.#hold(bytes.subarray(part.length))
    if (this.idle) this.#next()
    return more && this.#early === undefined
  }

  /** For its turn, before which no more is read. */
  #hold(bytes: Buffer): void {
    this.#early = this.#early ? Buffer.concat([this.#early, bytes]) : Buffer.from(bytes)
  }

  #serve(plain: PlainRequest): void {
    this.#left = plain.left
    const request = new LaneRequest(plain, this.#socket, this)
    const { settings, closing } = this.#lane
    const isAlone = this.#lane.singly.begin()
    const keepAlive = plain.keepAlive && !closing
    const response = new LaneResponse(request, this, { keepAlive, keepAliveMs: settings.keepAliveMs, isAlone })
    this.#request = request
    this.#response = response
    this.#lane.serve(request, response)
  }

  /** More of the request's body may come. */
  resume(): void {
    if (this.#left > 0) this.#socket.resume()
  }

  ended(): void {
    // It may have come in the turn in which the answer was written.
    this.#response?.flush()
    if (this.#left === 0) this.#socket.end()
    else if (this.#response?.headersSent) this.#socket.destroy()
    else this.#lane.brokenOff(this.#socket)
  }

  drained(): void {
    this.#response?.drained()
  }

  overdue(): void {
    if (this.#response) return
    if (this.#request === undefined) this.#lane.overdue(this.#socket)
    else this.#socket.destroy()
  }

  closed(): void {
    this.#lane.gone(this)
    const [request, response] = [this.#request, this.#response]
    if (response || this.#left > 0) request?.destroy(this.#left > 0 ? brokenOff() : undefined)
    response?.over()
  }

  finished(response: LaneResponse): void {
    this.#response = undefined
    this.#lane.singly.end()
    if (this.#socket.destroyed) return
    if (!response.leavesOpen || this.#lane.closing) {
      this.#socket.destroySoon()
      return
    }
    this.#expect(this.#lane.settings.keepAliveMs)
    if (this.#left > 0) this.#request!.answered()
    else this.#next()
  }

  #next(): void {
    if (this.#lane.closing) {
      this.#socket.destroySoon()
      return
    }
    const early = this.#early
    this.#early = undefined
    if (early) this.#leave(early)
  }

  /** What comes is not for here. */
  #leave(bytes: Buffer): void {
    const socket = this.#socket
    readBy(socket, undefined)
    disown(socket)
    socket.setTimeout(0)
    this.#lane.gone(this)
    socket.pause()
    socket.unshift(bytes)
    this.#lane.handOver(socket)
    socket.resume()
  }
}

/** As node:http calls it. */
const brokenOff = (): Error => Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
