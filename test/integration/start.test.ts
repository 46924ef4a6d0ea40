import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cleanEnv } from '../helpers/child-gateway.ts'
import { type HowToRun, hestia, startHestia } from '../helpers/hestia-command.ts'
import { InstalledHestia } from '../helpers/installed-hestia.ts'
import { until } from '../helpers/until.ts'

const HELP = 'The on-demand service gateway.'

/** Runs until the test is over; `url` is known once it listens. */
async function serve(t: Test, dir: string, how: HowToRun) {
  const gateway = startHestia([], { cwd: dir, ...how })
  t.teardown(() => gateway.child.kill('SIGKILL'))
  const url = await until(
    () => {
      if (gateway.child.exitCode !== null) throw new Error(`it ended: ${gateway.texts.stderr}`)
      return /listening on (http:\S+?)"/.exec(gateway.texts.stdout)?.[1]
    },
    'the gateway to listen',
    60_000,
  )
  const health = async () => ((await (await fetch(`${url}/__health`)).json()) as { status: string }).status
  const end = async () => {
    gateway.child.kill('SIGTERM')
    return (await gateway.ended).code
  }
  return { ...gateway, url, health, end }
}

const CONFIG = { 'hestia_config.yml': 'server: { port: 0 }\nlog: { format: json }\nservices: {}\n' }

const makeFolder = (t: Test, files: object = {}): string => t.testdir({ ...CONFIG, ...files })

t.test('R22 an installation compiles the sources for the first start', async (t) => {
  const dir = makeFolder(t)
  const own = new InstalledHestia(dir)
  const { scripts } = JSON.parse(readFileSync(join(own.root, 'package.json'), 'utf8')) as { scripts: { prepare: string } }
  const prepare = () => execFileSync('sh', ['-c', scripts.prepare], { cwd: own.root, env: cleanEnv(), encoding: 'utf8' })
  t.equal(prepare(), '')
  const made = own.programs()
  t.equal(made.length, 1)
  const gateway = await serve(t, dir, { program: own.program })
  t.equal(await gateway.health(), 'ok')
  t.equal(await gateway.end(), 0)
  t.strictSame(own.programs(), made, 'what it made is used')
  own.edit('core/main.ts', 'export async function run(', 'export async function run((')
  t.equal(prepare(), '', 'what is wrong is told by the start')
})

t.test('R22 sources are compiled at the first start; later ones use that until a source changes', async (t) => {
  const dir = makeFolder(t)
  const own = new InstalledHestia(dir)
  const { program } = own
  t.equal((await hestia(['--version'], { program })).stdout, '0.1.0\n')
  const [first] = own.programs()
  t.strictSame(readdirSync(own.cache).toSorted(), ['manifest.json', first])
  const madeAt = statSync(join(own.cache, first!, 'hestia.mjs')).mtimeMs
  const gateway = await serve(t, dir, { program })
  t.equal(await gateway.health(), 'ok')
  t.equal(await gateway.end(), 0)
  t.strictSame([own.programs(), statSync(join(own.cache, first!, 'hestia.mjs')).mtimeMs], [[first], madeAt], 'used as it is')

  const program2 = join(own.root, 'cli/program.ts')
  const later = new Date(Date.now() + 60_000)
  utimesSync(program2, later, later)
  t.match(await hestia(['--help'], { program }), { code: 0, stdout: HELP })
  t.strictSame(own.programs(), [first], 'a touch is no change')
  own.edit('cli/program.ts', HELP, 'A changed gateway.')
  t.match(await hestia(['--help'], { program }), { code: 0, stdout: 'A changed gateway.' })
  t.equal(own.programs().length, 2)
  own.edit('package.json', '0.1.0', '0.1.1')
  t.equal((await hestia(['--version'], { program })).stdout, '0.1.1\n')
  writeFileSync(join(own.cache, 'manifest.json'), '{"version":1')
  t.equal((await hestia(['--version'], { program })).stdout, '0.1.1\n', 'a broken cache is none')
})

