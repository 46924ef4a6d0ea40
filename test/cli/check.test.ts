import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { check } from '../../core/check.ts'
import { formatProblem } from '../../core/problem.ts'
import { hestia } from '../helpers/hestia-command.ts'

const STRATEGY = `export default { name: 'mine', select: (request, { instances }) => instances[0] }\n`
const PLUGIN = `export default { name: 'mine', setup() { throw new Error('was set up') } }\n`
const SERVICE = 'base_url: http://127.0.0.1:9, warmup_ms: 0'

interface Case {
  readonly title: string
  readonly config: string
  readonly files?: Record<string, string | Record<string, string>>
  readonly env?: Record<string, string>
  /** Each must be one of the lines. */
  readonly says: readonly RegExp[]
  /** None of these follows from what is said already. */
  readonly silent?: readonly RegExp[]
}

const CASES: readonly Case[] = [
  {
    title: 'an unknown key, with what was meant',
    config: `services:\n  a: { ${SERVICE}, helth: { url: / } }\n`,
    says: [/^hestia_config\.yml:2:52 services\.a\.helth: unknown key; did you mean "health"\?$/m],
  },
  {
    title: 'a wrong type',
    config: `server:\n  port: many\nservices: {}\n`,
    says: [/^hestia_config\.yml:2:9 server\.port: expected a whole number from 0 to 65535, found "many"$/m],
  },
  {
    title: 'an unknown plugin',
    config: 'plugins:\n  semafore: {}\nservices: {}\n',
    says: [/^hestia_config\.yml:2:3 plugins\.semafore: there is no plugin of this name; did you mean "semaphore"\?/m],
  },
  {
    title: 'a file that is listed as a plugin and is not there',
    config: 'plugins:\n  ./my/thing.ts: {}\nservices: {}\n',
    says: [/^hestia_config\.yml:2:3 plugins\.\.\/my\/thing\.ts: there is no such file; the path is relative to the folder/m],
  },
  {
    title: 'the section of a plugin that is off',
    config: `services:\n  a: { ${SERVICE}, docker: { container: a } }\n`,
    says: [/^hestia_config\.yml:2:52 services\.a\.docker: the plugin "docker" is off; write "docker: \{\}"/m],
  },
  {
    title: 'an unknown strategy',
    config: `services:\n  a: { ${SERVICE}, strategy: stiky }\n`,
    says: [
      /^hestia_config\.yml:2:62 services\.a\.strategy: expected the name of a strategy, found "stiky"; did you mean "sticky"\?$/m,
    ],
  },
  {
    title: 'an unknown machine',
    config: `machines:\n  gpu-box: { address: 192.168.1.20 }\nservices:\n  a: { ${SERVICE}, machine: gpubox }\n`,
    says: [/^hestia_config\.yml:4:61 services\.a\.machine: .*found "gpubox"; did you mean "gpu-box"\?$/m],
  },
  {
    title: 'a name that comes twice',
    config: `services:\n  a: { ${SERVICE} }\n  a: { ${SERVICE} }\n`,
    says: [/^hestia_config\.yml:3:3 services\.a: this key stands in line 2 already; rename one of the two/m],
  },
  {
    title: 'a service that is Hestia itself',
    config: 'services:\n  a: { base_url: http://localhost:8080/services/a, warmup_ms: 0 }\n',
    says: [/^hestia_config\.yml:2:18 services\.a\.base_url: this is Hestia's own address/m],
  },
  {
    title: 'a variable that is not set',
    config: 'services:\n  a: { base_url: "${NOWHERE_URL}", warmup_ms: 0 }\n',
    says: [/^hestia_config\.yml:2:18 services\.a\.base_url: the environment variable NOWHERE_URL is not set/m],
  },
  {
    title: 'a variable that is not set and a name that comes twice, with all the rest',
    config: `services:\n  a: { base_url: "\${HOST_A}:\${PORT_A}", helth: 1 }\n  b: { ${SERVICE} }\n  b: { ${SERVICE}, idle: 5 }\n`,
    says: [
      /^hestia_config\.yml:2:18 services\.a\.base_url: the environment variable HOST_A is not set;.*\n(?:.*\n)*hestia_config\.yml:2:18 services\.a\.base_url: the environment variable PORT_A is not set;/m,
      /^hestia_config\.yml:2:41 services\.a\.helth: unknown key; did you mean "health"\?$/m,
      /^hestia_config\.yml:4:3 services\.b: this key stands in line 3 already/m,
      /^hestia_config\.yml:4:58 services\.b\.idle: expected a mapping, found 5$/m,
    ],
    silent: [/expected an http/],
  },
  {
    title: 'a variable that does not fit',
    config: `services:\n  a: { ${SERVICE} }\n`,
    env: { A_IDLE_TIMEOUT_MS: 'soon' },
    says: [/^environment services\.a\.idle\.timeout_ms: .*A_IDLE_TIMEOUT_MS/m],
  },
  {
    title: 'a plugin that is on and no TypeScript, and besides it what else is wrong',
    config: 'plugins: { mine: {} }\nservices:\n  a: { base_uri: http://127.0.0.1:9, mine: { x: 1 } }\n',
    files: {
      plugins: { 'mine.ts': `import { definePlugin } from 'hestia'\nexport default definePlugin({ name: 'mine' setup() {} })\n` },
    },
    says: [
      /^plugins\/mine\.ts:2:44 Expected "}" but found "setup"$/m,
      /^hestia_config\.yml:3:8 services\.a\.base_uri: unknown key; did you mean "base_url"\?$/m,
    ],
  },
  {
    title: 'a plugin that imports what is not there',
    config: 'plugins: { mine: {} }\nservices: {}\n',
    files: {
      plugins: { 'mine.ts': `import { nothing } from './nowhere.ts'\nexport default { name: 'mine', setup: nothing }\n` },
    },
    says: [/^plugins\/mine\.ts:1:25 could not resolve "\.\/nowhere\.ts"/m],
  },
  {
    title: 'a plugin whose file throws, at the line',
    config: 'plugins: { mine: {} }\nservices: {}\n',
    files: { plugins: { 'mine.ts': `const limit: number = 1\nif (limit) throw new Error('no limit')\nexport default {}\n` } },
    says: [/^plugins\/mine\.ts:2:18 failed while it was loaded: Error: no limit$/m],
  },
  {
    title: 'options that a plugin of the user refuses',
    config: 'plugins:\n  mine: { limit: low }\nservices: {}\n',
    files: {
      plugins: {
        'mine.ts': `import { definePlugin, Type } from 'hestia'\nexport default definePlugin({ name: 'mine', options: Type.Object({ limit: Type.Integer() }), setup() {} })\n`,
      },
    },
    says: [/^hestia_config\.yml:2:18 plugins\.mine\.limit: expected a whole number, found "low"$/m],
  },
  {
    title: 'a strategy that is no TypeScript',
    config: 'services: {}\n',
    files: { strategies: { 'mine.ts': 'export default {\n  name: "mine",\n  select( {\n}\n' } },
    says: [/^strategies\/mine\.ts:\d+:\d+ /m],
  },
  {
    title: 'two strategies of one name',
    config: 'services: {}\n',
    files: { strategies: { 'a.ts': STRATEGY, 'b.ts': STRATEGY } },
    says: [/^strategies\/b\.ts the name "mine" belongs to strategies\/a\.ts already; rename one of the two$/m],
  },
]

for (const { title, config, files = {}, env = {}, says, silent = [] } of CASES) {
  t.test(`R30 check finds ${title}`, async (t) => {
    const dir = t.testdir({ 'hestia_config.yml': config, ...files })
    const { problems } = await check(join(dir, 'hestia_config.yml'), env)
    const text = problems.map((problem) => formatProblem({ ...problem, file: problem.file.replace(`${dir}/`, '') })).join('\n')
    for (const sentence of says) t.match(text, sentence)
    for (const sentence of silent) t.notMatch(text, sentence)
  })
}

t.test('R30 check as a command tells everything at once and ends with 1', async (t) => {
  const cwd = t.testdir({
    'hestia_config.yml': `server:\n  port: many\nplugins: { mine: {} }\nservices:\n  a: { ${SERVICE}, helth: { url: / } }\n`,
    plugins: { 'mine.ts': 'export default {\n' },
    strategies: { 'a.ts': STRATEGY, 'b.ts': STRATEGY },
  })
  const { code, stdout, stderr } = await hestia(['check'], { cwd })
  t.equal(code, 1)
  t.equal(stderr, 'hestia_config.yml: 4 problems\n')
  t.match(stdout, /^strategies\/b\.ts the name "mine"/m)
  t.match(stdout, /^plugins\/mine\.ts:2:1 /m)
  t.match(stdout, /^hestia_config\.yml:2:9 server\.port: /m)
  t.match(stdout, /^hestia_config\.yml:5:52 services\.a\.helth: /m)
})

t.test('R30 check: what is fine ends with 0, and nothing was opened, set up or listened on', async (t) => {
  const cwd = t.testdir({
    'hestia_config.yml': `server: { port: 1 }\nplugins: { mine: {} }\nservices:\n  a: { ${SERVICE}, strategy: mine }\n`,
    plugins: { 'mine.ts': PLUGIN },
    strategies: { 'mine.ts': STRATEGY },
  })
  const { code, stdout, stderr } = await hestia(['check', '--config', join(cwd, 'hestia_config.yml')], { cwd: '/' })
  t.match({ code, stderr }, { code: 0, stderr: '' })
  t.match(stdout, /^ok .*hestia_config\.yml: 1 service, \d+ plugins, \d+ strategies\n$/)
  t.notOk(existsSync(join(cwd, 'hestia.sqlite')), 'no database')
})

t.test('R30 check: a file that is off and broken is a warning; --json tells all of it', async (t) => {
  const cwd = t.testdir({
    'hestia_config.yml': `services:\n  a: { ${SERVICE} }\n`,
    plugins: { 'draft.ts': 'export default {' },
  })
  const text = await hestia(['check'], { cwd })
  t.equal(text.code, 0)
  t.match(text.stdout, /^warning: plugins\/draft\.ts:1:17 /m)
  const json = await hestia(['check', '--json'], { cwd })
  t.match(JSON.parse(json.stdout), {
    valid: true,
    problems: [],
    warnings: [{ file: 'plugins/draft.ts', line: 1 }],
    services: ['a'],
  })
})

t.test('R30 check on a terminal shows the line, in colours', async (t) => {
  const cwd = t.testdir({ 'hestia_config.yml': 'services:\n  a: { base_uri: http://127.0.0.1:9 }\n' })
  const { code, stdout } = await hestia(['check'], { cwd, terminal: true })
  t.equal(code, 1)
  t.ok(stdout.includes('\u001b[1mhestia_config.yml:2:8\u001b[22m'), stdout)
  t.ok(stdout.includes(`   a: { base_uri: http://127.0.0.1:9 }\r\n`) && stdout.includes('        \u001b[31m^'), stdout)
  const plain = await hestia(['check'], { cwd, terminal: true, env: { NO_COLOR: '1' } })
  t.notOk(plain.stdout.includes('\u001b['), plain.stdout)
})

t.test('R30 check: a configuration that is not there', async (t) => {
  const { code, stdout } = await hestia(['check'], { cwd: t.testdir({}) })
  t.equal(code, 1)
  t.match(stdout, /hestia_config\.yml the configuration cannot be read \(ENOENT.*HESTIA_CONFIG or --config/)
})
