import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, open as openFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { open } from 'sqlite'
import { Database } from 'sqlite3'
import t, { type Test } from 'tap'
import type { Store } from '../../core/offers.ts'
import type { Row } from '../../plugins/store/driver.ts'
import { migrate } from '../../plugins/store/migrate.ts'
import { MIGRATIONS } from '../../plugins/store/migrations.ts'
import { openSqlite } from '../../plugins/store/sqlite.ts'
import { driverContract } from '../helpers/driver-contract.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

const tempDir = async (t: Test): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'hestia-store-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A second connection, as another process would have one. */
async function connect(t: Test, file: string) {
  const database = await open({ filename: file, driver: Database })
  let closed = false
  const close = async () => {
    if (!closed) await database.close()
    closed = true
  }
  t.teardown(close)
  return { exec: (sql: string) => database.exec(sql), all: (sql: string) => database.all<Row[]>(sql), close }
}

/** A plugin of the test's own that hands `app.store` out. */
const PEEK = `export default { name: 'peek', dependencies: ['store'], setup (app) {
  globalThis.stores ??= new Map()
  globalThis.stores.set(app.hestia.config.file, app.store)
} }`

async function withStore(t: Test, { config = '', options = '' } = {}) {
  const { url } = await httpUpstream(t)
  const text = (more = config, with_ = options) => `plugins: { store: { ${with_} }, activity: {}, peek: {} }
services:
  web: { base_url: "${url}", health: { tcp: true } }
${more}`
  const gateway = await startGateway(t, { config: text(), files: { 'plugins/peek.ts': PEEK } })
  const store = (): Store =>
    (globalThis as unknown as { stores: Map<string, Store> }).stores.get(join(gateway.dir, 'hestia_config.yml'))!
  return { ...gateway, store, text, file: join(gateway.dir, 'hestia.sqlite') }
}

const note = (kind: string, at = Date.now()) => ({
  service: null,
  instance: null,
  kind,
  state: null,
  reason: null,
  details: {},
  requestId: null,
  at,
})

async function readiness({ url }: RunningGateway) {
  const answer = await fetch(`${url}/__ready`)
  return { code: answer.status, ...((await answer.json()) as { store: ReturnType<Store['health']> }) }
}

/** Asks the service, which must be served whatever the database does; answers how long that took. */
async function serves(t: Test, { url }: RunningGateway, times = 20): Promise<number> {
  const beganAt = performance.now()
  for (let i = 0; i < times; i++) {
    const answer = await fetch(`${url}/services/web/`)
    if (answer.status !== 200 || (await answer.text()) !== 'ok') t.fail(`request ${i} was answered ${answer.status}`)
  }
  return (performance.now() - beganAt) / times
}

driverContract(t, 'SQLite in a file', async (t) => openSqlite(join(await tempDir(t), 'contract.sqlite')))
driverContract(t, 'SQLite in memory', () => openSqlite(':memory:'))

t.test('a database of every earlier version is brought up to date, with its data', async (t) => {
  const samples: Record<string, string> = {
    services: `INSERT INTO services VALUES ('s', 's', NULL, '{}', NULL, 5, 0, 1, 2)`,
    machines: `INSERT INTO machines VALUES ('m', 'm', 'hpc', '{}', 'box', 'available', 1, 2)`,
    routing_rules: `INSERT INTO routing_rules VALUES ('7', 'r', '{}', 'remote', 7)`,
    activities: `INSERT INTO activities VALUES ('0', 's', 'i', 'instance.ready', NULL, NULL, '{}', NULL, 3)`,
    auth_keys: `INSERT INTO auth_keys VALUES ('k', 'mine', 'hash', '["read"]', 1, NULL, 0)`,
    instance_states: `INSERT INTO instance_states (service_id, instance_id, state, data, idle_since, since) VALUES ('s', 'i', 'hot', '{}', 1, 2)`,
  }
  for (let version = 0; version <= MIGRATIONS.length; version++) {
    const driver = await openSqlite(join(await tempDir(t), 'old.sqlite'))
    const tables = new Set(MIGRATIONS.slice(0, version).flatMap((steps) => steps.map(([table]) => table)))
    for (let step = 1; step <= version; step++) t.same(await migrate(driver, MIGRATIONS.slice(0, step)), [])
    for (const table of tables) await driver.run(samples[table]!)
    const dump = async () => Promise.all([...tables].map((table) => driver.all(`SELECT * FROM ${table}`)))
    const before = await dump()
    t.equal(before.flat().length, tables.size)
    t.same(await migrate(driver), [])
    t.match(await dump(), before, `from version ${version}`)
    t.same(await migrate(driver), [], 'and again')
    const versions = await driver.all('SELECT version FROM migrations ORDER BY version')
    t.same(
      versions.map((row) => row.version),
      MIGRATIONS.map((_, index) => index + 1),
    )
    for (const table of Object.keys(samples)) await driver.all(`SELECT * FROM ${table}`)
    await driver.close()
  }
})

