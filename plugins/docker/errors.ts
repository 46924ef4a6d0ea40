import { userInfo } from 'node:os'
import { messageOf } from 'hestia'

/** Something that went wrong with a Docker daemon, in a sentence; `status` is that of its answer, if it gave one. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly status: number | undefined

  constructor(message: string, { status, cause }: { status?: number; cause?: unknown } = {}) {
    super(message, { cause })
    this.status = status
  }
}

export const isStatus = (error: unknown, ...statuses: number[]): boolean =>
  error instanceof EngineError && error.status !== undefined && statuses.includes(error.status)

interface Circumstances {
  readonly host: string
  readonly isTls?: boolean
  /** Method and path. */
  readonly what: string
  /** The bound that was exceeded, if it was. */
  readonly lateMs?: number | undefined
}

/** The daemon's certificate was looked at, and is not to be trusted. */
const UNTRUSTED = /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_)/
/** With TLS 1.3 a client's certificate is refused after the handshake: the connection breaks in the first request. */
const FIRST_REQUEST = 'GET /_ping'

/** What it means that a request to a daemon failed, and what to do about it. */
export function explain(error: unknown, { host, isTls = false, what, lateMs }: Circumstances): EngineError {
  if (error instanceof EngineError) return error
  const say = (message: string) => new EngineError(message, { cause: error })
  if (lateMs !== undefined)
    return say(
      `the Docker daemon at ${host} did not answer ${what} within ${lateMs} ms: see what keeps it busy, or raise docker.timeout_ms`,
    )
  const code = codeOf(error)
  if (UNTRUSTED.test(code))
    return say(
      `the certificate of the Docker daemon at ${host} is not trusted (${code}): set docker.tls.ca_file to the authority that signed it, ` +
        'and docker.host to a name that it is for',
    )
  if (/^ERR_SSL_.*ALERT/.test(code)) return say(refusesUs(host, code))
  switch (code) {
    case 'ENOENT':
      return say(
        `there is no Docker socket at ${host}: install Docker and start its daemon (systemctl start docker), or set plugins.docker.host`,
      )
    case 'EACCES':
    case 'EPERM':
      return say(
        `the gateway may not use the Docker socket ${host}: add its user to the group docker (sudo usermod -aG docker ${userName()}) ` +
          'and log in anew, or set plugins.docker.host to the socket of a rootless daemon',
      )
    case 'ECONNREFUSED':
      return say(`no Docker daemon listens at ${host}: start it (systemctl start docker), or set plugins.docker.host`)
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return say(`the Docker daemon at ${host} cannot be reached (${code}): is that machine up, and its address right?`)
    case 'UND_ERR_SOCKET':
    case 'ECONNRESET':
    case 'EPIPE':
      if (isTls && what === FIRST_REQUEST) return say(`${refusesUs(host, code)}; or it has ended, see its log`)
      return say(`the Docker daemon at ${host} broke the connection off during ${what}: it may have ended, see its log`)
    default:
      return say(
        code.startsWith('HPE_') || (error as Error).name === 'HTTPParserError'
          ? `what listens at ${host} does not speak HTTP (${messageOf(error)}): with TLS, set docker.tls`
          : `the Docker daemon at ${host} cannot be used (${messageOf(error)}); look at docker.host and docker.tls`,
      )
  }
}

const refusesUs = (host: string, code: string): string =>
  `the Docker daemon at ${host} does not take the certificate of the gateway (${code}): docker.tls.cert_file and key_file have to be ` +
  'signed by an authority that it knows'

/** What it means that something answers which is no Docker daemon. */
export function refusal(host: string, status: number, text: string): string {
  if (/HTTP request to an HTTPS server/.test(text)) return `the Docker daemon at ${host} wants TLS: set docker.tls`
  return `what listens at ${host} does not speak the Docker Engine API: it answered ${status} to GET /_ping`
}

function codeOf(error: unknown): string {
  const { code, errors, cause } = error as { code?: unknown; errors?: unknown[]; cause?: unknown }
  if (typeof code === 'string') return code
  const inner = errors?.[0] ?? cause
  return inner === undefined ? '' : codeOf(inner)
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    return '<user>'
  }
}
