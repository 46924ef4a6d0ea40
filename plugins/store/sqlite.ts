import { mkdir, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from 'hestia'
import { type Database, open } from 'sqlite'
import type { Command, Driver, Row, Value } from './driver.ts'

/** A database that lives in memory, and only as long as its handle. */
export const MEMORY = ':memory:'

/** How long another process may hold the lock before that counts as an error, in milliseconds. */
const BUSY_TIMEOUT_MS = 2000
const BUSY_PAUSE_MS = 20

const ELSEWHERE = 'or name another file with plugins.store.file'
const ANEW = `move it away to begin anew, put a backup in its place, ${ELSEWHERE}`

/** What to do, by the result code (https://sqlite.org/rescode.html). */
const ADVICE: Readonly<Record<string, string>> = {
  SQLITE_NOTADB: `it is damaged or no SQLite database: ${ANEW}`,
  SQLITE_CORRUPT: `it is damaged: ${ANEW}`,
  SQLITE_CANTOPEN: `it cannot be opened: see to it that it is a file in a folder that can be written, ${ELSEWHERE}`,
  SQLITE_READONLY: `it cannot be written: correct its permissions, ${ELSEWHERE}`,
  SQLITE_PERM: `it cannot be written: correct its permissions, ${ELSEWHERE}`,
  SQLITE_BUSY: 'another process holds it locked: end that process, or wait for it',
  SQLITE_LOCKED: 'another process holds it locked: end that process, or wait for it',
  SQLITE_FULL: 'the disk is full: make room',
  SQLITE_IOERR: 'reading or writing the disk failed: see what the system says of it, and whether it is full',
}

/** SQLite in a file, or in memory; statements run in the thread pool, never in the event loop. */
class SqliteDriver implements Driver {
  readonly #database: Database
  readonly #file: string
  readonly #identity: string
  #last: Promise<unknown> = Promise.resolve()

  constructor(database: Database, file: string, identity: string) {
    this.#database = database
    this.#file = file
    this.#identity = identity
  }

  run(sql: string, params: readonly Value[] = []): Promise<void> {
    return this.#inTurn(async () => {
      await this.#database.run(sql, params)
    })
  }

  all<R extends Row = Row>(sql: string, params: readonly Value[] = []): Promise<R[]> {
    return this.#inTurn(() => this.#database.all<R[]>(sql, params))
  }

  transaction(batch: readonly Command[]): Promise<void> {
    return this.#inTurn(async () => {
      await this.#refuseDeleted()
      await this.#database.run('BEGIN IMMEDIATE')
      try {
        for (const { sql, params = [] } of batch) await this.#database.run(sql, params)
        await this.#database.run('COMMIT')
      } catch (thrown) {
        // SQLite has rolled back already after some errors, and then refuses to do it again.
        await this.#database.run('ROLLBACK').catch(() => undefined)
        throw thrown
      }
    })
  }

  close(): Promise<void> {
    return this.#inTurn(() => this.#database.close())
  }

  /** SQLite goes on writing into a file that was deleted, and all of it would be lost. */
  async #refuseDeleted(): Promise<void> {
    if (this.#file === MEMORY || (await identify(this.#file)) === this.#identity) return
    throw new Error('the file was deleted or replaced under the running gateway; what lies there now, or a new one, is taken')
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work).catch((thrown: unknown) => {
      throw explained(thrown)
    })
    this.#last = turn.catch(() => undefined)
    return turn
  }
}

/**
 * Opens a database, makes it if there is none, and looks it through: 75 ms for 33 MB.
 * @throws {Error} with what to do: when it is damaged, locked, or cannot be written.
 */
export async function openSqlite(file: string): Promise<Driver> {
  try {
    if (file !== MEMORY) await makePrivate(file)
    // Native code, which may not be there: nobody but who opens a database is to fail with it.
    const { Database: driver } = await import('sqlite3')
    const database = await open({ filename: file, driver })
    try {
      await database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON`)
      await writeAhead(database)
      const [found] = await database.all<{ quick_check: string }[]>('PRAGMA quick_check(1)')
      if (found?.quick_check !== 'ok') throw new Error(`${ADVICE.SQLITE_CORRUPT} (${found?.quick_check})`)
      // A file that can only be read is opened all the same, and fails with the first write.
      await database.exec('BEGIN IMMEDIATE; COMMIT')
      return new SqliteDriver(database, file, file === MEMORY ? '' : await identify(file))
    } catch (thrown) {
      await database.close()
      throw thrown
    }
  } catch (thrown) {
    throw explained(thrown)
  }
}

/** Others who do the same at the same time make it fail at once, whatever the timeout is (https://sqlite.org/c3ref/busy_handler.html). */
async function writeAhead(database: Database): Promise<void> {
  for (const since = performance.now(); ; await sleep(BUSY_PAUSE_MS)) {
    try {
      await database.exec('PRAGMA journal_mode = WAL')
      return
    } catch (thrown) {
      if ((thrown as { code?: string }).code !== 'SQLITE_BUSY' || performance.now() - since > BUSY_TIMEOUT_MS) throw thrown
    }
  }
}

/** Makes an empty file that nobody else may read, unless there is one: hashes of keys will be in it. */
async function makePrivate(file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  // What goes wrong here goes wrong again when SQLite opens it, with a code that says more.
  await writeFile(file, '', { flag: 'a', mode: 0o600 }).catch(() => undefined)
}

/** Device and inode; empty when there is no such file. */
async function identify(file: string): Promise<string> {
  return stat(file).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => '',
  )
}

function explained(thrown: unknown): Error {
  const { code } = thrown as { code?: string }
  const advice = code === undefined ? undefined : ADVICE[code]
  return new Error(advice ? `${advice} (${messageOf(thrown)})` : messageOf(thrown), { cause: thrown })
}