t.test('a migration that fails leaves the version before it', async (t) => {
  const driver = await openSqlite(join(await tempDir(t), 'half.sqlite'))
  const broken = [...MIGRATIONS, [['extra', 'CREATE TABLE extra (id TEXT)'] as const, ['extra', 'NONSENSE'] as const]]
  await t.rejects(migrate(driver, broken), /NONSENSE/)
  await t.rejects(driver.all('SELECT * FROM extra'), /no such table/)
  t.same(await driver.all('SELECT max(version) AS version FROM migrations'), [{ version: MIGRATIONS.length }])
  await driver.close()
})

t.test('gateways that start at the same time on a new database bring it up to date together', async (t) => {
  for (let round = 0; round < 5; round++) {
    const file = join(await tempDir(t), 'shared.sqlite')
    const drivers = await Promise.all([1, 2, 3].map(() => openSqlite(file)))
    t.same(await Promise.all(drivers.map((driver) => migrate(driver))), [[], [], []])
    const versions = await drivers[0]!.all('SELECT version FROM migrations ORDER BY version')
    t.equal(versions.length, MIGRATIONS.length)
    await Promise.all(drivers.map((driver) => driver.close()))
  }
})

t.test('tables that somebody dropped are made anew, with all that later versions added', async (t) => {
  const driver = await openSqlite(':memory:')
  await migrate(driver)
  const schema = () => driver.all('SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name')
  const before = await schema()
  await driver.run('DROP TABLE activities')
  await driver.run('DROP TABLE auth_keys')
  t.same(await migrate(driver), ['activities', 'auth_keys'])
  t.same(await schema(), before)
  await driver.close()
})

t.test('a database that cannot be used refuses the first configuration, and says what to do', async (t) => {
  const start = async (file: string, match: RegExp) => {
    const refused = startGateway(t, { config: `plugins: { store: { file: "${file}" } }` })
    await t.rejects(refused, { message: /set-up of plugin store failed/ })
    await t.rejects(refused, { message: new RegExp(`${dirname(file)}.*cannot be used`) })
    await t.rejects(refused, { message: match })
  }
  const dir = await tempDir(t)

  await mkdir(join(dir, 'folder.sqlite'))
  await start(join(dir, 'folder.sqlite'), /cannot be opened: .* name another file with plugins\.store\.file/)

  await writeFile(join(dir, 'garbage.sqlite'), 'this is no database, '.repeat(1000))
  await start(join(dir, 'garbage.sqlite'), /is damaged or no SQLite database: move it away/)

  const newer = await openSqlite(join(dir, 'newer.sqlite'))
  await migrate(newer, [...MIGRATIONS, [['extra', 'CREATE TABLE extra (id TEXT)']]])
  await newer.close()
  await start(join(dir, 'newer.sqlite'), new RegExp(`a newer Hestia.*schema ${MIGRATIONS.length + 1}`))

  const damaged = await openSqlite(join(dir, 'damaged.sqlite'))
  await migrate(damaged)
  await damaged.transaction(
    Array.from({ length: 500 }, (_, i) => ({
      sql: `INSERT INTO activities VALUES (?, NULL, NULL, 'x', NULL, NULL, '${'y'.repeat(200)}', NULL, 0)`,
      params: [String(i)],
    })),
  )
  await damaged.close()
  await scribble(join(dir, 'damaged.sqlite'))
  await start(join(dir, 'damaged.sqlite'), /it is damaged: move it away/)

  const locked = await connect(t, join(dir, 'locked.sqlite'))
  await locked.exec('PRAGMA journal_mode = WAL; CREATE TABLE held (x); BEGIN EXCLUSIVE')
  await start(join(dir, 'locked.sqlite'), /another process holds it locked/)
  await locked.close()
})

