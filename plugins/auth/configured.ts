import { type Config, faultOfHash, type Report } from 'hestia'
import type { AuthOptions, AuthServiceOptions, ConfiguredKey } from '../../schemas/auth.ts'
import { handleOf } from './gate.ts'
import type { Entry } from './ledger.ts'
import { faultOfScope } from './scopes.ts'
import { digestOf } from './secret.ts'

const digestIn = ({ key, hash }: ConfiguredKey): Buffer | undefined =>
  hash === undefined ? (key === undefined ? undefined : digestOf(key)) : Buffer.from(hash.slice('sha256:'.length), 'hex')

/** The keys of the configuration; from here on only their digests are asked for. */
export function configuredKeys({ keys }: AuthOptions): Map<string, Entry> {
  return new Map(
    keys.map((configured) => {
      const { name, scopes } = configured
      const digest = digestIn(configured)!
      const entry = {
        id: `config:${name}`,
        digest,
        name,
        scopes,
        createdAt: undefined,
        lastUsedAt: null,
        disabled: false,
        gone: false,
      }
      return [handleOf(digest), entry]
    }),
  )
}

/** What no schema can say: what scopes mean, that nobody stands there twice, that hashes can be used. */
export function check(config: Config, report: Report): void {
  const { keys, users } = config.plugins.get('auth') as AuthOptions
  const place = (...path: (string | number)[]) => ['plugins', 'auth', ...path]
  const once = (kind: 'keys' | 'users') => {
    const seen = new Set<string>()
    for (const [i, { name }] of (kind === 'keys' ? keys : users).entries()) {
      if (seen.has(name)) report(place(kind, i, 'name'), `there is another of the name "${name}" in ${kind}`)
      seen.add(name)
    }
  }
  once('keys')
  once('users')
  const digests = new Set<string>()
  for (const [i, key] of keys.entries()) {
    if ((key.key === undefined) === (key.hash === undefined)) report(place('keys', i), 'either key or hash must be given')
    const digest = digestIn(key)?.toString('hex')
    if (digest !== undefined && digests.has(digest)) report(place('keys', i), 'another entry of keys has the same key')
    if (digest !== undefined) digests.add(digest)
    reportScopes(key.scopes, place('keys', i, 'scopes'))
  }
  for (const [i, user] of users.entries()) {
    const fault = faultOfHash(user.password_hash)
    if (fault !== undefined) report(place('users', i, 'password_hash'), fault)
    reportScopes(user.scopes, place('users', i, 'scopes'))
  }
  for (const [id, { sections }] of Object.entries(config.services)) {
    const taken = (sections.auth as AuthServiceOptions | undefined)?.scopes?.find(
      (scope) => scope === 'admin' || scope === 'read',
    )
    if (taken !== undefined)
      report(['services', id, 'auth', 'scopes'], `"${taken}" has a meaning of its own; choose another word`)
  }

  function reportScopes(scopes: readonly string[], path: (string | number)[]): void {
    for (const [i, scope] of scopes.entries()) {
      const fault = faultOfScope(scope, config)
      if (fault !== undefined) report([...path, i], fault)
    }
  }
}
