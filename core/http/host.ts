import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ServerConfig } from '../../schemas/config.ts'
import { HestiaError, messageOf } from '../errors.ts'
import type { Generation } from '../reload/generation.ts'
import { addressOf } from './address.ts'
import { answerBrokenRequest, answerRaw, framingError } from './framing.ts'
import { requestId } from './request-id.ts'
import { isOrdinary, offerUpgrade, serveAsOrdinary } from './upgrade.ts'

/** How often overdue clients are looked for, in milliseconds. */
const CHECK_INTERVAL_MS = 5000

/**
 * Owns the listening socket and hands each request to the generation that is current when its head has arrived. It knows no
 * plugin and survives every reload.
 */
export class Host {
  readonly #current: () => Generation
  #server: Server | undefined
  readonly #leaving = new Set<Server>()

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
    const address = this.#server?.address()
    if (!address || typeof address === 'string') throw new Error('the host is not listening')
    return address
  }

  /**
   * Binds a new listener; `commit` puts it in the place of the present one, whose connections go on, `abandon` closes it.
   * @throws {Error} when the address can't be bound, saying which and what to do.
   */
  async prepare(config: Readonly<ServerConfig>): Promise<{ commit(): void; abandon(): void }> {
    const server = this.#make(config)
    await listen(server, config)
    return {
      commit: () => {
        const old = this.#server
        this.#server = server
        if (old) this.#leave(old)
      },
      abandon: () => server.close(),
    }
  }

  /** Takes no new connections; those that are idle are closed, the others after their request. */
  stopListening(): void {
    if (this.#server) this.#leave(this.#server)
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    await Promise.all(
      [...this.#leaving].map((server) => {
        const closed = new Promise<void>((resolve) => server.once('close', resolve))
        server.closeAllConnections()
        return closed
      }),
    )
  }

  #leave(server: Server): void {
    this.#leaving.add(server)
    server.close(() => this.#leaving.delete(server))
    server.closeIdleConnections()
  }

  #make(config: Readonly<ServerConfig>): Server {
    const server = createServer({
      maxHeaderSize: config.max_header_bytes,
      headersTimeout: config.head_timeout_ms,
      requestTimeout: 0,
      keepAliveTimeout: config.keep_alive_timeout_ms,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      noDelay: true,
      requireHostHeader: false,
      insecureHTTPParser: false,
    })
    server.on('request', (request, response) => this.#serve(request, response))
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response)
      // Whoever forwards to a service says so itself, once the service takes the body.
      if (!addressOf(request) && !response.headersSent) response.writeContinue()
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
    server.on('connection', (socket) => socket.on('error', () => undefined))
    return server
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const broken = framingError(request)
    if (broken) answerRaw(request.socket, broken, requestId(request))
    else this.#current().serve(request, response)
  }

  /** The request goes through the generation as any other; an answer that isn't a tunnel ends the connection. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => undefined)
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

function listen(server: Server, { host, port }: Readonly<ServerConfig>): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE' ? 'another program listens there; end it or choose another server.port' : messageOf(error)
      reject(new Error(`cannot listen on ${host}:${port}: ${why}`, { cause: error }))
    }
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      resolve()
    })
  })
}