/** Overwrites the pages behind the first few, where rows are. */
async function scribble(file: string): Promise<void> {
  const { size } = await stat(file)
  const handle = await openFile(file, 'r+')
  for (let at = 4096 * 12; at < size; at += 4096) await handle.write(Buffer.alloc(2000, 0xa5), 0, 2000, at)
  await handle.close()
}

const UNTESTED = 'not tested: mounting is not permitted here'

/** A file system of its own, too small for much. False where that is not permitted. */
function mountTiny(t: Test, folder: string, size: string): boolean {
  try {
    execFileSync('mkdir', ['-p', folder])
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', folder], { stdio: 'ignore' })
  } catch {
    return false
  }
  t.teardown(() => execFileSync('umount', ['-l', folder]))
  return true
}

t.test('a database that can only be read is refused', async (t) => {
  const dir = await tempDir(t)
  const file = join(dir, 'mount', 'x.sqlite')
  const isMounted = mountTiny(t, join(dir, 'mount'), '2m')
  if (!isMounted) {
    t.comment(UNTESTED)
    return
  }
  const made = await openSqlite(file)
  await made.close()
  execFileSync('mount', ['-o', 'remount,ro', join(dir, 'mount')])
  const refused = startGateway(t, { config: `plugins: { store: { file: "${file}" } }` })
  await t.rejects(refused, { message: /cannot be (?:written|opened): / })
})

t.test('the configuration is mirrored at each generation, and only what differs is touched', async (t) => {
  const more = `  web2: { base_url: "http://127.0.0.1:9", warmup_ms: 5, machine: box, requires: { gpu: true } }
machines:
  box: { role: hpc, address: 10.0.0.1, capabilities: { gpu: true } }
  old: { address: 10.0.0.2 }
routing_rules:
  - { name: gpus, priority: 3, match: { requires: [gpu] }, target_machine_role: hpc }
`
  const { store, file, configure, text, event } = await withStore(t, { config: more })
  await store().flush()
  const { all } = await connect(t, file)
  const services = await all('SELECT * FROM services ORDER BY id')
  t.match(services, [
    { id: 'web', machine_selector: '{"machines":[],"requires":{}}', health_endpoint: null, warmup_ms: null, auth_required: 0 },
    { id: 'web2', machine_selector: '{"machines":["box"],"requires":{"gpu":true}}', warmup_ms: 5 },
  ])
  t.match(await all('SELECT * FROM machines ORDER BY id'), [
    { id: 'box', role: 'hpc', address: '10.0.0.1', capabilities: '{"gpu":true}', status: 'available' },
    { id: 'old', role: 'remote' },
  ])
  t.match(await all('SELECT * FROM routing_rules'), [{ name: 'gpus', priority: 3, target_machine_role: 'hpc' }])

  await configure(
    text(
      more
        .replace('warmup_ms: 5', 'warmup_ms: 6')
        .replace(/ {2}old: .*\n/, '')
        .replace('priority: 3', 'priority: 4'),
    ),
  )
  await event('reload.applied', ({ generation }) => generation === 2)
  await store().flush()
  const [web, web2] = await all('SELECT * FROM services ORDER BY id')
  t.same(web, services[0], 'the other service is as it was')
  t.match(web2, { warmup_ms: 6, created_at: services[1]!.created_at })
  t.ok(web2!.updated_at! > services[1]!.updated_at!)
  t.same(
    (await all('SELECT id FROM machines')).map(({ id }) => id),
    ['box'],
  )
  t.match(await all('SELECT priority FROM routing_rules'), [{ priority: 4 }])

  await configure(text(''))
  await event('reload.applied', ({ generation }) => generation === 3)
  await store().flush()
  t.same(await all('SELECT id FROM services'), [{ id: 'web' }])
  t.same(await all('SELECT id FROM machines'), [])
  t.same(await all('SELECT id FROM routing_rules'), [])
})

