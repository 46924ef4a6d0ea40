import { HestiaError, messageOf } from 'hestia'

/** What became of a try to reach a service. */
export interface Failure {
  /** What the client is told, if nothing else can be done. */
  readonly error: HestiaError
  /** `unreachable`: nothing was sent; `untrusted`: the same, and a new start won't help; `reset`: broke before its answer. */
  readonly kind: 'unreachable' | 'untrusted' | 'timeout' | 'reset' | 'nonsense' | 'client'
}

const TIMEOUTS = new Set(['HEAD_TIMEOUT', 'BODY_TIMEOUT'])
const RESETS = new Set(['CLOSED', 'ECONNRESET', 'EPIPE', 'ECONNABORTED'])
const TLS = /^(?:ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|EPROTO)/

/** Says what an error on the way to a service means. `sent`: whether anything had been sent; `url`: where to. */
export function failureOf(thrown: unknown, sent: boolean, url: string, details: Record<string, unknown>): Failure {
  if (thrown instanceof HestiaError) return { kind: 'client', error: thrown }
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code ?? ''
  const fields = { ...details, ...(code === '' ? {} : { cause: code }) }
  const make = (name: 'upstream_unreachable' | 'upstream_timeout' | 'upstream_failed' | 'invalid_request', message: string) =>
    new HestiaError(name, { message, cause: thrown, fields })
  if (!sent && (code === 'BAD_REQUEST' || code === 'ERR_INVALID_CHAR'))
    return { kind: 'client', error: make('invalid_request', `The request can't be passed on: ${reasonOf(thrown)}.`) }
  if (!sent) {
    if (code === 'CONNECT_TIMEOUT')
      return { kind: 'unreachable', error: make('upstream_timeout', `No connection to ${url} within proxy.connect_timeout_ms.`) }
    if (TLS.test(code))
      return {
        kind: 'untrusted',
        error: make('upstream_unreachable', `No trusted TLS connection to ${url}: ${reasonOf(thrown)}; see proxy.tls.`),
      }
    return { kind: 'unreachable', error: make('upstream_unreachable', `No connection to ${url}: ${reasonOf(thrown)}.`) }
  }
  if (TIMEOUTS.has(code)) {
    const bound = code === 'BODY_TIMEOUT' ? 'idle_timeout_ms' : 'first_byte_timeout_ms'
    return { kind: 'timeout', error: make('upstream_timeout', `${url} was silent for longer than proxy.${bound}.`) }
  }
  if (RESETS.has(code))
    return { kind: 'reset', error: make('upstream_failed', `${url} closed the connection: ${reasonOf(thrown)}.`) }
  return { kind: 'nonsense', error: make('upstream_failed', `${url} did not answer properly: ${reasonOf(thrown)}.`) }
}

/** Of several addresses tried, the error of the first says enough. */
function reasonOf(thrown: unknown): string {
  const one: unknown = thrown instanceof AggregateError && thrown.errors.length > 0 ? thrown.errors[0] : thrown
  return messageOf(one).replace(/\.$/, '')
}
