import type { FastifyInstance } from 'fastify'
import { errorResponses, HestiaError, Type } from 'hestia'
import { KeyChange, KeyEntry, KeyList, KeyParams, MadeKey, NewKey } from '../../schemas/auth.ts'
import type { Entry, Ledger } from './ledger.ts'
import { faultOfScope } from './scopes.ts'
import { isSession, makeKey } from './secret.ts'

const listSchema = {
  operationId: 'listKeys',
  summary: 'All keys, without the keys themselves',
  tags: ['auth'],
  response: { 200: KeyList },
}

const makeSchema = {
  operationId: 'makeKey',
  summary: 'Make a key; it is told only here',
  tags: ['auth'],
  body: NewKey,
  response: { 201: MadeKey, ...errorResponses({ invalid_request: {}, unsupported_media_type: {}, store_unavailable: {} }) },
}

const changeSchema = {
  operationId: 'changeKey',
  summary: 'Switch a key off or on',
  tags: ['auth'],
  params: KeyParams,
  body: KeyChange,
  response: {
    200: KeyEntry,
    ...errorResponses({ invalid_request: {}, not_found: {}, unsupported_media_type: {}, store_unavailable: {} }),
  },
}

const revokeSchema = {
  operationId: 'revokeKey',
  summary: 'Revoke a key for good',
  description: 'Counts at once. Streams that are open tell nothing more; tunnels stay.',
  tags: ['auth'],
  params: KeyParams,
  response: { 204: Type.Null(), ...errorResponses({ invalid_request: {}, not_found: {}, store_unavailable: {} }) },
}

/** `/v1/keys`: make, list, switch off, revoke; for administrators. */
export function keyRoutes(app: FastifyInstance, ledger: Ledger, configured: ReadonlyMap<string, Entry>): void {
  const { events, config } = app.hestia
  const permission = 'administer'

  app.get('/v1/keys', { config: { permission }, schema: listSchema }, () => ({
    keys: [...configured.values(), ...ledger.list()].map(shown),
  }))

  app.post<{ Body: NewKey }>(
    '/v1/keys',
    { config: { permission }, schema: makeSchema },
    async ({ body: { name, scopes }, caller }, reply) => {
      for (const scope of scopes) {
        const fault = faultOfScope(scope, config)
        if (fault !== undefined) throw new HestiaError('invalid_request', { message: `body/scopes: ${fault}` })
      }
      const secret = makeKey()
      const entry = await ledger.add(secret, name, scopes, true)
      events.emit('auth.key_made', { id: entry.id, name, scopes, by: caller?.name ?? 'nobody' })
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ ...shown(entry), key: secret.token })
    },
  )

  app.patch<{ Params: KeyParams; Body: KeyChange }>(
    '/v1/keys/:id',
    { config: { permission }, schema: changeSchema },
    async ({ params: { id }, body: { disabled }, caller }) => {
      refuseOthers(id)
      const entry = await ledger.setDisabled(id, disabled)
      if (!entry) throw unknownKey(id)
      const change = disabled ? 'disabled' : 'enabled'
      events.emit('auth.key_changed', { id, name: entry.name, change, by: caller?.name ?? 'nobody' })
      return shown(entry)
    },
  )

  app.delete<{ Params: KeyParams }>(
    '/v1/keys/:id',
    { config: { permission }, schema: revokeSchema },
    async ({ params: { id }, caller }, reply) => {
      refuseOthers(id)
      const name = await ledger.remove(id)
      if (name === undefined) throw unknownKey(id)
      events.emit('auth.key_changed', { id, name, change: 'revoked', by: caller?.name ?? 'nobody' })
      return reply.code(204).send()
    },
  )
}

function refuseOthers(id: string): void {
  if (id.startsWith('config:'))
    throw new HestiaError('invalid_request', {
      message: `${id} stands in the configuration (plugins.auth.keys); change it there.`,
    })
  if (isSession(id)) throw unknownKey(id)
}

/** Whatever was given for an id may be a whole key. */
const unknownKey = (id: string): HestiaError =>
  new HestiaError('not_found', { message: `There is no key "${id.slice(0, 16)}"; GET /v1/keys lists all ids.` })

function shown({ id, name, scopes, createdAt, lastUsedAt, disabled }: Entry): KeyEntry {
  const iso = (at: number | null | undefined) => (at === null || at === undefined ? null : new Date(at).toISOString())
  const source = createdAt === undefined ? 'config' : 'store'
  return { id, name, scopes: [...scopes], source, created_at: iso(createdAt), last_used_at: iso(lastUsedAt), disabled }
}