t.test('R18 the record of an instance follows it, with what its starter left', async (t) => {
  const starter = `export default { name: 'fake', setup (app) {
    app.hestia.hook('beforeStart', async ({ instance }) => { instance.data.fake = { pid: 4711 } })
  } }`
  const gateway = await withStore(t, { options: 'flush_ms: 1' })
  await gateway.write('plugins/fake.ts', starter)
  await gateway.configure(gateway.text('').replace('peek: {}', 'peek: {}, fake: {}'))
  await gateway.event('reload.applied', ({ generation }) => generation === 2)
  const record = async () => (await gateway.store().instances.load())[0]
  t.equal(await record(), undefined, 'what was never up has none')

  const before = Date.now()
  await serves(t, gateway, 1)
  await until(async () => (await record())?.state === 'hot', 'the record to be hot')
  const hot = (await record())!
  t.match(hot, { service: 'web', instance: gateway.instance('web').name, data: { fake: { pid: 4711 } } })
  t.ok(hot.since >= before && hot.since <= Date.now())
  t.ok(hot.idleSince >= before - 5 && hot.idleSince <= Date.now() + 5)

  gateway.instance('web').data.fake = { pid: 4712 }
  await until(async () => JSON.stringify((await record())?.data) === '{"fake":{"pid":4712}}', 'what no event tells')
  t.equal((await record())!.since, hot.since, 'it is still the same state')
  await new Promise((resolve) => setTimeout(resolve, 1100))
  await serves(t, gateway, 1)
  await until(async () => (await record())!.idleSince > hot.idleSince + 1000, 'the idle clock')

  await gateway.configure(
    gateway
      .text('')
      .replace(/services:[\s\S]*/, '')
      .replace('peek: {}', 'peek: {}, fake: {}'),
  )
  await gateway.event('service.removed')
  const isOver = (last: Awaited<ReturnType<typeof record>>) =>
    !last || (last.state === 'cold' && Object.keys(last.data).length === 0)
  await until(async () => isOver(await record()), 'the record of a service that is gone')
  gateway.store().instances.remove('web', hot.instance)
  t.equal(await record(), undefined)
})

t.test('R18 what the gateway before left is looked after, and then forgotten if nothing is left of it', async (t) => {
  const dir = await tempDir(t)
  const file = join(dir, 'left.sqlite')
  const driver = await openSqlite(file)
  await migrate(driver)
  const insert = (...values: (string | number)[]) =>
    driver.run(
      'INSERT INTO instance_states (service_id, instance_id, state, data, idle_since, since) VALUES (?, ?, ?, ?, 1, 2)',
      values,
    )
  await insert('web', 'a', 'hot', '{"unknown":{"pid":1}}')
  await insert('gone', 'a', 'cold', '{}')
  await insert('gone', 'b', 'starting', '{}')
  await insert('gone', 'c', 'hot', '{"process":{"pid":1}}')
  await driver.close()
  const config = `plugins: { store: { file: "${file}" } }
services: { web: { instances: [{ name: a, url: "http://127.0.0.1:9" }], warmup_ms: 1 } }`
  const gateway = await startGateway(t, { config })
  const { all } = await connect(t, file)
  const isEmpty = async () => (await all('SELECT 1 FROM instance_states')).length === 0
  await until(isEmpty, 'the records to be gone')
  await gateway.close()
  t.ok(await isEmpty())
  const told = await all(
    `SELECT service_id, instance_id, reason FROM activities WHERE kind = 'instance.not_adopted' ORDER BY service_id`,
  )
  t.match(told, [
    { service_id: 'gone', instance_id: 'b', reason: 'nothing had been started yet' },
    { service_id: 'web', instance_id: 'a', reason: /nothing can stop what unknown had started.*end it by hand/ },
  ])
})

