import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Lane, LaneConnection, type LaneSettings } from './lane-connection.ts'
import type { LaneResponse } from './lane-response.ts'
import { adopt } from './reading.ts'
import { Singly } from './singly.ts'

/** Who is served, and how. */
export interface LaneOptions {
  /** As they are now; undefined while the lane is switched off. */
  settings(): LaneSettings | undefined
  serve(request: IncomingMessage, response: ServerResponse): void
  /** A client has sent nothing for too long. */
  overdue(socket: Socket): void
  /** A client has left in the middle of a request that has no answer yet. */
  brokenOff(socket: Socket): void
}

type Accept = (this: Server, socket: Socket) => void

/**
 * Serves plain requests without the parser and the writer of node:http, by the same objects and with the same bytes on the wire.
 * It never judges: whatever is out of the ordinary is left to node:http, connection and all, from its first byte on.
 */
export class FastLane implements Lane {
  readonly #server: Server
  readonly #options: LaneOptions
  /** What node:http does with a connection. */
  readonly #accept: Accept
  readonly #connections = new Set<LaneConnection>()
  #settings: LaneSettings
  #closing = false
  readonly singly = new Singly()

  /** Puts itself before `server`, for connections that come from now on. */
  constructor(server: Server, initial: LaneSettings, options: LaneOptions) {
    this.#server = server
    this.#settings = initial
    this.#options = options
    const [accept] = server.listeners('connection')
    this.#accept = accept as Accept
    server.off('connection', this.#accept)
    server.on('connection', (socket: Socket) => this.#take(socket))
  }

  #take(socket: Socket): void {
    const settings = this.#options.settings()
    const adopted = settings && adopt(socket)
    if (adopted) {
      this.#settings = settings
      this.#connections.add(new LaneConnection(adopted, this))
    } else this.handOver(socket)
  }

  get settings(): LaneSettings {
    return this.#settings
  }

  get closing(): boolean {
    return this.#closing
  }

  serve(request: IncomingMessage, response: LaneResponse): void {
    this.#options.serve(request, response)
  }

  handOver(socket: Socket): void {
    this.#accept.call(this.#server, socket)
  }

  overdue(socket: Socket): void {
    this.#options.overdue(socket)
  }

  brokenOff(socket: Socket): void {
    this.#options.brokenOff(socket)
  }

  gone(connection: LaneConnection): void {
    this.#connections.delete(connection)
  }

  /** Idle connections end now, the others after their request. */
  leave(): void {
    this.#closing = true
    for (const connection of this.#connections) if (connection.idle) connection.destroy()
  }

  /** The listener is there again. */
  stay(): void {
    this.#closing = false
  }

  /** Every connection ends. */
  destroy(): void {
    for (const connection of this.#connections) connection.destroy()
  }
}
