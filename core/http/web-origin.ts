import { isIP } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HestiaError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Further host names under which this gateway is reached, in lower case. */
    trustedHosts: Set<string>
  }
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Names that the public DNS never resolves (RFC 6761, 6762, 8375; ICANN for `internal`): no web site can have one. */
const RESERVED = /(?:^|\.)(?:localhost|local|internal|home\.arpa|invalid)$/

/**
 * Keeps web pages of others away from what steers the gateway, whether or not anybody has to log in: a page in the user's own
 * browser could send a blind request there, or, under a name of its own that it makes point here (DNS rebinding), read the
 * answers too. What goes to a service is that service's business.
 */
export function keepPagesAway(app: FastifyInstance, trustedHosts: readonly string[]): void {
  const trusted = new Set(trustedHosts.map((host) => host.toLowerCase()))
  app.decorate('trustedHosts', trusted)
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.url.startsWith('/services/')) done()
    else done(strangeHost(request, trusted) ?? crossSite(request))
  })
}

/**
 * An address is no name, and a name without a dot, or of a reserved domain, can't be one of the web: no page of a stranger
 * comes from there.
 */
function strangeHost({ headers }: FastifyRequest, trusted: ReadonlySet<string>): HestiaError | undefined {
  if (headers.host === undefined) return undefined
  const host = hostName(headers.host)
  if (!host.includes('.') || isIP(host.replace(/^\[|\]$/g, '')) !== 0 || RESERVED.test(host) || trusted.has(host))
    return undefined
  return new HestiaError('unknown_host', {
    message: `"${host}" is not known as a name of this gateway; if it is one, add it to server.trusted_hosts.`,
  })
}

/** An IPv6 address stands in brackets, and has no dot but colons. */
const hostName = (host: string): string => host.replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase()

/**
 * Whether a request comes from a page of another origin: by what browsers say themselves (Fetch Metadata, `Sec-Fetch-Site`), or,
 * where that is missing (over plain HTTP to other than this machine), by `Origin` (RFC 6454, 7). Programs send neither.
 */
export function isForeign({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site !== 'same-origin' && site !== 'none'
  const { origin } = headers
  if (origin === undefined) return false
  return origin.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').toLowerCase() !== (headers.host ?? '').toLowerCase()
}

/**
 * A page can send these headers to another origin only after that has agreed (Fetch, 4.8: CORS preflight), and then it is meant
 * to: so says whoever lists `@fastify/cors`. Other schemes than Bearer prove nothing: what somebody has typed for a proxy in front
 * (Basic, Digest), browsers add by themselves.
 */
const hasAgreed = ({ headers }: FastifyRequest): boolean =>
  /^bearer /i.test(headers.authorization ?? '') || headers['x-api-key'] !== undefined

function crossSite(request: FastifyRequest): HestiaError | undefined {
  if (SAFE.has(request.method) && request.headers.upgrade === undefined) return undefined
  if (!isForeign(request) || hasAgreed(request)) return undefined
  const { origin = 'another site' } = request.headers
  return new HestiaError('cross_site', {
    message: `A web page of ${origin} sent this; only pages of this gateway, and programs, may do that.`,
  })
}