t.test('keys are made, found, used, switched off and deleted', async (t) => {
  const { store } = await withStore(t)
  const { keys } = store()
  const made = await keys.create({ id: 'ab12', name: 'laptop', hashedKey: 'h1', scopes: ['services:*'] })
  await keys.create({ id: 'ab34', name: "o'brien", hashedKey: 'h2', scopes: [] })
  await keys.create({ id: 'a%', name: 'odd', hashedKey: 'h3', scopes: ['read'] })
  t.same(await keys.get('ab12'), made)
  await t.rejects(keys.create({ id: 'ab12', name: 'x', hashedKey: 'h', scopes: [] }), { code: 'invalid_request' })
  t.equal(store().health().ok, true, 'that is nothing against the database')
  t.match(made, { lastUsedAt: null, disabled: false, scopes: ['services:*'] })
  t.equal(await keys.get('nope'), undefined)
  const idsOf = async (prefix: string) => (await keys.find(prefix)).map(({ id }) => id).sort()
  t.same(await idsOf('ab'), ['ab12', 'ab34'])
  t.same(await idsOf('a%'), ['a%'], 'no wildcards')
  t.equal((await keys.list()).length, 3)
  const before = Date.now()
  keys.touch('ab12')
  t.ok((await keys.get('ab12'))!.lastUsedAt! >= before)
  t.equal(await keys.setDisabled('ab12', true), true)
  t.equal((await keys.get('ab12'))!.disabled, true)
  t.equal(await keys.setDisabled('ab12', false), true)
  t.equal((await keys.get('ab12'))!.disabled, false)
  t.equal(await keys.setDisabled('nope', true), false)
  t.equal(await keys.delete('ab34'), true)
  t.equal(await keys.delete('ab34'), false)
  t.same((await keys.list()).map(({ id }) => id).sort(), ['a%', 'ab12'])
})

t.test('activities are bounded in number and age', async (t) => {
  const { store, file } = await withStore(t, { options: 'max_activities: 50, retention_days: 2' })
  const { activities } = store()
  const day = 86_400_000
  for (let i = 0; i < 20; i++) activities.append(note('old', Date.now() - 3 * day + i))
  for (let i = 0; i < 200; i++) activities.append(note('new'))
  await store().flush()
  const { all } = await connect(t, file)
  const [{ count } = { count: 0 }] = await all('SELECT count(*) AS count FROM activities')
  t.ok(Number(count) >= 50 && Number(count) <= 56, `${count} are left`)
  t.same(await all(`SELECT id FROM activities WHERE kind = 'old'`), [])
})

t.test('what is kept outlives a reload, and ends with its last generation', async (t) => {
  const gateway = await withStore(t)
  await gateway.configure(gateway.text('', 'flush_ms: 5'))
  await gateway.event('reload.applied', ({ generation }) => generation === 2)
  await gateway.event('generation.retired')
  gateway.store().activities.append(note('after.reload'))
  t.equal((await gateway.store().activities.query({ kind: 'after.reload', limit: 5 })).length, 1)

  await gateway.configure(gateway.text('', 'file: data/other.sqlite'))
  await gateway.event('reload.applied', ({ generation }) => generation === 3)
  await gateway.event('generation.retired', ({ generation }) => generation === 2)
  t.same(
    (await readdir(gateway.dir)).filter((name) => name.startsWith('hestia.sqlite')),
    ['hestia.sqlite'],
    'it is closed',
  )
  t.match((await gateway.store().activities.query({ kind: 'reload.applied', limit: 5 }))[0], { details: { generation: 3 } })
  t.same(
    gateway.gateway.pool.keys().filter((key) => key.includes('hestia.sqlite')),
    [],
  )

  await writeFile(join(gateway.dir, 'broken.sqlite'), 'garbage'.repeat(500))
  await gateway.configure(gateway.text('', 'file: broken.sqlite'))
  await gateway.event('reload.rejected', ({ problems }) => /broken\.sqlite cannot be used/.test(problems[0]!.message))
  t.equal((await readiness(gateway)).store.ok, true, 'the database in force goes on')
  t.same(
    gateway.gateway.pool.keys().filter((key) => key.includes('broken')),
    [],
  )
})

