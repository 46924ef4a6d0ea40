import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { LaneRequest } from './lane-request.ts'
import { LaneResponse, type ResponseOwner } from './lane-response.ts'
import { type PlainRequest, readPlainRequest } from './plain-request.ts'

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
  /** Whether no connection takes another request. */
  readonly closing: boolean
  serve(request: IncomingMessage, response: LaneResponse): void
  /** For node:http, with all that has come on it. */
  handOver(socket: Socket): void
  /** It has sent nothing for too long. */
  overdue(socket: Socket): void
  gone(connection: LaneConnection): void
}

/** A client's connection as long as all that comes on it are plain requests, one at a time. */
export class LaneConnection implements ResponseOwner {
  readonly #socket: Socket
  readonly #lane: Lane
  #request: IncomingMessage | undefined
  #response: LaneResponse | undefined
  /** What came while a request was under way. */
  #early: Buffer | undefined
  #timeoutMs = 0

  readonly #onData = (bytes: Buffer): void => {
    if (!this.#response) {
      this.#take(bytes)
      return
    }
    this.#socket.pause()
    this.#early = this.#early ? Buffer.concat([this.#early, bytes]) : bytes
  }
  readonly #onEnd = (): void => {
    this.#socket.end()
  }
  readonly #onDrain = (): void => {
    this.#response?.drained()
  }
  readonly #onTimeout = (): void => {
    if (this.#response) return
    if (this.#request === undefined) this.#lane.overdue(this.#socket)
    else this.#socket.destroy()
  }
  readonly #onClose = (): void => {
    this.#lane.gone(this)
    const [request, response] = [this.#request, this.#response]
    if (!response) return
    request?.destroy()
    response.over()
  }

  constructor(socket: Socket, lane: Lane) {
    this.#socket = socket
    this.#lane = lane
    socket
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('drain', this.#onDrain)
      .on('timeout', this.#onTimeout)
      .on('close', this.#onClose)
    this.#expect(lane.settings.headTimeoutMs)
  }

  get idle(): boolean {
    return this.#response === undefined
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #expect(timeoutMs: number): void {
    if (this.#timeoutMs === timeoutMs) return
    this.#timeoutMs = timeoutMs
    this.#socket.setTimeout(timeoutMs)
  }

  #take(bytes: Buffer): void {
    const plain = readPlainRequest(bytes, this.#lane.settings.maxHeadBytes)
    if (plain) this.#serve(plain)
    else this.#leave(bytes)
  }

  #serve(plain: PlainRequest): void {
    const request = new LaneRequest(plain, this.#socket)
    const response = new LaneResponse(request, this, plain.keepAlive && !this.#lane.closing, this.#lane.settings.keepAliveMs)
    this.#request = request
    this.#response = response
    this.#lane.serve(request, response)
  }

  finished(response: LaneResponse): void {
    this.#response = undefined
    if (this.#socket.destroyed) return
    if (!response.leavesOpen || this.#lane.closing) {
      this.#socket.destroySoon()
      return
    }
    this.#expect(this.#lane.settings.keepAliveMs)
    const early = this.#early
    this.#early = undefined
    if (early) this.#leave(early)
  }

  /** What comes is not for here. */
  #leave(bytes: Buffer): void {
    const socket = this.#socket
    socket
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('drain', this.#onDrain)
      .off('timeout', this.#onTimeout)
      .off('close', this.#onClose)
    socket.setTimeout(0)
    this.#lane.gone(this)
    socket.unshift(bytes)
    this.#lane.handOver(socket)
    // It may have been paused.
    socket.resume()
  }
}
