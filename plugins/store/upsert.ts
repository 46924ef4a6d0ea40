import type { Command, Row } from './driver.ts'

/**
 * Inserts a row, or changes the one with the same key, and only if it differs.
 * @param fresh columns that are set when the row is new, and then never again.
 * @param stamp columns that alone are no difference.
 */
export function upsert(table: string, key: readonly string[], row: Row, fresh: Row = {}, stamp: Row = {}): Command {
  const all = { ...row, ...fresh, ...stamp }
  const columns = Object.keys(all)
  const compared = Object.keys(row).filter((column) => !key.includes(column))
  const changed = [...compared, ...Object.keys(stamp)].map((column) => `${column} = excluded.${column}`)
  const differs = compared.map((column) => `${table}.${column} IS DISTINCT FROM excluded.${column}`)
  return {
    sql:
      `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')}) ` +
      `ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${changed.join(', ')} WHERE ${differs.join(' OR ')}`,
    params: Object.values(all),
  }
}