t.test('locked by another process for long: requests are served, and nothing is lost', async (t) => {
  const gateway = await withStore(t)
  await gateway.store().flush()
  const usual = await serves(t, gateway)
  const other = await connect(t, gateway.file)
  await other.exec('BEGIN EXCLUSIVE')
  for (let i = 0; i < 20; i++) gateway.store().activities.append(note('while.locked'))
  const failing = gateway.event('store.failed', ({ error }) => /another process holds it locked/.test(error))
  const locked = await serves(t, gateway, 100)
  await failing
  t.comment(`a request took ${usual.toFixed(2)} ms before, ${locked.toFixed(2)} ms while the database was locked`)
  t.match(await readiness(gateway), { code: 200, store: { ok: false, error: /locked/, dropped: 0 } })
  await t.rejects(gateway.store().activities.query({ limit: 1 }), { code: 'store_unavailable', statusCode: 503 })
  const answer = await fetch(`${gateway.url}/v1/activities`)
  t.equal(answer.status, 503)
  t.match(await answer.json(), { error: 'store_unavailable', message: /locked/, retry_after_ms: Number })
  await other.exec('COMMIT')
  t.match(await gateway.event('store.recovered'), { dropped: 0 })
  t.equal((await gateway.store().activities.query({ kind: 'while.locked', limit: 50 })).length, 20)
  t.match(await readiness(gateway), { store: { ok: true } })
  t.equal(gateway.events.filter(({ type }) => type === 'store.failed').length, 1, 'told once')
})

t.test('more than the buffer holds is dropped and counted', async (t) => {
  const gateway = await withStore(t, { options: 'buffer: 100' })
  await gateway.store().flush()
  const other = await connect(t, gateway.file)
  await other.exec('BEGIN EXCLUSIVE')
  for (let i = 0; i < 1000; i++) gateway.store().activities.append(note('flood'))
  await gateway.event('store.failed')
  const { dropped, queued } = gateway.store().health()
  t.ok(dropped >= 900 && dropped < 910, `${dropped} dropped`)
  t.ok(queued >= 100 && queued < 110, `${queued} queued`)
  await other.exec('COMMIT')
  await gateway.event('store.recovered')
  t.equal((await gateway.store().activities.query({ kind: 'flood', limit: 1000 })).length, 100)
  t.equal(gateway.store().health().queued < 5, true)
})

t.test('a table is dropped: it is made anew', async (t) => {
  const gateway = await withStore(t)
  await gateway.store().flush()
  const other = await connect(t, gateway.file)
  await other.exec('DROP TABLE activities')
  gateway.store().activities.append(note('into.nothing'))
  await gateway.event('store.failed', ({ error }) => /no such table/.test(error))
  await serves(t, gateway)
  await gateway.event('store.recovered')
  t.equal((await gateway.store().activities.query({ kind: 'into.nothing', limit: 5 })).length, 1)
})

t.test('the file is deleted: a new one is made, with all that is known', async (t) => {
  const gateway = await withStore(t)
  await serves(t, gateway, 1)
  await gateway.store().flush()
  await rm(gateway.file)
  gateway.store().activities.append(note('after.deletion'))
  await gateway.event('store.failed', ({ error }) => /deleted or replaced/.test(error))
  await serves(t, gateway)
  await gateway.event('store.recovered')
  t.equal((await gateway.store().activities.query({ kind: 'after.deletion', limit: 5 })).length, 1)
  const { all } = await connect(t, gateway.file)
  await until(async () => (await all('SELECT id FROM services')).length === 1, 'the configuration in the new file')
  await until(async () => (await all(`SELECT 1 FROM instance_states WHERE state = 'hot'`)).length === 1, 'the instance in it')
})

