import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ServerConfig } from '../../schemas/config.ts'
import { HestiaError, messageOf } from '../errors.ts'
import { FastLane } from '../http1/fast-lane.ts'
import type { LaneSettings } from '../http1/lane-connection.ts'
import type { Generation } from '../reload/generation.ts'
import { addressOf } from './address.ts'
import { answerBrokenRequest, answerRaw, answerUnserved, framingError } from './framing.ts'
import { requestId } from './request-id.ts'
import { isOrdinary, offerUpgrade, serveAsOrdinary } from './upgrade.ts'

interface Listener {
  readonly server: Server
  readonly lane: FastLane
}

interface Listening extends Listener {
  readonly config: Readonly<ServerConfig>
}

/** How often overdue clients are looked for, in milliseconds. */
const CHECK_INTERVAL_MS = 5000

/**
 * Owns the listening socket and hands each request to the generation that is current when its head has arrived. It knows no
 * plugin and survives every reload.
 */
export class Host {
  readonly #current: () => Generation
  #listening: Listening | undefined
  readonly #leaving = new Set<Listener>()

  constructor(current: () => Generation) {
    this.#current = current
  }

  /** Host and port that it listens on, as a URL. */
  get url(): string {
    const { address, family, port } = this.#address
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
  }

  get port(): number {
    return this.#address.port
  }

  get #address(): AddressInfo {
    const address = this.#listening?.server.address()
    if (!address || typeof address === 'string') throw new Error('the host is not listening')
    return address
  }

  /**
   * Makes ready what a changed configuration asks for: nothing is bound anew while host and port stay the same. A new listener
   * is bound beside the present one, or, where the two can't be bound at once (another host on the same port), in its place.
   * `commit` makes it count; the connections of the old one go on.
   * @throws {Error} when the address can't be bound, saying which and what to do; then the old one listens as before.
   */
  async prepare(config: Readonly<ServerConfig>): Promise<{ commit(): void }> {
    const old = this.#listening
    if (old && old.config.host === config.host && old.config.port === config.port) {
      return {
        commit: () => {
          setTimeouts(old.server, config)
          this.#listening = { server: old.server, lane: old.lane, config }
        },
      }
    }
    const made = this.#make(config)
    if (old && config.port !== 0 && config.port === old.config.port) await this.#takeOver(old, made.server, config)
    else await listen(made.server, config)
    return {
      commit: () => {
        this.#listening = { ...made, config }
        if (old) this.#leave(old)
      },
    }
  }

  async #takeOver(old: Listening, server: Server, config: Readonly<ServerConfig>): Promise<void> {
    this.#leave(old)
    try {
      await listen(server, config)
    } catch (error) {
      this.#leaving.delete(old)
      old.lane.stay()
      await listen(old.server, old.config)
      throw error
    }
  }

  /** Takes no new connections; those that are idle are closed, the others after their request. */
  stopListening(): void {
    if (this.#listening) this.#leave(this.#listening)
    this.#listening = undefined
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    this.stopListening()
    await Promise.all(
      [...this.#leaving].map(({ server, lane }) => {
        const closed = new Promise<void>((resolve) => server.once('close', resolve))
        server.closeAllConnections()
        lane.destroy()
        return closed
      }),
    )
  }

  #leave(listener: Listener): void {
    const { server, lane } = listener
    if (!server.listening) return
    this.#leaving.add(listener)
    server.once('close', () => this.#leaving.delete(listener))
    server.close()
    server.closeIdleConnections()
    lane.leave()
  }

  #make(config: Readonly<ServerConfig>): Listener {
    const server = createServer({
      maxHeaderSize: config.max_header_bytes,
      requestTimeout: 0,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      noDelay: true,
      requireHostHeader: false,
      insecureHTTPParser: false,
    })
    setTimeouts(server, config)
    server.on('request', (request, response) => this.#serve(request, response))
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response)
      // Whoever forwards to a service says so itself, once the service takes the body.
      if (!addressOf(request) && !response.headersSent) response.writeContinue()
    })
    server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      const message = `Hestia knows no expectation but 100-continue, not "${request.headers.expect}".`
      answerUnserved(response, new HestiaError('expectation_failed', { message }), requestId(request))
    })
    server.on('upgrade', (request, socket, head) => {
      if (isOrdinary(request)) serveAsOrdinary(server, request, socket, head)
      else this.#upgrade(request, socket, head)
    })
    server.on('connect', (request: IncomingMessage, socket: Duplex) => {
      const message = 'Hestia is a gateway to services, not a forward proxy: it does not take CONNECT.'
      answerRaw(socket, new HestiaError('method_not_implemented', { message }), requestId(request))
    })
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => answerBrokenRequest(error, socket))
    server.on('connection', ignoreErrors)
    const lane = new FastLane(server, laneSettings(config, config), {
      settings: () => {
        const current = this.#listening?.config ?? config
        return current.fast_lane ? laneSettings(config, current) : undefined
      },
      serve: (request, response) => this.#current().serve(request, response),
      overdue: (socket) => answerBrokenRequest({ name: '', message: '', code: 'ERR_HTTP_REQUEST_TIMEOUT' }, socket),
      brokenOff: (socket) =>
        answerBrokenRequest({ name: '', message: '', code: 'HPE_INVALID_EOF_STATE', reason: INVALID_EOF }, socket),
    })
    return { server, lane }
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const broken = framingError(request)
    if (broken) answerUnserved(response, broken, requestId(request))
    else this.#current().serve(request, response)
  }

  /** The request goes through the generation as any other; an answer that isn't a tunnel ends the connection. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    ignoreErrors(socket)
    const broken = framingError(request)
    if (broken) {
      answerRaw(socket, broken, requestId(request))
      return
    }
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket as Socket)
    response.once('finish', () => socket.end())
    const generation = this.#current()
    const done = generation.lease()
    socket.once('close', done)
    offerUpgrade(request, response, socket, head, done)
    generation.app.routing(request, response)
  }
}

/** What Node's parser says of it. */
const INVALID_EOF = 'Invalid EOF state'

function setTimeouts(server: Server, { head_timeout_ms, keep_alive_timeout_ms }: Readonly<ServerConfig>): void {
  server.headersTimeout = head_timeout_ms
  server.keepAliveTimeout = keep_alive_timeout_ms
}

/** `made`: that which the listener was made from. */
const laneSettings = (made: Readonly<ServerConfig>, current: Readonly<ServerConfig>): LaneSettings => ({
  maxHeadBytes: made.max_header_bytes,
  headTimeoutMs: current.head_timeout_ms,
  keepAliveMs: current.keep_alive_timeout_ms,
})

/** A connection that breaks is no news: whoever uses it learns of it by its end. */
function ignoreErrors(socket: Duplex): void {
  if (!socket.listeners('error').includes(ignore)) socket.on('error', ignore)
}
const ignore = (): void => undefined

const OTHER_PORT = 'choose another port by server.port or HESTIA_SERVER_PORT'
const CANNOT_LISTEN: Readonly<Record<string, string>> = {
  EADDRINUSE: `another program listens there; end it, or ${OTHER_PORT}`,
  EACCES: `this user may not, as with ports below 1024; ${OTHER_PORT}`,
  EADDRNOTAVAIL: 'this machine has no such address; correct server.host or HESTIA_SERVER_HOST',
}

function listen(server: Server, { host, port }: Readonly<ServerConfig>): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      const why = CANNOT_LISTEN[error.code ?? ''] ?? messageOf(error)
      reject(new Error(`cannot listen on ${host}:${port}: ${why}`, { cause: error }))
    }
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      resolve()
    })
  })
}