t.test('R22 shipped plugins are reloaded live, also those that were compiled', async (t) => {
  const dir = makeFolder(t)
  const own = new InstalledHestia(dir)
  const { program } = own
  const file = 'plugins/api/health.ts'
  const first = await serve(t, dir, { program })
  t.equal(await first.health(), 'ok')
  own.edit(file, "({ status: 'ok' })", "({ status: 'live' })")
  await until(async () => (await first.health()) === 'live', 'the change')
  own.edit(file, "'live'", "'ok'")
  await until(async () => (await first.health()) === 'ok', 'what it was')
  writeFileSync(join(own.root, file), 'export const { = 1')
  await until(() => /"type":"reload.rejected".*plugins\/api\/health\.ts/.test(first.texts.stdout), 'the refusal')
  t.equal(await first.health(), 'ok', 'its last good version serves')
  await first.end()
  const refused = await hestia([], { cwd: dir, program })
  t.equal(refused.code, 1, 'no version was good yet')
  t.match(refused.stderr, /hestia cannot start:\n.*plugins\/api\/health\.ts:1:16 /)

  cpSync(join(import.meta.dirname, '../../', file), join(own.root, file))
  own.edit(file, "({ status: 'ok' })", "({ status: 'while stopped' })")
  const second = await serve(t, dir, { program })
  t.equal(await second.health(), 'while stopped')
  t.equal(await second.end(), 0)
  writeFileSync(join(own.root, 'strategies/sticky.ts'), 'export default {\n  name: ,\n}\n')
  const third = await serve(t, dir, { program })
  const strategies = async () => (await fetch(`${third.url}/v1/strategies`)).text()
  t.match(
    await strategies(),
    /"failed":\[\{"file":"\S+sticky\.ts","problems":\[\{"file":"\S+","line":2,"column":9/,
    'the others serve',
  )
  writeFileSync(join(own.root, 'strategies/sticky.ts'), "export default { name: 'sticky', select: () => undefined }\n")
  await until(async () => (await strategies()).includes('"failed":[]'), 'the strategy')
  t.equal(await third.end(), 0)
})

t.test(
  'R22 a shipped plugin or strategy that is none, or throws, fails alone, though others are in the same chunk',
  async (t) => {
    const dir = makeFolder(t)
    const own = new InstalledHestia(dir)
    const { program } = own
    writeFileSync(join(own.root, 'strategies/sticky.ts'), "export default {}\nthrow new Error('not today')\n")
    const gateway = await serve(t, dir, { program })
    t.equal(await gateway.health(), 'ok')
    t.match(
      await (await fetch(`${gateway.url}/v1/strategies`)).text(),
      /"failed":\[\{"file":"\S+sticky\.ts","problems":\[\{"file":"\S+sticky\.ts","line":2,"column":7,"message":"[^"]*not today/,
    )
    t.equal(await gateway.end(), 0)
    writeFileSync(join(own.root, 'plugins/idle.ts'), "export default {}\nthrow new Error('nor tomorrow')\n")
    const refused = await hestia([], { cwd: dir, program })
    t.equal(refused.code, 1)
    t.match(refused.stderr, /hestia cannot start:\n.*plugins\/idle\.ts:2:7 .*nor tomorrow/)
    for (const file of ['plugins/idle.ts', 'strategies/sticky.ts'])
      writeFileSync(join(own.root, file), 'export const nothing = 1\n')
    const none = await hestia([], { cwd: dir, program })
    t.equal(none.code, 1)
    t.match(none.stderr, /hestia cannot start:\n.*plugins\/idle\.ts/)
    cpSync(join(import.meta.dirname, '../../plugins/idle.ts'), join(own.root, 'plugins/idle.ts'))
    const another = await serve(t, dir, { program })
    t.match(await (await fetch(`${another.url}/v1/strategies`)).text(), /"failed":\[\{"file":"\S+sticky\.ts","problems":\[/)
    t.equal(await another.end(), 0)
  },
)

t.test('R22 a source that cannot be compiled is told with its line', async (t) => {
  const dir = makeFolder(t)
  const own = new InstalledHestia(dir)
  const path = join(own.root, 'core/deadline.ts')
  writeFileSync(path, `const fine = 1\nconst = 2\n${readFileSync(path, 'utf8')}`)
  const { code, stdout, stderr } = await hestia(['--version'], { program: own.program })
  t.strictSame([code, stdout], [1, ''])
  t.match(stderr, /^hestia: its own sources cannot be compiled:\ncore\/deadline\.ts:2:7 .*\n +const = 2\n$/)
  t.strictSame(own.programs(), [], 'nothing is left behind')
})

t.test('R22 without a cache that can be written it is compiled for one process, where only its user can read it', async (t) => {
  const dir = makeFolder(t, { node_modules: { '.cache': 'a file, so that no folder can be made' }, temporary: {} })
  const own = new InstalledHestia(dir)
  const temporary = join(dir, 'temporary')
  const gateway = await serve(t, dir, { program: own.program, env: { TMPDIR: temporary } })
  const made = readdirSync(temporary).filter((name) => existsSync(join(temporary, name, 'hestia.mjs')))
  t.equal(made.length, 1)
  t.equal(statSync(join(temporary, made[0]!)).mode & 0o777, 0o700)
  t.equal(await gateway.health(), 'ok')
  t.equal(await gateway.end(), 0)
  t.notOk(existsSync(join(temporary, made[0]!)), 'it ends with its process')
})

t.test('R22 two first starts at once do not disturb each other; what nobody uses any more is removed', async (t) => {
  const dir = makeFolder(t, { one: { ...CONFIG }, two: { ...CONFIG } })
  const own = new InstalledHestia(dir)
  const { program } = own
  const gateways = await Promise.all(['one', 'two'].map((name) => serve(t, join(dir, name), { program })))
  for (const gateway of gateways) t.equal(await gateway.health(), 'ok')
  const before = own.programs()
  t.ok(before.length <= 2, 'each has its own at most')
  t.match(await hestia(['--help'], { program }), { code: 0 })
  t.strictSame(own.programs(), before, 'a third start uses one of them')
  for (const { end } of gateways) t.equal(await end(), 0)

  mkdirSync(join(own.cache, 'program-abandoned'))
  utimesSync(join(own.cache, 'program-abandoned'), 0, 0)
  own.edit('cli/program.ts', HELP, 'A changed gateway.')
  t.match(await hestia(['--help'], { program }), { stdout: 'A changed gateway.' })
  t.strictSame(
    before.filter((name) => !own.programs().includes(name)),
    [],
    'who runs still may need a part of it',
  )
  t.notOk(own.programs().includes('program-abandoned'))

  const { folder: last } = JSON.parse(readFileSync(join(own.cache, 'manifest.json'), 'utf8')) as { folder: string }
  for (const name of own.programs()) utimesSync(join(own.cache, name), 0, 0)
  own.edit('cli/program.ts', 'A changed gateway.', HELP)
  t.match(await hestia(['--help'], { program }), { stdout: HELP })
  t.equal(own.programs().length, 2)
  t.ok(own.programs().includes(last), 'who runs the one before may not be permitted to say so')
})

t.test('R15 stack traces name the lines of sources', async (t) => {
  const dir = makeFolder(t, {
    'hestia_config.yml': 'server: { port: 0 }\nlog: { format: json }\nplugins: { bad: {} }\nservices: {}\n',
    plugins: {
      'bad.ts': `export default { name: 'bad', setup(app) {
  const wrong: string = 'nothing'
  app.get('/bad', () => app.hestia.hook(wrong, () => undefined))
} }`,
    },
  })
  const own = new InstalledHestia(dir)
  const gateway = await serve(t, dir, { program: own.program })
  t.equal((await fetch(`${gateway.url}/bad`)).status, 500)
  const line = await until(() => gateway.texts.stdout.split('\n').find((text) => text.includes('hooks.ts')), 'the error')
  const { stack } = (JSON.parse(line) as { err: { stack: string } }).err
  const place = /file:\S+\/core\/hooks\.ts:(\d+):(\d+)/.exec(stack)
  const text = readFileSync(join(own.root, 'core/hooks.ts'), 'utf8').split('\n')[Number(place?.[1]) - 1]!
  t.match(text.slice(Number(place?.[2]) - 1), /^(throw )?new Error\(|^push|^\w+/, stack)
  t.match(stack, /plugins\/bad\.ts:3:\d+/)
  t.notMatch(stack, /chunk-\w+\.mjs/)
  t.equal(await gateway.end(), 0)
  // Node shows a crash itself.
  own.edit(
    'cli/program.ts',
    'const program = new Command',
    `setImmediate(() => { throw new Error('crash') })\n  const program = new Command`,
  )
  const crashed = await hestia(['routes'], { cwd: dir, program: own.program })
  t.match(crashed.stderr, /Error: crash\n.*file:\S+\/cli\/program\.ts:\d+:\d+/)
})

t.test('README: npm start runs a clone in which only what it needs is installed', { timeout: 300_000 }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'hestia-clone-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const root = join(dir, 'hestia')
  const from = join(import.meta.dirname, '../..')
  cpSync(from, root, { recursive: true, filter: (path) => !/\/(?:node_modules|dist|\.git|\.tap)(?:\/|$)/.test(path) })
  execFileSync('cp', ['-a', join(from, 'node_modules'), root])
  rmSync(join(root, 'node_modules/.cache'), { recursive: true, force: true })
  const env = { ...cleanEnv({ npm_config_offline: 'true', HESTIA_SERVER_PORT: '0', HESTIA_LOG_FORMAT: 'json' }) }
  const npm = (...args: string[]) => ['env', '-u', 'NODE_OPTIONS', 'npm', ...args]
  const [prune, ...args] = npm('prune', '--omit=dev')
  execFileSync(prune!, args, { cwd: root, env, stdio: 'pipe' })
  t.notOk(existsSync(join(root, 'node_modules/tsx')), 'nothing runs TypeScript but what it compiles itself')
  symlinkSync(join(root, 'bin/hestia.js'), join(dir, 'hestia-command'))
  const gateway = await serve(t, root, {
    program: join(dir, 'hestia-command'),
    env: { HESTIA_SERVER_PORT: '0', HESTIA_LOG_FORMAT: 'json' },
  })
  t.equal(await gateway.health(), 'ok')
  t.equal(await gateway.end(), 0)
  t.match((JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }).scripts, {
    start: 'node bin/hestia.js',
  })
})

t.test('architecture: a change of the core says that a restart is needed, once for each', async (t) => {
  const dir = makeFolder(t)
  const own = new InstalledHestia(dir)
  const gateway = await serve(t, dir, { program: own.program })
  const told = () =>
    gateway.texts.stdout.split('\n').flatMap((line) => {
      if (!line.includes('"type":"reload.restart_needed"')) return []
      const { level, files } = JSON.parse(line) as { level: number; files: string[] }
      return [{ level, files: files.map((file) => file.replace(/^node_modules\/hestia\//, '')) }]
    })
  own.edit('core/deadline.ts', '/**', '/** Changed. */\n/**')
  await until(() => told().length === 1, 'the first change')
  own.edit('schemas/config.ts', "'@sinclair/typebox'", '"@sinclair/typebox"')
  await until(() => told().length === 2, 'the second change')
  // Neither of these is of the core.
  own.edit('cli/program.ts', HELP, 'A changed gateway.')
  own.edit('plugins/api/health.ts', "({ status: 'ok' })", "({ status: 'live' })")
  await until(async () => (await gateway.health()) === 'live', 'the plugin')
  own.edit('core/deadline.ts', '/** Changed. */\n', '')
  await until(() => told().length === 3, 'the core as it was')
  own.edit('schemas/config.ts', '"@sinclair/typebox"', "'@sinclair/typebox'")
  await until(() => told().length === 4, 'all as it was')
  t.strictSame(told(), [
    { level: 40, files: ['core/deadline.ts'] },
    { level: 40, files: ['core/deadline.ts', 'schemas/config.ts'] },
    { level: 40, files: ['schemas/config.ts'] },
    { level: 30, files: [] },
  ])
  t.match(gateway.texts.stdout, /core\/deadline\.ts changed: the core cannot be reloaded, restart Hestia for it/)
  t.equal(await gateway.end(), 0)
})