t.test('the table is corrupted: reading fails, serving goes on', async (t) => {
  const gateway = await withStore(t)
  const { activities } = gateway.store()
  for (let i = 0; i < 2000; i++) activities.append({ ...note('filler'), reason: 'x'.repeat(200) })
  await gateway.store().flush()
  const other = await connect(t, gateway.file)
  await other.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  await other.close()
  await scribble(gateway.file)
  // The handle still has good pages in its cache: what counts is that it is noticed by the time when it matters.
  await until(async () => {
    activities.append(note('more'))
    await activities.query({ limit: 5000 }).catch(() => undefined)
    return gateway.events.some(({ type }) => type === 'store.failed')
  }, 'the damage to be noticed')
  await until(() => /damaged/.test(gateway.store().health().error ?? ''), 'the damage to be told')
  const ms = await serves(t, gateway, 50)
  t.comment(`a request took ${ms.toFixed(2)} ms with a damaged database`)
  t.match(await readiness(gateway), { code: 200, store: { ok: false, error: /damaged.*move it away/ } })
  const files = (await readdir(gateway.dir)).filter((name) => name.startsWith('hestia.sqlite'))
  for (const name of files) await rm(join(gateway.dir, name))
  await gateway.event('store.recovered')
  t.equal((await readiness(gateway)).store.ok, true, 'as soon as the damaged file is moved away')
})

t.test('the disk is full: requests are served, and it goes on when there is room', async (t) => {
  const gateway = await withStore(t)
  const mount = join(await tempDir(t), 'tiny')
  if (!mountTiny(t, mount, '400k')) {
    t.comment(UNTESTED)
    return
  }
  await gateway.configure(gateway.text('', `file: "${mount}/full.sqlite"`))
  await gateway.event('reload.applied', ({ generation }) => generation === 2)
  await gateway.store().flush()
  await writeFile(join(mount, 'ballast'), Buffer.alloc(4096))
  const ballast = await openFile(join(mount, 'ballast'), 'a')
  const fill = async () => {
    for (;;) await ballast.write(Buffer.alloc(4096))
  }
  await t.rejects(fill(), { code: 'ENOSPC' })
  for (let i = 0; i < 300; i++) gateway.store().activities.append({ ...note('while.full'), reason: 'x'.repeat(300) })
  await gateway.event('store.failed', ({ error }) => /disk/.test(error))
  const ms = await serves(t, gateway, 50)
  t.comment(`a request took ${ms.toFixed(2)} ms with a full disk`)
  t.match(await readiness(gateway), { code: 200, store: { ok: false, error: /disk/ } })
  await ballast.close()
  await rm(join(mount, 'ballast'))
  await gateway.event('store.recovered')
  t.equal((await gateway.store().activities.query({ kind: 'while.full', limit: 500 })).length, 300)
  const { all } = await connect(t, join(mount, 'full.sqlite'))
  t.same(await all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
  await gateway.close()
})

t.test('the file is for nobody else to read, and its folder is made', async (t) => {
  const file = join(await tempDir(t), 'some/where', 'private.sqlite')
  const driver = await openSqlite(file)
  await migrate(driver)
  for (const name of await readdir(dirname(file))) t.equal((await stat(join(dirname(file), name))).mode & 0o777, 0o600, name)
  await driver.close()
})

t.test('a database in memory needs no file', async (t) => {
  const gateway = await withStore(t, { options: 'file: ":memory:"' })
  gateway.store().activities.append(note('in.memory'))
  await gateway.configure(gateway.text('', 'file: ":memory:", flush_ms: 5'))
  await gateway.event('generation.retired')
  t.equal((await gateway.store().activities.query({ kind: 'in.memory', limit: 5 })).length, 1, 'also after a reload')
  t.same(
    (await readdir(gateway.dir)).filter((name) => name.includes('sqlite') || name.includes('memory')),
    [],
  )
})
