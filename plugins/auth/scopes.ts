import { type Config, type Permission, suggest } from 'hestia'
import type { AuthServiceOptions } from '../../schemas/auth.ts'

const BIT: Readonly<Record<Permission, number>> = { use: 1, wake: 2, read: 4, administer: 8 }
const ALL = 15
const { use: USE, wake: WAKE, read: READ } = BIT

/** What `services:<id>:<suffix>` permits; `''` is no suffix. */
const SUFFIXES: ReadonlyMap<string, number> = new Map([
  ['', USE | WAKE | READ],
  ['use', USE],
  ['wake', USE | WAKE],
  ['read', READ],
  ['administer', ALL],
])

const sectionOf = (config: Config, id: string): AuthServiceOptions | undefined =>
  config.services[id]?.sections.auth as AuthServiceOptions | undefined

/** Scopes of the user's own, which services name. */
const ownScopes = (config: Config): Set<string> =>
  new Set(Object.keys(config.services).flatMap((id) => sectionOf(config, id)?.scopes ?? []))

/** Why a scope permits nothing here; undefined when it is all right. */
export function faultOfScope(scope: string, config: Config): string | undefined {
  if (scope === 'admin' || scope === 'read' || ownScopes(config).has(scope)) return undefined
  if (scope.startsWith('models:'))
    return scope.length > 'models:'.length ? undefined : 'name a model, as "models:llama3" or "models:*"'
  if (!scope.startsWith('services:')) {
    const known = ['admin', 'read', 'services:*', 'models:*', ...Object.keys(config.services).map((id) => `services:${id}`)]
    return `there is no scope "${scope}"${suggest(scope, [...known, ...ownScopes(config)])}`
  }
  const [id = '', suffix = '', ...rest] = scope.slice('services:'.length).split(':')
  if (id !== '*' && !Object.hasOwn(config.services, id))
    return `there is no service "${id}"${suggest(id, Object.keys(config.services))}`
  if (SUFFIXES.has(suffix) && rest.length === 0) return undefined
  return `"${[suffix, ...rest].join(':')}" is none of use, wake, read and administer`
}

/** What a list of scopes permits under one configuration: a look-up for each question, as it is asked with every request. */
export class Grants {
  readonly #gateway: number
  /** Of a service that this configuration doesn't have. */
  readonly #unknown: number
  readonly #services = new Map<string, number>()
  readonly #models: readonly string[]

  constructor(scopes: readonly string[], config: Config) {
    const held = new Set(scopes)
    this.#gateway = held.has('admin') ? ALL : held.has('read') ? READ : 0
    this.#models = scopes.filter((scope) => scope.startsWith('models:')).map((scope) => scope.slice('models:'.length))
    this.#unknown = this.#gateway | bitsFor('', undefined, held)
    for (const id of Object.keys(config.services))
      this.#services.set(id, this.#gateway | bitsFor(id, sectionOf(config, id), held))
  }

  permits(permission: Permission, service?: string, models: readonly string[] = []): boolean {
    const bit = BIT[permission]
    if (((service === undefined ? this.#gateway : (this.#services.get(service) ?? this.#unknown)) & bit) !== 0) return true
    return models.length > 0 && (bit & (USE | WAKE)) !== 0 && models.some((model) => this.#permitsModel(model))
  }

  /** What is permitted for each service that anything is. */
  listed(): Record<string, Permission[]> {
    const names = Object.keys(BIT) as Permission[]
    const some = [...this.#services].filter(([, bits]) => bits !== 0)
    return Object.fromEntries(some.map(([id, bits]) => [id, names.filter((name) => (bits & BIT[name]) !== 0)]))
  }

  #permitsModel(model: string): boolean {
    return this.#models.some((name) => (name.endsWith('*') ? model.startsWith(name.slice(0, -1)) : name === model))
  }
}

function bitsFor(id: string, section: AuthServiceOptions | undefined, held: ReadonlySet<string>): number {
  let bits = section?.public === true ? USE | WAKE : section?.public === 'use' ? USE : 0
  const own = section?.scopes
  if (own?.some((scope) => held.has(scope))) bits |= USE | WAKE | READ
  for (const [suffix, granted] of SUFFIXES) {
    const end = suffix === '' ? '' : `:${suffix}`
    if (held.has(`services:${id}${end}`) || (own === undefined && held.has(`services:*${end}`))) bits |= granted
  }
  return bits
}

/** The least scope that would do, for a sentence that says what is missing. */
export function missingScope(permission: Permission, service: string | undefined, models: readonly string[] = []): string {
  if (service === undefined) return permission === 'read' ? 'read' : 'admin'
  const [model] = models
  const isUsing = permission === 'use' || permission === 'wake'
  const own = isUsing ? `services:${service}` : `services:${service}:${permission}`
  return isUsing && model !== undefined ? `${own} or models:${model}` : own
}
