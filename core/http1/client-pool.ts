import type { Socket } from 'node:net'
import type { AnswerListener } from './answer-listener.ts'
import { ClientConnection, type Keeper } from './client-connection.ts'
import type { Opened } from './connector.ts'
import type { Draft } from './draft.ts'
import { WireError } from './errors.ts'
import { draftRequest, type OutgoingRequest } from './outgoing-request.ts'
import { FOR_GOOD } from './read-buffer.ts'
import { readBy } from './reading.ts'

/** How long an idle connection is kept if the other side says nothing, and at most, in milliseconds. */
const IDLE_MS = 4000
const LONGEST_IDLE_MS = 600_000
/** So much earlier than the other side says, as both can't know of each other at once. */
const MARGIN_MS = 1000
/** How often idle connections are looked at, in milliseconds. */
const SWEEP_MS = 1000

/** Opens a connection, TLS included. */
export type Connect = (opened: Opened) => void

/** Connections to one service, as many as there are requests at once; the one used last is used next. */
export class ClientPool implements Keeper {
  readonly #connect: Connect
  readonly #idle: ClientConnection[] = []
  readonly #all = new Set<ClientConnection>()
  #sweeper: NodeJS.Timeout | undefined
  #closed = false
  #destroyed = false

  /** @param connect opens sockets with `onread`, or ones that read for themselves. */
  constructor(connect: Connect) {
    this.#connect = connect
  }

  /** Whether it was closed and takes no more requests. */
  get closed(): boolean {
    return this.#closed
  }

  /** Sends a request; `listener` hears what comes of it. `fresh`: on a connection that no other request was on. */
  send(request: OutgoingRequest, listener: AnswerListener, fresh = false): void {
    let draft: Draft
    try {
      draft = draftRequest(request)
    } catch (thrown) {
      listener.onError(thrown as Error)
      return
    }
    for (let connection = fresh ? undefined : this.#idle.pop(); connection; connection = this.#idle.pop()) {
      if (connection.usable) {
        connection.sendSoon(draft, request, listener)
        return
      }
      connection.destroy()
    }
    draft.keep()
    this.#connect((error, socket) => {
      if (!socket) listener.onError(error ?? new WireError('CLOSED', 'no connection'))
      else this.#opened(socket).send(draft, request, listener)
    })
  }

  #opened(socket: Socket): ClientConnection {
    const connection = new ClientConnection(socket, this)
    this.#all.add(connection)
    if (reads(socket)) readBy(socket, connection)
    else
      socket.on('data', (bytes: Buffer) => {
        if (!connection.read(bytes, FOR_GOOD)) socket.pause()
      })
    return connection
  }

  idle(connection: ClientConnection, idleMs: number | undefined): void {
    const keptMs = idleMs === undefined ? IDLE_MS : Math.min(LONGEST_IDLE_MS, idleMs - MARGIN_MS)
    if (this.#closed || keptMs <= 0) {
      connection.destroy()
      return
    }
    connection.idleSince = performance.now()
    connection.idleMs = keptMs
    this.#idle.push(connection)
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  gone(connection: ClientConnection): void {
    if (!this.#all.delete(connection)) return
    const at = this.#idle.indexOf(connection)
    if (at !== -1) this.#idle.splice(at, 1)
  }

  unsent(request: OutgoingRequest, listener: AnswerListener): void {
    if (this.#destroyed) listener.onError(new WireError('CLOSED', 'it was closed'))
    else this.send(request, listener)
  }

  #sweep(): void {
    const now = performance.now()
    for (const connection of [...this.#idle]) if (now - connection.idleSince >= connection.idleMs) connection.destroy()
    if (this.#idle.length > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }

  /** Takes no more requests; those under way end as they would. */
  close(): void {
    this.#closed = true
    for (const connection of [...this.#idle]) connection.destroy()
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }

  /** The same, and ends the requests under way. */
  destroy(): void {
    this.#destroyed = true
    this.close()
    for (const connection of [...this.#all]) connection.destroy()
  }
}

/** Whether a socket reads by `onread`; those of TLS do not. */
const reads = (socket: Socket): boolean => !('encrypted' in socket)
