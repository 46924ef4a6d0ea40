import { type Caller, type Config, HestiaError, type Permission } from 'hestia'
import type { Denials } from './denials.ts'
import type { Entry } from './ledger.ts'
import { Grants, missingScope } from './scopes.ts'

/** Somebody who has shown a key, or a login; under the configuration of one generation. */
export class Known implements Caller {
  readonly name: string
  readonly kind: 'key' | 'user'
  readonly entry: Entry
  readonly grants: Grants
  readonly #denials: Denials

  constructor(entry: Entry, scopes: readonly string[], kind: 'key' | 'user', config: Config, denials: Denials) {
    this.name = entry.name
    this.kind = kind
    this.entry = entry
    this.grants = new Grants(scopes, config)
    this.#denials = denials
  }

  may(permission: Permission, service?: string, models?: readonly string[]): boolean {
    const { gone, disabled } = this.entry
    return !gone && !disabled && this.grants.permits(permission, service, models)
  }

  refuse(permission: Permission, service?: string, models?: readonly string[]): HestiaError {
    const what = service === undefined ? `${permission} this gateway` : `${permission} service ${service}`
    const scope = missingScope(permission, service, models)
    const why = `${this.kind} ${this.name} may not ${what}; that takes the scope ${scope}`
    this.#denials.tell({ caller: `${this.kind} ${this.name}`, code: 'forbidden', reason: why, service })
    return new HestiaError('forbidden', { message: `${why[0]!.toUpperCase()}${why.slice(1)}.`, fields: { needs: scope } })
  }
}

/** Whoever has shown nothing that is valid; may use what is public. */
export class Anonymous implements Caller {
  readonly name = 'anonymous'
  readonly kind = 'anonymous'
  readonly grants: Grants
  readonly #denials: Denials

  constructor(config: Config, denials: Denials) {
    this.grants = new Grants([], config)
    this.#denials = denials
  }

  may(permission: Permission, service?: string): boolean {
    return this.grants.permits(permission, service)
  }

  refuse(permission: Permission, service?: string): HestiaError {
    const what = service === undefined ? 'this' : `to ${permission} service ${service}`
    this.#denials.tell({ caller: 'anonymous', code: 'unauthorized', reason: `credentials are needed ${what}`, service })
    return unauthorized()
  }
}

export const noLoginHere = (service: string): HestiaError =>
  new HestiaError('unauthorized', {
    message:
      `Service ${service} needs a key, which a browser doesn't send, and nobody can log in under the service's own name: log in under ` +
      `that of the gateway and go to /services/${service}/, or let everybody in (services.${service}.auth.public).`,
  })

export const unauthorized = (wrong = false): HestiaError =>
  new HestiaError('unauthorized', {
    message: wrong
      ? 'The key, or the login, is not valid here: it may be mistyped, revoked, disabled or expired.'
      : 'This needs a key: send it as "X-API-Key: <key>" or "Authorization: Bearer <key>".',
  })
