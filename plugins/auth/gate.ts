import type { FastifyReply, FastifyRequest } from 'fastify'
import { addressOf, type Caller, editHeader, type Hestia, HestiaError, isForeign, type RoutePermission } from 'hestia'
import type { AuthOptions } from '../../schemas/auth.ts'
import { Anonymous, Known, noLoginHere, unauthorized } from './callers.ts'
import { cookiesOf, withoutSession } from './cookie.ts'
import type { Denials } from './denials.ts'
import { type Entry, type Ledger, verified } from './ledger.ts'
import { digestOf, isSession, KEY_PREFIX } from './secret.ts'
import type { Sessions } from './sessions.ts'
import { count, partyOf, type Windows } from './windows.ts'

/** Wrong credentials that one party may show in a minute; then it is told to wait. Right ones always pass: none can be guessed. */
const MAX_WRONG = 60
const WRONG_WINDOW_MS = 60_000
/** So many headers with a key are looked at. */
const MAX_KEYS_SHOWN = 4

export interface GateParts {
  readonly hestia: Hestia
  readonly options: AuthOptions
  readonly ledger: Ledger
  readonly sessions: Sessions
  readonly windows: Windows
  readonly denials: Denials
  /** Keys of the configuration, by the beginning of their digest. */
  readonly configured: ReadonlyMap<string, Entry>
  readonly loginPage: () => string | undefined
}

/** How keys of the configuration, which have no public part, are found: by so much of the digest that no two share it. */
export const handleOf = (digest: Buffer): string => digest.toString('latin1', 0, 8)

/**
 * Finds out who asks, and whether they may, for every request and without waiting for anything: a hash, a look-up and a
 * comparison. The gateway's own credentials are taken out of what a service gets to see.
 */
export class Gate {
  readonly #parts: GateParts
  readonly #anonymous: Caller
  readonly #callers = new WeakMap<Entry, Known>()

  constructor(parts: GateParts) {
    this.#parts = parts
    this.#anonymous = new Anonymous(parts.hestia.config, parts.denials)
  }

  /** @returns whether the request goes on; if not, it was sent to the page to log in. @throws {HestiaError} why not. */
  enter(request: FastifyRequest, reply: FastifyReply): boolean {
    const { caller, wrong } = this.identify(request)
    request.caller = caller
    const { permission, service } = asked(request)
    if (permission === 'public') {
      if (wrong && caller === this.#anonymous) this.#countGuess(request)
      return true
    }
    this.#limit(request, caller)
    if (permission === 'known' ? caller !== this.#anonymous : caller.may(permission, service)) {
      const { events } = this.#parts.hestia
      if (events.wants('auth.allowed'))
        events.emit('auth.allowed', { requestId: request.id, caller: caller.name, kind: caller.kind, permission, service })
      return true
    }
    if (caller !== this.#anonymous) throw caller.refuse(permission === 'known' ? 'read' : permission, service)
    const page = isNavigation(request) ? this.#parts.loginPage() : undefined
    // Who shows what is wrong is counted, also as a browser.
    const refusal = page === undefined || wrong ? this.#stranger(request, wrong, service) : undefined
    if (refusal && (page === undefined || refusal.code === 'rate_limited')) {
      // RFC 6750, 3: what was shown and was wrong is told apart from what was missing.
      if (refusal.code === 'unauthorized')
        reply.header('www-authenticate', `Bearer realm="hestia"${wrong ? ', error="invalid_token"' : ''}`)
      throw refusal
    }
    // Under a name of its own every path is the service's, and the cookie isn't sent.
    if (service !== undefined && addressOf(request.raw)?.prefix === '') throw noLoginHere(service)
    reply.redirect(`${page}?next=${encodeURIComponent(request.raw.url ?? '/')}`, 302)
    return false
  }

  /** Who asks, and whether something was shown that is nobody's. Takes credentials of the gateway out of what a service gets to see. */
  identify(request: FastifyRequest): { caller: Caller; wrong: boolean } {
    const { headers } = request
    const { 'x-api-key': apiKey, authorization, cookie } = headers
    let caller: Caller | undefined
    let wrong = false
    if (typeof apiKey === 'string') {
      caller = this.#callerOf(apiKey) ?? this.#callerOfAny(apiKey)
      if (caller || apiKey.includes(KEY_PREFIX)) editHeader(request, 'x-api-key', undefined)
      wrong = !caller
    }
    if (authorization !== undefined) {
      const token = /^bearer +(\S+)$/i.exec(authorization)?.[1]
      const known = token === undefined ? undefined : this.#callerOf(token)
      if (known || authorization.includes(KEY_PREFIX)) editHeader(request, 'authorization', undefined)
      // Of several only the first was looked at (RFC 9110, 5.3 allows but one), and so only that one is passed on.
      else if (isRepeated(request.raw.rawHeaders, 'authorization')) editHeader(request, 'authorization', authorization)
      caller ??= known
      wrong ||= !known
    }
    if (cookie !== undefined) {
      const tokens = cookiesOf(cookie)
      if (tokens.length > 0) {
        editHeader(request, 'cookie', withoutSession(cookie))
        if (isOwnPage(request)) for (const token of tokens) caller ??= this.#callerOf(token)
      }
    }
    return { caller: caller ?? this.#anonymous, wrong }
  }

  /** Of a header that came more than once: joined, as Node does. */
  #callerOfAny(joined: string): Known | undefined {
    if (!joined.includes(', ')) return undefined
    for (const token of joined.split(', ', MAX_KEYS_SHOWN)) {
      const caller = this.#callerOf(token)
      if (caller) return caller
    }
    return undefined
  }

  #callerOf(token: string): Known | undefined {
    const { ledger, configured, sessions, options, hestia, denials } = this.#parts
    const digest = digestOf(token)
    const entry = ledger.find(token, digest) ?? verified(configured.get(handleOf(digest)), digest)
    if (!entry) return undefined
    const now = Date.now()
    const user = isSession(entry.id) ? sessions.userOf(entry, options, now) : undefined
    if (isSession(entry.id) && !user) return undefined
    ledger.touch(entry, now)
    let caller = this.#callers.get(entry)
    if (!caller) {
      caller = new Known(entry, user?.scopes ?? entry.scopes, user ? 'user' : 'key', hestia.config, denials)
      this.#callers.set(entry, caller)
    }
    return caller
  }

  #limit(request: FastifyRequest, caller: Caller): void {
    const { windows, options, denials } = this.#parts
    const { max, window_ms } = options.rate_limit
    if (max === 0) return
    const who = caller instanceof Known && caller.kind === 'key' ? caller.entry.id : caller.name
    const party = caller === this.#anonymous ? partyOf(request.raw.socket.remoteAddress) : who
    const waitMs = count(windows, `requests ${caller.kind} ${party}`, max, window_ms)
    if (waitMs === undefined) return
    const reason = `more than ${max} requests in ${window_ms} ms`
    denials.tell({ caller: `${caller.kind} ${caller.name}`, code: 'rate_limited', reason })
    throw new HestiaError('rate_limited', {
      message: `There were ${reason} (plugins.auth.rate_limit); try again later.`,
      retryAfterMs: waitMs,
    })
  }

