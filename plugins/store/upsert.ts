import type { Command, Row, Value } from './driver.ts'

/** Columns of a table, by what they mean for a row that is there already. */
export interface Columns {
  /** Compared with what is there; those of the key are among them. */
  readonly row: Row
  /** Set when the row is new, and then never again. */
  readonly fresh?: Row
  /** Alone no difference. */
  readonly stamp?: Row
}

/** As many as a statement can have values for: 32,766 (https://sqlite.org/limits.html, 9), 65,535 in PostgreSQL. */
const MOST_ROWS = 1000

/**
 * Inserts rows, or changes those with the same key, and only where they differ; as few statements as can be, as each is a way to
 * the database and back.
 * @param rows all with the same columns
 */
export function upsert(table: string, key: readonly string[], rows: readonly Columns[]): Command[] {
  const [first] = rows
  if (!first) return []
  const columns = Object.keys({ ...first.row, ...first.fresh, ...first.stamp })
  const compared = Object.keys(first.row).filter((column) => !key.includes(column))
  const changed = [...compared, ...Object.keys(first.stamp ?? {})].map((column) => `${column} = excluded.${column}`)
  const differs = compared.map((column) => `${table}.${column} IS DISTINCT FROM excluded.${column}`)
  const line = `(${columns.map(() => '?').join(', ')})`
  const values = ({ row, fresh, stamp }: Columns): Value[] => Object.values({ ...row, ...fresh, ...stamp })
  const commands: Command[] = []
  for (let from = 0; from < rows.length; from += MOST_ROWS) {
    const some = rows.slice(from, from + MOST_ROWS)
    commands.push({
      sql:
        `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${some.map(() => line).join(', ')} ` +
        `ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${changed.join(', ')} WHERE ${differs.join(' OR ')}`,
      params: some.flatMap(values),
    })
  }
  return commands
}
