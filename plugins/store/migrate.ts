import type { Driver } from './driver.ts'
import { MIGRATIONS, type Step } from './migrations.ts'

/**
 * Brings a database up to date, each version in a transaction of its own, and makes tables anew that somebody has dropped.
 * @returns the names of those tables; what was in them is lost.
 * @throws {Error} when a newer Hestia has written it.
 */
export async function migrate(driver: Driver, migrations: readonly (readonly Step[])[] = MIGRATIONS): Promise<string[]> {
  await driver.run('CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)')
  let version = await versionOf(driver)
  if (version > migrations.length) {
    throw new Error(
      `a newer Hestia has written it (schema ${version}, this one knows ${migrations.length}): start that one, ` +
        'put a backup in its place, or name another file with plugins.store.file',
    )
  }
  const applied = migrations.slice(0, version).flat()
  const missing = await missingTables(driver, applied)
  const again = applied.filter(([table]) => missing.includes(table)).map(([, sql]) => ({ sql }))
  if (again.length > 0) {
    try {
      await driver.transaction(again)
    } catch (thrown) {
      // Unless another gateway, which started at the same time, has done it.
      if ((await missingTables(driver, applied)).length > 0) throw thrown
    }
  }
  while (version < migrations.length) {
    const steps = migrations[version]!.map(([, sql]) => ({ sql }))
    const done = { sql: 'INSERT INTO migrations (version, applied_at) VALUES (?, ?)', params: [version + 1, Date.now()] }
    try {
      await driver.transaction([...steps, done])
      version++
    } catch (thrown) {
      // The same.
      const before = version
      version = await versionOf(driver)
      if (version <= before) throw thrown
    }
  }
  return missing
}

async function versionOf(driver: Driver): Promise<number> {
  const [newest] = await driver.all<{ version: number | null }>('SELECT max(version) AS version FROM migrations')
  return newest?.version ?? 0
}

async function missingTables(driver: Driver, applied: readonly Step[]): Promise<string[]> {
  const missing: string[] = []
  for (const table of new Set(applied.map(([name]) => name))) {
    await driver.all(`SELECT 1 AS one FROM ${table} WHERE 1 = 0`).catch(() => missing.push(table))
  }
  return missing
}