  /** What asks for no key may tell whether one is right. @throws {HestiaError} `rate_limited` */
  #countGuess(request: FastifyRequest): void {
    const { authorization, 'x-api-key': apiKey } = request.headers
    // What a browser typed for a proxy in front is no guess.
    if (apiKey === undefined && !/^bearer /i.test(authorization ?? '')) return
    const refusal = this.#stranger(request, true, undefined)
    if (refusal.code === 'rate_limited') throw refusal
  }

  #stranger(request: FastifyRequest, wrong: boolean, service: string | undefined): HestiaError {
    const { windows, denials } = this.#parts
    const party = partyOf(request.raw.socket.remoteAddress)
    const waitMs = wrong ? count(windows, `wrong ${party}`, MAX_WRONG, WRONG_WINDOW_MS) : undefined
    const reason = wrong ? 'the credentials are not valid' : 'there were no credentials'
    denials.tell({ caller: 'anonymous', code: 'unauthorized', reason, party, service })
    if (waitMs !== undefined) {
      const message = 'Too many wrong keys came from this address; try again later.'
      return new HestiaError('rate_limited', { message, retryAfterMs: waitMs })
    }
    return unauthorized(wrong)
  }
}

/** What a request asks for. A route that doesn't say what it needs is for administrators. */
function asked(request: FastifyRequest): { readonly permission: RoutePermission; readonly service: string | undefined } {
  const address = addressOf(request.raw)
  if (address) return { permission: 'use', service: address.service }
  if (request.is404) return { permission: 'known', service: undefined }
  const { permission = 'administer', serviceParam } = request.routeOptions.config
  const service = serviceParam === undefined ? undefined : (request.params as Record<string, string>)[serviceParam]
  return { permission, service }
}

/**
 * A browser sends its cookie with whatever any page makes it ask for, as long as that page is of the same site, which another
 * port of this machine is, too. It counts for this gateway's own pages, and for somebody who follows a link.
 */
const isOwnPage = (request: FastifyRequest): boolean => !isForeign(request) || isNavigation(request)

const isNavigation = ({ method, headers }: FastifyRequest): boolean => {
  if (method !== 'GET' || headers.upgrade !== undefined) return false
  const mode = headers['sec-fetch-mode']
  return mode === undefined ? /\btext\/html\b/.test(headers.accept ?? '') && headers.origin === undefined : mode === 'navigate'
}

function isRepeated(rawHeaders: readonly string[], name: string): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]!.toLowerCase() === name) count++
  return count > 1
}
