import { isIP, connect as openTcp, type Socket } from 'node:net'
import { connect as openTls } from 'node:tls'
import { WireError } from './errors.ts'
import { onread } from './reading.ts'

/** Where connections lead, and how. */
export interface ConnectorOptions {
  /** Its protocol (`http:` or `https:`), host and port count. */
  readonly origin: URL
  /** How long it may take until a connection stands, TLS included, in milliseconds; 0 is any. */
  readonly timeoutMs: number
  readonly rejectUnauthorized: boolean
  /** Certificates of authorities in place of those that Node knows (PEM). */
  readonly ca?: Buffer | undefined
}

/** Of the error and the socket one is there. */
export type Opened = (error: Error | null, socket: Socket | null) => void

/** From when on an idle connection is asked now and then whether anybody is there, in milliseconds. */
const KEEP_ALIVE_AFTER_MS = 60_000

/** Whoever gets the socket may not listen yet. */
const ignore = (): void => undefined

/** Opens connections to one origin; of several addresses the one that answers is taken (RFC 8305), TLS sessions are used again. */
export class Connector {
  readonly #options: ConnectorOptions
  readonly #place: { readonly host: string; readonly port: number }
  #session: Buffer | undefined

  constructor(options: ConnectorOptions) {
    this.#options = options
    const { hostname, port, protocol } = options.origin
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    this.#place = { host, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) }
  }

  /**
   * Opens one. Errors are those of `node:net` and `node:tls`, or {@link WireError} `CONNECT_TIMEOUT`.
   * @param allowHalfOpen whether it stays open for writing when the other side has ended.
   */
  open(opened: Opened, allowHalfOpen = false): void {
    const { origin, timeoutMs } = this.#options
    const isTls = origin.protocol === 'https:'
    const common = { ...this.#place, allowHalfOpen }
    const socket = isTls ? this.#openTls(common) : openTcp({ ...common, ...(allowHalfOpen ? {} : { onread }) })
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_AFTER_MS)
    let isOver = false
    const over = (error: Error | null): void => {
      isOver = true
      clearTimeout(timer)
      // Nothing of this is kept for as long as the socket lives: it knows the request.
      socket.off('error', over).on('error', ignore)
      opened(error, error ? null : socket)
    }
    const late = (): void => {
      const message = `no connection to ${origin.host} within ${timeoutMs} ms`
      if (!isOver) socket.destroy(new WireError('CONNECT_TIMEOUT', message))
    }
    // After a busy moment what has come by now counts first.
    const timer = timeoutMs === 0 ? undefined : setTimeout(() => setImmediate(late), timeoutMs)
    socket.once(isTls ? 'secureConnect' : 'connect', () => over(null)).on('error', over)
  }

  #openTls(common: object): Socket {
    const { rejectUnauthorized, ca } = this.#options
    const { host } = this.#place
    const socket = openTls({
      ...common,
      rejectUnauthorized,
      ...(ca ? { ca } : {}),
      ...(this.#session ? { session: this.#session } : {}),
      // RFC 6066, 3: an address is no name.
      servername: isIP(host) === 0 ? host : '',
      ALPNProtocols: ['http/1.1'],
    })
    return socket.on('session', (session: Buffer) => {
      this.#session = session
    })
  }
}
