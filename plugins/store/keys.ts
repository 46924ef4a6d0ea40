import { type AuthKey, HestiaError, type Store } from 'hestia'
import type { Row } from './driver.ts'
import type { Writer } from './writer.ts'

const COLUMNS = 'id, name, hashed_key, scopes, created_at, last_used_at, disabled'

interface KeyRow extends Row {
  id: string
  name: string
  hashed_key: string
  scopes: string
  created_at: number
  last_used_at: number | null
  disabled: number
}

/** The keys. Only hashes come here; how they are made is the business of who asks. */
export function keysOf(writer: Writer): Store['keys'] {
  const select = (rest: string, ...params: (string | number)[]) =>
    writer.use(async (driver) => (await driver.all<KeyRow>(`SELECT ${COLUMNS} FROM auth_keys ${rest}`, params)).map(keyOf))
  /** Does it to one key, and answers whether there was one: with `RETURNING`, so that nobody comes in between. */
  const change = (sql: string, ...params: (string | number)[]) =>
    writer.use(async (driver) => (await driver.all(`${sql} WHERE id = ? RETURNING id`, params)).length > 0)

  return {
    create: async ({ id, name, hashedKey, scopes }) => {
      const key: AuthKey = { id, name, hashedKey, scopes: [...scopes], createdAt: Date.now(), lastUsedAt: null, disabled: false }
      const params = [id, name, hashedKey, JSON.stringify(scopes), key.createdAt, null, 0]
      const sql = `INSERT INTO auth_keys (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING id`
      const [made] = await writer.use((driver) => driver.all(sql, params))
      if (!made) throw new HestiaError('invalid_request', { message: `There is a key "${id}" already.` })
      return key
    },
    list: () => select('ORDER BY created_at, id'),
    get: async (id) => (await select('WHERE id = ?', id))[0],
    find: (prefix) => select('WHERE substr(id, 1, ?) = ? ORDER BY created_at, id', prefix.length, prefix),
    touch: (id) =>
      writer.put(`touch ${id}`, { sql: 'UPDATE auth_keys SET last_used_at = ? WHERE id = ?', params: [Date.now(), id] }),
    setDisabled: (id, disabled) => change('UPDATE auth_keys SET disabled = ?', disabled ? 1 : 0, id),
    delete: (id) => change('DELETE FROM auth_keys', id),
  }
}

const keyOf = (row: KeyRow): AuthKey => ({
  id: row.id,
  name: row.name,
  hashedKey: row.hashed_key,
  scopes: JSON.parse(row.scopes) as string[],
  createdAt: row.created_at,
  lastUsedAt: row.last_used_at,
  disabled: row.disabled !== 0,
})
