/** What a column can hold. Booleans are 0 and 1, times milliseconds since the epoch, anything with parts JSON. */
export type Value = string | number | null

export type Row = Readonly<Record<string, Value>>

/** One statement; each `?` outside of quotes stands for the next of `params`. */
export interface Command {
  readonly sql: string
  readonly params?: readonly Value[]
}

/**
 * All that the store asks of a database. The SQL that it gets is what SQLite and PostgreSQL have in common (`ON CONFLICT`,
 * `IS DISTINCT FROM`, `BIGINT`). Calls may overlap: a driver does them in turn, so that nothing slips into a transaction.
 * Errors say what is wrong with the database and what to do.
 */
export interface Driver {
  run(sql: string, params?: readonly Value[]): Promise<void>
  all<R extends Row = Row>(sql: string, params?: readonly Value[]): Promise<R[]>
  /** All of them or, when one fails, none. */
  transaction(batch: readonly Command[]): Promise<void>
  close(): Promise<void>
}
