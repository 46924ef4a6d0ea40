import type { Test } from 'tap'
import type { Driver } from '../../plugins/store/driver.ts'

/** What any driver of the store must do; `open` gives one on an empty database each time it is called. */
export function driverContract(t: Test, name: string, open: (t: Test) => Promise<Driver>): void {
  const withTable = async (test: Test): Promise<Driver> => {
    const driver = await open(test)
    await driver.run('CREATE TABLE things (id TEXT PRIMARY KEY, amount BIGINT, note TEXT)')
    return driver
  }
  const insert = (id: string, amount: number | null = 0, note: string | null = null) => ({
    sql: 'INSERT INTO things (id, amount, note) VALUES (?, ?, ?)',
    params: [id, amount, note],
  })
  const idsOf = async (driver: Driver) => (await driver.all('SELECT id FROM things ORDER BY id')).map(({ id }) => id)

  t.test(`driver ${name}: gives back what it got`, async (t) => {
    const driver = await withTable(t)
    const rows = [
      { id: 'a', amount: 1_795_000_000_000, note: 'grüße 🌍 "quoted" \'single\' ?' },
      { id: 'b', amount: null, note: null },
      { id: 'c', amount: -1, note: '' },
      { id: 'd', amount: 0, note: JSON.stringify({ long: 'x'.repeat(100_000) }) },
    ]
    for (const { id, amount, note } of rows) {
      const { sql, params } = insert(id, amount, note)
      await driver.run(sql, params)
    }
    t.same(await driver.all('SELECT id, amount, note FROM things ORDER BY id'), rows)
    t.same(await driver.all('SELECT id FROM things WHERE note = ? OR amount < ?', ['', -5]), [{ id: 'c' }])
    t.same(await driver.all('SELECT id FROM things WHERE amount > 5 AND id = ?', ['c']), [])
    await driver.close()
  })

  t.test(`driver ${name}: knows the SQL that the store speaks`, async (t) => {
    const driver = await withTable(t)
    const upsert =
      'INSERT INTO things (id, amount, note) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount ' +
      'WHERE things.note IS DISTINCT FROM excluded.note'
    await driver.run(upsert, ['a', 1, null])
    await driver.run(upsert, ['a', 2, null])
    t.same(await driver.all('SELECT amount FROM things'), [{ amount: 1 }], 'null is no change from null')
    await driver.run(upsert, ['a', 3, 'new'])
    t.same(await driver.all('SELECT amount FROM things'), [{ amount: 3 }])
    await driver.run('INSERT INTO things (id) VALUES (?) ON CONFLICT (id) DO NOTHING', ['a'])
    t.same(await driver.all('DELETE FROM things WHERE id = ? RETURNING id', ['a']), [{ id: 'a' }])
    t.same(await driver.all('DELETE FROM things WHERE id = ? RETURNING id', ['a']), [])
    await driver.close()
  })

  t.test(`driver ${name}: a transaction is done whole or not at all`, async (t) => {
    const driver = await withTable(t)
    await driver.transaction([insert('a'), insert('b')])
    await t.rejects(driver.transaction([insert('c'), insert('a'), insert('d')]), Error)
    t.same(await idsOf(driver), ['a', 'b'])
    await driver.transaction([insert('c')])
    t.same(await idsOf(driver), ['a', 'b', 'c'], 'the next one is not harmed')
    await driver.close()
  })

  t.test(`driver ${name}: what is asked at the same time does not slip into a transaction`, async (t) => {
    const driver = await withTable(t)
    const failing = driver.transaction([insert('x'), insert('y'), insert('x')])
    const { sql, params } = insert('beside')
    const [outcome] = await Promise.allSettled([failing, driver.run(sql, params), driver.transaction([insert('after')])])
    t.equal(outcome.status, 'rejected')
    t.same(await idsOf(driver), ['after', 'beside'])
    await driver.close()
  })

  t.test(`driver ${name}: errors are errors, also after the end`, async (t) => {
    const driver = await withTable(t)
    await t.rejects(driver.run('INSERT INTO nowhere VALUES (1)'), Error)
    await t.rejects(driver.all('SELECT nothing FROM things'), Error)
    await driver.close()
    await t.rejects(driver.all('SELECT 1'), Error)
  })
}
