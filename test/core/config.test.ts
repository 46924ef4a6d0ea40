// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration's own syntax is what is tested
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TProperties, Type } from '@sinclair/typebox'
import fc from 'fast-check'
import t from 'tap'
import { type Config, enabledPlugins, type Known, parseConfig, resolveConfig, sameConfig } from '../../core/config/index.ts'
import { substitute } from '../../core/config/substitute.ts'
import type { PluginDefinition } from '../../core/plugin.ts'
import { formatProblem, ProblemError } from '../../core/problem.ts'
import type { Strategy } from '../../core/strategy.ts'
import { STANDARD_PLUGINS } from '../../schemas/standard-plugins.ts'
import { Argv, HttpUrl, Milliseconds } from '../../schemas/units.ts'

const closed = <P extends TProperties>(properties: P) => Type.Object(properties, { additionalProperties: false })

const queueKeys = {
  size: Type.Integer({ minimum: 0, default: 100 }),
  timeout_ms: Milliseconds({ default: 60_000 }),
}

const queue: PluginDefinition = { name: 'queue', options: closed(queueKeys), service: closed(queueKeys), setup: () => undefined }

const idle: PluginDefinition = {
  name: 'idle',
  options: closed({}),
  service: closed({ timeout_ms: Milliseconds({ default: 0 }), ignore_paths: Type.Array(Type.String(), { default: [] }) }),
  setup: () => undefined,
}

const starter: PluginDefinition = {
  name: 'process',
  starter: { reportsReadiness: false },
  service: closed({
    command: Argv(),
    cwd: Type.Optional(Type.String({ minLength: 1 })),
    env: Type.Record(Type.String(), Type.String(), { default: {} }),
    stop_signal: Type.Union([Type.Literal('SIGTERM'), Type.Literal('SIGINT')], { default: 'SIGTERM' }),
  }),
  setup: () => undefined,
}

const tls = Type.Object(
  { ca_file: Type.Optional(Type.String()), reject_unauthorized: Type.Boolean({ default: true }) },
  { additionalProperties: false, default: {} },
)
const proxy: PluginDefinition = { name: 'proxy', options: closed({ tls }), service: closed({ tls }), setup: () => undefined }

const semaphore: PluginDefinition = {
  name: 'semaphore',
  options: closed({
    base_url: HttpUrl(),
    token: Type.String(),
    groups: Type.Record(Type.String(), closed({ capacity: Type.Integer({ default: 1 }) }), { default: {} }),
  }),
  service: closed({ project: Type.Integer(), start_template: Type.Integer() }),
  setup: () => undefined,
}

const cors: PluginDefinition = { name: '@fastify/cors', setup: () => undefined }

const router: Strategy = {
  name: 'model_router',
  routing: closed({ model_key: Type.String({ default: 'model' }), by_model: Type.Record(Type.String(), Type.String()) }),
  select: () => undefined,
}

const known: Known = {
  plugins: [queue, starter, idle, proxy],
  available: ['semaphore', 'docker'],
  strategies: new Map([['model_router', router]]),
}

const withSemaphore: Known = { ...known, plugins: [...known.plugins, semaphore] }

type Env = Record<string, string>

const load = (text: string, env: Env = {}, given: Known = known): Config => resolveConfig(parseConfig('c.yml', text, env), given)

/** Everything wrong with a text, as printed. */
function mistakes(text: string, env: Env = {}, given: Known = known): string[] {
  try {
    load(text, env, given)
    return []
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    return error.problems.map(formatProblem)
  }
}

/** A file with one service `web`, whose lines begin at line 3. */
const web = (...lines: string[]): string => ['services:', '  web:', ...lines.map((line) => `    ${line}`)].join('\n')

const URL_LINE = 'base_url: http://127.0.0.1:9000'

t.test('R17 a configuration has every default and is deeply frozen', (t) => {
  const config = load(web(URL_LINE, 'process: { command: [web, -x] }'))
  t.match(config.server, { host: '127.0.0.1', port: 8080 })
  t.equal(config.log.level, 'info')
  t.equal(config.shutdown, 'stop')
  t.same([...config.plugins.keys()], ['queue', 'process', 'idle', 'proxy'], 'in set-up order')
  t.same(config.plugins.get('queue'), { size: 100, timeout_ms: 60_000 })
  const service = config.services.web
  t.match(service, {
    id: 'web',
    fallback: null,
    hosts: [],
    strategy: undefined,
    routing: {},
    start: { attempts: 1, timeout_ms: 120_000 },
  })
  t.same(service?.named, ['process'])
  t.same(service?.sections, {
    queue: { size: 100, timeout_ms: 60_000 },
    process: { command: ['web', '-x'], env: {}, stop_signal: 'SIGTERM' },
    idle: { timeout_ms: 0, ignore_paths: [] },
    proxy: { tls: { reject_unauthorized: true } },
  })
  t.match(service?.instances, [{ name: 'default', url: 'http://127.0.0.1:9000', weight: 1 }])
  t.throws(() => Object.assign(service?.sections.queue ?? {}, { size: 1 }), TypeError)
  t.throws(() => Object.assign(config.server, { port: 1 }), TypeError)
  t.equal(config.services.constructor, undefined, 'nothing is inherited')
  t.end()
})

t.test('a section that is not named is there only when its defaults satisfy the schema', (t) => {
  const service = load(web(URL_LINE)).services.web
  t.same(Object.keys(service?.sections ?? {}), ['queue', 'idle', 'proxy'])
  t.same(service?.named, [])
  t.same(load(web(URL_LINE, 'queue:')).services.web?.named, ['queue'], 'a name with nothing behind it is an empty section')
  t.end()
})

t.test('options of a plugin are the defaults of its section, key by key', (t) => {
  const head = 'plugins:\n  queue: { size: 7 }\n  proxy: { tls: { reject_unauthorized: false } }\n'
  const config = load(`${head}${web(URL_LINE, 'queue: { timeout_ms: 5 }', 'proxy: { tls: { ca_file: /ca.pem } }')}`)
  t.same(config.services.web?.sections.queue, { size: 7, timeout_ms: 5 })
  t.same(config.services.web?.sections.proxy, { tls: { ca_file: '/ca.pem', reject_unauthorized: false } })
  t.same(config.plugins.get('queue'), { size: 7, timeout_ms: 60_000 })
  t.end()
})

t.test('instances have names, machines, and sections of their own over those of the service', (t) => {
  const config = load(`machines:
  gpu-box: { role: remote, address: 192.168.1.20 }
  mini: { address: mini.home }
services:
  llm:
    queue: { size: 5 }
    process: { cwd: /srv }
    fallback_url: http://llm-c
    instances:
      - { url: http://llm-a:11434, machine: gpu-box, weight: 2, region: home, process: { command: [a] }, queue: { timeout_ms: 9 } }
      - { url: http://llm-b, name: b, process: { command: [b], cwd: /b } }
`)
  const service = config.services.llm
  t.same(
    service?.instances.map(({ name, weight, machine, region }) => [name, weight, machine, region]),
    [
      ['llm-a:11434', 2, 'gpu-box', 'home'],
      ['b', 1, undefined, undefined],
    ],
  )
  t.match(service?.instances[0]?.sections, { queue: { size: 5, timeout_ms: 9 }, process: { command: ['a'], cwd: '/srv' } })
  t.match(service?.instances[1]?.sections, { queue: { size: 5, timeout_ms: 60_000 }, process: { command: ['b'], cwd: '/b' } })
  t.same(service?.named, ['queue', 'process'])
  t.same(
    config.machines.mini,
    { role: 'remote', address: 'mini.home', capabilities: {}, sections: {}, named: [] },
    'defaults reach mappings with free keys',
  )
  t.match(service?.fallback, { name: 'fallback', url: 'http://llm-c' })
  t.notOk(service?.fallback?.sections.process, 'nothing starts the fallback')
  const own = load(web('instances: [{ url: http://a/ }, { url: http://b }]', 'fallback_url: http://a')).services.web
  t.equal(own?.fallback, own?.instances[0], 'a fallback that is an instance is that instance')
  t.end()
})

t.test('R12 routing is checked by the schema of the strategy, with its defaults', (t) => {
  const config = load(web(URL_LINE, 'strategy: model_router', 'routing: { by_model: { llama3: default } }'))
  t.same(config.services.web?.routing, { model_key: 'model', by_model: { llama3: 'default' } })
  t.same(mistakes(web(URL_LINE, 'strategy: model_router', 'routing: { by_modell: {} }')), [
    'c.yml:5:5 services.web.routing.by_model: is missing; expected a mapping',
    'c.yml:5:16 services.web.routing.by_modell: unknown key; did you mean "by_model"?',
  ])
  t.end()
})

const on = (text: string) => enabledPlugins(parseConfig('c.yml', text, { AUTH: 'false' }))

t.test('R15 which plugins are on', (t) => {
  t.same(on('services: {}'), STANDARD_PLUGINS)
  t.same(
    on('plugins: { "@fastify/cors": {}, queue: { size: 1 }, idle: false, ./my/thing.ts: }'),
    [...STANDARD_PLUGINS.filter((name) => name !== 'idle'), '@fastify/cors', './my/thing.ts'],
    'a listed standard plugin keeps its place, the others follow as listed',
  )
  t.same(
    on('plugins: { defaults: false, proxy: {}, queue: true, idle: false }'),
    ['proxy', 'queue'],
    'only what is listed, as listed',
  )
  t.same(on('plugins: { defaults: false, auth: "${AUTH}", api: }'), ['api'], 'a switch may come from the environment')
  t.same(on('plugins: { ./plugins/queue.ts: {} }').indexOf('./plugins/queue.ts'), STANDARD_PLUGINS.indexOf('queue'))
  t.end()
})

t.test('a Fastify plugin from npm gets its options unchecked, a file goes by its name', (t) => {
  const thing: PluginDefinition = { name: 'thing', options: closed({ n: Type.Integer() }), setup: () => undefined }
  const text = 'plugins: { defaults: false, "@fastify/cors": { origin: false, maxAge: "${AGE}" }, ./my/thing.ts: { n: 3 } }'
  const given = { ...known, plugins: [cors, thing] }
  const config = load(text, { AGE: '5' }, given)
  t.same(
    [...config.plugins],
    [
      ['@fastify/cors', { origin: false, maxAge: '5' }],
      ['thing', { n: 3 }],
    ],
  )
  t.match(mistakes(text.replace('n: 3', 'n: x'), { AGE: '5' }, given), [
    'c.yml:1:103 plugins../my/thing.ts.n: expected a whole number, found "x"',
  ])
  t.equal(load(text, { AGE: '5', HESTIA_THING_N: '8' }, given).plugins.get('thing')?.n, 8)
  t.end()
})

const TABLE: readonly (readonly [title: string, text: string, expected: readonly string[]])[] = [
  ['an unknown key at the top', 'servces: {}', ['c.yml:1:1 servces: unknown key; did you mean "services"?']],
  ['an unknown key of a service', web(URL_LINE, 'strt: {}'), ['c.yml:4:5 services.web.strt: unknown key; did you mean "start"?']],
  [
    'an unknown key in a section',
    web(URL_LINE, 'queue:', '  siz: 3'),
    ['c.yml:5:7 services.web.queue.siz: unknown key; did you mean "size"?'],
  ],
  [
    'a key far from all others',
    web(URL_LINE, 'queue: { x_y_z: 3 }'),
    ['c.yml:4:14 services.web.queue.x_y_z: unknown key; known are size, timeout_ms'],
  ],
  ['a wrong type', 'server: { port: http }', ['c.yml:1:17 server.port: expected a whole number from 0 to 65535, found "http"']],
  [
    'a number out of range',
    'server:\n  port: 70000',
    ['c.yml:2:9 server.port: expected a whole number from 0 to 65535, found 70000'],
  ],
  [
    'a quoted number',
    web(URL_LINE, 'queue: { size: "3" }'),
    ['c.yml:4:20 services.web.queue.size: expected a whole number of at least 0, found "3"'],
  ],
  [
    'none of the literals',
    'log: { level: verbose }',
    ['c.yml:1:15 log.level: expected "fatal", "error", "warn", "info", "debug", "trace" or "silent", found "verbose"'],
  ],
  [
    'a missing key',
    web(URL_LINE, 'process:', '  cwd: /x'),
    ['c.yml:4:5 services.web.process.command: is missing; expected a list that is not empty, each a text'],
  ],
  [
    'a number in a list of texts',
    web(URL_LINE, 'process: { command: [sleep, 5] }'),
    ['c.yml:4:33 services.web.process.command.1: expected a text (put it in quotes), found 5'],
  ],
  [
    'neither base_url nor instances',
    web('queue: {}'),
    ['c.yml:2:3 services.web: needs a "base_url", or "instances" with a "url" each'],
  ],
  [
    'both base_url and instances',
    web(URL_LINE, 'instances: [{ url: http://x }]'),
    ['c.yml:3:5 services.web.base_url: a service has either "base_url" or "instances", not both'],
  ],
  [
    'no instances',
    web('instances: []'),
    [`c.yml:3:16 services.web.instances: expected a list that is not empty, each a mapping, found a list`],
  ],
  [
    'an instance without a URL',
    web('instances:', '  - name: a'),
    ['c.yml:4:9 services.web.instances.0.url: is missing; expected an http(s) URL without user, query or fragment'],
  ],
  [
    'an unknown key of an instance',
    web('instances:', '  - url: http://a', '    weigth: 3'),
    ['c.yml:5:9 services.web.instances.0.weigth: unknown key; did you mean "weight"?'],
  ],
  [
    'two instances of one name',
    web('instances: [{ url: http://a/1 }, { url: http://a/2 }]'),
    ['c.yml:3:45 services.web.instances.1.url: another instance has the same name; give each a "name" of its own'],
  ],
  [
    'a relative URL',
    web('base_url: localhost:9000'),
    ['c.yml:3:15 services.web.base_url: expected an http(s) URL without user, query or fragment, found "localhost:9000"'],
  ],
  [
    'a URL that cannot be parsed',
    web('base_url: http://a:99999'),
    ['c.yml:3:15 services.web.base_url: this is not a URL, found "http://a:99999"'],
  ],
  [
    'a URL with a user',
    web('base_url: http://me:pw@a'),
    ['c.yml:3:15 services.web.base_url: expected an http(s) URL without user, query or fragment, found "http://***@a"'],
  ],
  [
    'a machine that is not there',
    `machines: { gpu-box: { address: a } }\n${web(URL_LINE, 'machine: gpubox')}`,
    ['c.yml:5:14 services.web.machine: expected a key of "machines", found "gpubox"; did you mean "gpu-box"?'],
  ],
  [
    'a machine without address',
    'machines:\n  a: {}',
    ['c.yml:2:3 machines.a.address: is missing; expected a text that is not empty'],
  ],
  [
    'a strategy that is not there',
    web(URL_LINE, 'strategy: model-router'),
    ['c.yml:4:15 services.web.strategy: expected the name of a strategy, found "model-router"; did you mean "model_router"?'],
  ],
  [
    'routing without a strategy',
    web(URL_LINE, 'routing: { a: 1 }'),
    ['c.yml:4:5 services.web.routing: these are options of a strategy, but the service has none; add "strategy: <name>"'],
  ],
  [
    'a section of a plugin that is off',
    web(URL_LINE, 'semaphore: {}'),
    ['c.yml:4:5 services.web.semaphore: the plugin "semaphore" is off; write "semaphore: {}" under "plugins" to switch it on'],
  ],
  [
    'a section of a plugin that is switched off',
    `plugins: { semaphore: false }\n${web(URL_LINE, 'semaphore: {}')}`,
    [
      'c.yml:5:5 services.web.semaphore: the plugin "semaphore" is off; replace "semaphore: false" by "semaphore: {}" under "plugins" to switch it on',
    ],
  ],
  [
    'a plugin that does not exist',
    'plugins:\n  sempahore: {}',
    ['c.yml:2:3 plugins.sempahore: there is no plugin of this name; did you mean "semaphore"?'],
  ],
  [
    'switching off what was misspelled',
    'plugins:\n  helth: false',
    ['c.yml:2:3 plugins.helth: there is no plugin of this name; did you mean "health"?'],
  ],
  [
    'options that are no mapping',
    'plugins: { queue: 5 }',
    ['c.yml:1:19 plugins.queue: expected a mapping with options, true or false, found 5'],
  ],
  [
    'wrong options',
    'plugins: { queue: { size: -1 } }',
    ['c.yml:1:27 plugins.queue.size: expected a whole number of at least 0, found -1'],
  ],
  ['options of a plugin that takes none', 'plugins: { process: { a: 1 } }', ['c.yml:1:23 plugins.process.a: unknown key']],
  ['plugins as a list', 'plugins: [queue]', ['c.yml:1:10 plugins: expected a mapping, found a list']],
  [
    'a bad service name',
    'services:\n  my llm: { base_url: http://a }',
    [
      'c.yml:2:3 services.my llm: the name of a service begins with a letter or digit and has only letters, digits, ".", "_" and "-"',
    ],
  ],
  [
    'a service that is no mapping',
    'services: { web: http://a }',
    ['c.yml:1:18 services.web: expected a mapping, found "http://a"'],
  ],
  [
    'the same host name twice',
    'services:\n  a: { base_url: http://a, hosts: [x.home] }\n  b: { base_url: http://b, hosts: [X.home] }',
    ['c.yml:3:36 services.b.hosts.0: the service "a" has this host name already'],
  ],
  [
    'a secret of the wrong type',
    web(URL_LINE, 'process: { command: [a], env: { API_TOKEN: 123456 } }'),
    ['c.yml:4:48 services.web.process.env.API_TOKEN: expected a text (put it in quotes)'],
  ],
  [
    'a merged key',
    'services:\n  a: &a\n    base_url: http://a\n    queue: { siz: 1 }\n  b:\n    <<: *a\n    base_url: http://b',
    [
      'c.yml:4:14 services.a.queue.siz: unknown key; did you mean "size"?',
      'c.yml:4:14 services.b.queue.siz: unknown key; did you mean "size"?',
    ],
  ],
  [
    'an indentation mistake',
    'services:\n  web:\n   a: 1\n  b: [1',
    ['c.yml:4:8 Flow sequence in block collection must be sufficiently indented and end with a ]'],
  ],
  [
    'a key twice',
    'log: {}\nserver: {}\nlog: {}',
    ['c.yml:3:1 log: this key stands in line 1 already; rename one of the two, or take it out'],
  ],
  [
    'braces that are not quoted',
    web('base_url: {{ url }}'),
    ['c.yml:3:16 a key must be a plain word; put what holds braces or brackets in quotes'],
  ],
  ['an unknown tag', web('base_url: !env URL'), ['c.yml:3:15 Unresolved tag: !env']],
  ['an alias to nowhere', 'log: *x', ['c.yml:1:6 there is no anchor "&x" above this']],
  ['an anchor in itself', 'log: &x { level: *x }', ['c.yml:1:18 the anchor "&x" contains itself']],
  ['a key that is no key', web('__proto__: {}'), ['c.yml:3:5 a key cannot be called "__proto__"']],
  [
    'a list where a mapping belongs',
    `log: [info]\n${web(URL_LINE, 'queue: [3]')}`,
    ['c.yml:1:6 log: expected a mapping, found a list', 'c.yml:5:12 services.web.queue: expected a mapping, found a list'],
  ],
  [
    'a reference that is not quoted in braces',
    'server: { port: ${PORT} }',
    ['c.yml:1:18 Unexpected flow-map-start at node end; inside of { } and [ ] put references with "${" in quotes'],
  ],
  ['no text at all', '', ['c.yml:1:1 the file is empty; one without services says "services: {}"']],
  ['nothing but a comment', '# later\n', ['c.yml:1:1 the file is empty; one without services says "services: {}"']],
  ['a list at the top', '- a', ['c.yml:1:1 expected a mapping at the top: "server:", "plugins:", "services:" and so on']],
  [
    'a variable that is not set',
    web('base_url: ${NOPE}'),
    [
      'c.yml:3:15 services.web.base_url: the environment variable NOPE is not set; set it, write "${NOPE:-default}", or write "$${" where "${" is meant as it is',
    ],
  ],
]

t.test('R17 each mistake is reported where it is, with what to do', (t) => {
  for (const [title, text, expected] of TABLE) t.strictSame(mistakes(text), expected, title)
  t.end()
})

t.test('R17 all mistakes are reported at once, in the order of the file, one per path', (t) => {
  const text = `server: { prt: 1 }
services:
  a: { base_url: nonsense, queue: { size: x, tiny: 1 }, machine: m }
  b: { idle: { timeout_ms: -1 }, nonsense: {} }
  c: 5
`
  t.strictSame(
    mistakes(text).map((line) => line.split(': ')[0]),
    [
      'c.yml:1:11 server.prt',
      'c.yml:3:18 services.a.base_url',
      'c.yml:3:43 services.a.queue.size',
      'c.yml:3:46 services.a.queue.tiny',
      'c.yml:3:66 services.a.machine',
      'c.yml:4:3 services.b',
      'c.yml:4:28 services.b.idle.timeout_ms',
      'c.yml:4:34 services.b.nonsense',
      'c.yml:5:6 services.c',
    ],
  )
  t.strictSame(
    mistakes('a: ${X}\nb: [{ c: "${Y}" }, "${file:/nowhere/at/all}"]').map((line) => line.slice(0, 50)),
    [
      'c.yml:1:4 a: the environment variable X is not set',
      'c.yml:2:1 b: unknown key; known are server, log, shutdown',
      'c.yml:2:10 b.0.c: the environment variable Y is no',
      'c.yml:2:20 b.1: the file /nowhere/at/all cannot be',
    ].map((line) => line.slice(0, 50)),
  )
  t.end()
})

t.test('R17 aliases that multiply are refused before they fill the memory', (t) => {
  const levels = Array.from({ length: 12 }, (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join(', ')}]`)
  const found = mistakes(['l0: &l0 [x]', ...levels].join('\n'))
  t.equal(found.length, 1)
  t.match(found[0], /the anchors of the file cannot be resolved: Excessive alias count/)
  const shared = Array.from({ length: 500 }, (_, n) => `  s${n}: { base_url: "http://h:${n + 1}", queue: *q }`)
  t.equal(
    load(['services:', '  s: { base_url: http://h, queue: &q { size: 4 } }', ...shared].join('\n')).services.s499?.sections.queue
      ?.size,
    4,
  )
  t.end()
})

t.test('R17 substitution gives the type that the schema wants', (t) => {
  const dir = t.testdir({ secret: 'file token\n\n' })
  const file = join(dir, 'c.yml')
  const text = `server: { port: "\${PORT}" }
plugins:
  semaphore: { base_url: "\${SCHEME:-http}://\${HOST}:3000", token: "\${TOKEN}", groups: { gpu: { capacity: "\${CAP}" }, cpu: {} } }
services:
  web:
    base_url: http://\${HOST}
    process: { command: [run, "\${N}"], env: { A: "$\${A}", S: "\${file:secret}" } }
    idle: { ignore_paths: "\${PATHS}", timeout_ms: "\${EMPTY:-250}" }
    fallback_url: \${NONE}
    instances: 
`.replace(/ {4}instances: \n/, '')
  const env = { PORT: '9090', HOST: 'box', TOKEN: '12345', CAP: '3', N: '5', PATHS: '/a, /b', EMPTY: '', NONE: 'null' }
  const config = resolveConfig(parseConfig(file, text, env), withSemaphore)
  t.equal(config.server.port, 9090)
  t.same(config.plugins.get('semaphore'), {
    base_url: 'http://box:3000',
    token: '12345',
    groups: { gpu: { capacity: 3 }, cpu: { capacity: 1 } },
  })
  t.same(config.services.web?.sections.process, {
    command: ['run', '5'],
    env: { A: '${A}', S: 'file token' },
    stop_signal: 'SIGTERM',
  })
  t.same(config.services.web?.sections.idle, { ignore_paths: ['/a', '/b'], timeout_ms: 250 })
  t.equal(config.services.web?.fallback, null)
  for (const wrong of ['true', '1e3', '12.7', '0x', 'ten'])
    t.strictSame(
      mistakes('server: { port: "${PORT}" }', { PORT: wrong }),
      ['c.yml:1:17 server.port: expected a whole number from 0 to 65535 (the value comes from the environment variable PORT)'],
      `${wrong} is refused and not printed`,
    )
  t.end()
})

t.test('R17 the environment overrides what the file says', (t) => {
  const text = `plugins: { semaphore: { base_url: http://s, token: t } }
machines: { gpu-box: { address: a } }
services:
  ollama: { base_url: http://a }
  my-llm:
    base_url: http://b
    semaphore: { project: 1, start_template: 3 }
    strategy: model_router
    routing: { by_model: {} }
`
  const env = {
    OLLAMA_IDLE_TIMEOUT_MS: '300000',
    OLLAMA_BASE_URL: 'http://c:11434',
    OLLAMA_QUEUE_SIZE: '50',
    OLLAMA_PROCESS_COMMAND: '["ollama", "serve, please"]',
    OLLAMA_HOSTS: 'a.home, b.home',
    OLLAMA_PROXY_TLS_REJECT_UNAUTHORIZED: 'false',
    MY_LLM_SEMAPHORE_START_TEMPLATE: '9',
    MY_LLM_ROUTING_MODEL_KEY: 'm',
    MY_LLM_BASE_URL: '',
    UNKNOWN_QUEUE_SIZE: '1',
    HESTIA_SERVER_PORT: '9191',
    HESTIA_LOG_LEVEL: 'debug',
    HESTIA_QUEUE_SIZE: '20',
    HESTIA_SEMAPHORE_TOKEN: '42',
    HESTIA_MACHINES_GPU_BOX_ADDRESS: 'b',
    HESTIA_CONFIG: 'c.yml',
  }
  const config = load(text, env, withSemaphore)
  const { ollama, 'my-llm': llm } = config.services
  t.match(config, { server: { port: 9191 }, log: { level: 'debug' }, machines: { 'gpu-box': { address: 'b' } } })
  t.match(config.plugins.get('semaphore'), { token: '42', base_url: 'http://s' })
  t.match(ollama, {
    hosts: ['a.home', 'b.home'],
    named: ['queue', 'process', 'idle', 'proxy'],
    instances: [{ url: 'http://c:11434' }],
  })
  t.match(ollama?.sections, {
    idle: { timeout_ms: 300_000 },
    queue: { size: 50 },
    process: { command: ['ollama', 'serve, please'] },
  })
  t.same(ollama?.sections.proxy, { tls: { reject_unauthorized: false } })
  t.match(llm, {
    instances: [{ url: 'http://b' }],
    routing: { model_key: 'm' },
    sections: { queue: { size: 20 }, semaphore: { start_template: 9 } },
  })
  t.end()
})

t.test('R17 a wrong or ambiguous variable is a problem that names it and hides its value', (t) => {
  t.strictSame(mistakes(web(URL_LINE), { WEB_QUEUE_SIZE: 'hunter2', WEB_BASE_URL: 'hunter2' }), [
    'environment services.web.base_url: expected an http(s) URL without user, query or fragment (the value comes from the environment variable WEB_BASE_URL)',
    'environment services.web.queue.size: expected a whole number of at least 0 (the value comes from the environment variable WEB_QUEUE_SIZE)',
  ])
  const two = 'services:\n  a-b: { base_url: http://a }\n  a.b: { base_url: http://b }'
  t.same(mistakes(two), [], 'names that collide do no harm while the variable is not set')
  t.strictSame(mistakes(two, { A_B_QUEUE_SIZE: '1' }), [
    'environment services.a-b.queue.size: the variable A_B_QUEUE_SIZE could mean services.a-b.queue.size and services.a.b.queue.size; set them in the file instead',
  ])
  t.strictSame(mistakes(web('instances: [{ url: http://x }]'), { WEB_BASE_URL: 'http://y' }), [
    'environment services.web.base_url: a service has either "base_url" or "instances", not both (the value comes from the environment variable WEB_BASE_URL)',
  ])
  t.end()
})

t.test('R17 R23 what is wrong is told without the passwords in it', (t) => {
  const text = web(
    'base_url: http://me:hunter2/hunter2@127.0.0.1:9000/?token=hunter2',
    'fallback_url: http://hunter2@127.0.0.1',
    'process: { command: { token: hunter2, url: "http://a:hunter2@b" } }',
    'queue: { size: { password: hunter2 }, timeout_ms: "http://a:hunter2@b" }',
  )
  const problems = (() => {
    try {
      load(text)
      return []
    } catch (error) {
      return (error as ProblemError).problems
    }
  })()
  t.equal(problems.length, 5)
  t.notMatch(JSON.stringify(problems), /hunter2/)
  t.match(problems[0], { path: 'services.web.base_url', message: /, found "http:\/\/\*\*\*@127\.0\.0\.1:9000\/\?token=\*\*\*"$/ })
  t.end()
})

t.test('an upstream that is the gateway itself is refused, not followed', (t) => {
  const LOOP = "this is Hestia's own address, so a request would come back to it for ever; name the address of the service itself"
  const at = (host: string, url: string) => mistakes(`server: { host: "${host}", port: 8080 }\n${web(`base_url: ${url}`)}`)
  for (const url of [
    'http://localhost:8080/services/web',
    'http://127.0.0.1:8080',
    'http://127.1:8080',
    'http://[::1]:8080',
    'http://0.0.0.0:8080',
    'http://LocalHost.:8080',
  ])
    for (const host of ['127.0.0.1', '0.0.0.0', '::', 'localhost'])
      t.strictSame(at(host, url), [`c.yml:4:15 services.web.base_url: ${LOOP}`], `${host} ${url}`)
  t.strictSame(at('box.home', 'http://BOX.home:8080'), [`c.yml:4:15 services.web.base_url: ${LOOP}`])
  t.same(at('127.0.0.1', 'http://127.0.0.1:8081'), [])
  t.same(at('127.0.0.1', 'http://other:8080'), [])
  t.same(mistakes(`server: { port: 80 }\n${web('base_url: http://localhost')}`).length, 1, 'a port that goes without saying')
  t.same(mistakes(`server: { port: 0 }\n${web('base_url: http://localhost:0')}`), [], 'a port that the system chooses')
  t.strictSame(mistakes(web('instances: [{ url: "http://localhost:8080" }]', 'fallback_url: http://localhost:8080')).length, 2)
  t.strictSame(mistakes(web(URL_LINE), { WEB_BASE_URL: 'http://localhost:8080/services/web' }), [
    `environment services.web.base_url: ${LOOP}; WEB_BASE_URL is for clients of Hestia to set, not for Hestia (the value comes from the environment variable WEB_BASE_URL)`,
  ])
  t.end()
})

t.test('rules of plugins are asked last, and point into the file', (t) => {
  let asked = 0
  const strict: PluginDefinition = {
    ...idle,
    check(config, report) {
      asked++
      for (const id of Object.keys(config.services)) report(['services', id, 'idle', 'timeout_ms'], 'is too short')
      report(['plugins', 'idle'], 'is odd')
      report(['services', 'web', 'warmup_ms'], 'must be given')
    },
  }
  const given = { ...known, plugins: [queue, strict] }
  t.equal(mistakes(web('queue: {}'), {}, given).length, 1)
  t.equal(asked, 0, 'not while something else is wrong')
  t.strictSame(mistakes(`plugins:\n  idle:\n${web(URL_LINE, 'idle: { timeout_ms: 5 }')}`, {}, given), [
    'c.yml:2:8 plugins.idle: is odd',
    'c.yml:4:3 services.web.warmup_ms: must be given',
    'c.yml:6:25 services.web.idle.timeout_ms: is too short',
  ])
  const broken: PluginDefinition = {
    ...idle,
    check: () => {
      throw new Error('oops')
    },
  }
  t.strictSame(mistakes('plugins: { idle: {} }', {}, { ...known, plugins: [broken] }), [
    'c.yml:1:12 plugins.idle: the plugin failed to check the configuration: oops',
  ])
  t.end()
})

t.test('a section may be left for the instances to complete, and a union says which of its kinds is meant', (t) => {
  t.strictSame(mistakes(web('process: { cwd: 5, env: { A: 1 } }', 'instances: [{ url: http://a, process: { command: [a] } }]')), [
    'c.yml:3:21 services.web.process.cwd: expected a text that is not empty (put it in quotes), found 5',
    'c.yml:3:34 services.web.process.env.A: expected a text (put it in quotes), found 1',
  ])
  t.strictSame(mistakes(web('instances: [{ url: http://a, process: { cwd: /x } }]')), [
    'c.yml:3:34 services.web.instances.0.process.command: is missing; expected a list that is not empty, each a text',
  ])
  const probe: PluginDefinition = {
    name: 'probe',
    service: closed({
      target: Type.Union([
        Type.Null(),
        Type.String({ minLength: 1 }),
        closed({ kind: Type.Literal('tcp'), port: Type.Integer({ minimum: 1 }) }),
        closed({
          kind: Type.Literal('http'),
          path: Type.String({ maxLength: 3 }),
          status: Type.Optional(Type.Number({ maximum: 599 })),
        }),
      ]),
    }),
    setup: () => undefined,
  }
  const given = { ...known, plugins: [probe] }
  const probing = (target: string, env: Env = {}) => mistakes(web(URL_LINE, `probe: { target: ${target} }`), env, given)
  t.same(probing('{ kind: tcp, port: "${PORT}" }', { PORT: '80' }), [])
  t.strictSame(probing('{ kind: tcp, port: 0 }'), [
    'c.yml:4:41 services.web.probe.target.port: expected a whole number of at least 1, found 0',
  ])
  t.strictSame(probing('{ kind: http, path: long, status: 700 }'), [
    'c.yml:4:42 services.web.probe.target.path: expected a text with a length of at most 3, found "long"',
    'c.yml:4:56 services.web.probe.target.status: expected a number of at most 599, found 700',
  ])
  t.strictSame(probing('5'), [
    'c.yml:4:22 services.web.probe.target: expected null, a text that is not empty or a mapping (put it in quotes), found 5'.replace(
      ' (put it in quotes)',
      '',
    ),
  ])
  t.end()
})

t.test('switches of plugins, and lists that are no JSON', (t) => {
  const text = 'plugins: { defaults: "${D}", queue: "${Q}" }'
  t.same(load(text, { D: 'true', Q: '1' }).plugins.get('queue')?.size, 100)
  t.strictSame(mistakes(text, { D: 'maybe', Q: 'perhaps' }), [
    'c.yml:1:22 plugins.defaults: expected true or false',
    'c.yml:1:37 plugins.queue: expected a mapping with options, true or false',
  ])
  t.match(mistakes(web(URL_LINE), { WEB_HOSTS: '[nonsense' }), [/^environment services.web.hosts: expected a list, each a text/])
  t.match(mistakes(web(URL_LINE), { HESTIA_PLUGINS: 'x', WEB_START: 'x' }), [], 'what holds more than one value has no variable')
  const url = 'https://a/'
  t.equal(
    load(web('instances: [{ url: https://a }, { url: https://b, name: fallback }]', `fallback_url: ${url}`)).services.web
      ?.fallback?.name,
    'a:443',
  )
  t.match(mistakes(web('instances: [{ url: https://b, name: fallback }]', `fallback_url: ${url}`)), [
    /^c.yml:4:19 .*is called "fallback" already/,
  ])
  t.end()
})

t.test('R16 equal configurations are told from different ones', (t) => {
  const text = web(URL_LINE, 'queue: { size: 5 }')
  t.ok(sameConfig(load(text), load(`# comment\n${text}  # and one more\n`)))
  t.notOk(sameConfig(load(text), load(text.replace('5', '6'))))
  t.notOk(sameConfig(load(text), load(`plugins: { queue: { timeout_ms: 1 } }\n${text}`)))
  t.notOk(
    sameConfig(load(text), load(text, {}, { ...known, plugins: known.plugins.toReversed() })),
    'the order of plugins counts',
  )
  t.end()
})

t.test('R17 substitution: properties', (t) => {
  const lookup = { variable: (name: string) => (name === 'SET' ? 'value' : undefined), file: () => 'content\r\n' }
  const run = (text: string) => substitute(text, lookup)
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      fc.pre(!text.includes('${'))
      const { text: after, problems } = run(text)
      return after === text && problems.length === 0
    }),
  )
  const pieces = fc
    .array(fc.constantFrom('$', '{', '}', '${', '$${', 'SET', ':-', 'file:', 'x', '\n', '"', ' '))
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(pieces, (text) => {
      const { text: after, problems } = run(text.replaceAll('${', () => '$${'))
      return after === text && problems.length === 0
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(pieces, (text) => {
      const { problems, text: after } = run(text)
      return typeof after === 'string' && Array.isArray(problems)
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(pieces, (text) => {
      fc.pre(!text.includes('}'))
      return run(`${text.replaceAll('$', '')}\${${text}`).problems.length > 0
    }),
  )
  t.match(run('a ${SET} ${file:/x} ${NOT:-d} $${SET} $$ ${SET}').text, 'a value content d ${SET} $$ value')
  t.equal(run('${A:-${SET}}').problems.length, 1, 'nothing nests')
  t.equal(run('${}').problems.length, 1)
  t.equal(run('${A B}').problems.length, 1)
  t.equal(run('${NOT:-}').text, '', 'a default may be empty')
  t.end()
})

t.test('R17 no text makes the reader crash', (t) => {
  const words = fc.constantFrom(
    'services:',
    'plugins:',
    'a',
    'web:',
    '\n',
    '\n  ',
    '\n    ',
    'base_url: http://a',
    '[',
    ']',
    '{',
    '}',
    '- ',
    '&x ',
    '*x',
    '<<: ',
    '${',
    '}',
    'queue: ',
    'null',
    'instances: ',
    '"',
    '!!set ',
    '? ',
    '5',
    ': ',
  )
  fc.assert(
    fc.property(fc.array(words, { maxLength: 25 }), (parts) => {
      mistakes(parts.join(''))
    }),
    { numRuns: 2000 },
  )
  t.end()
})

t.test('files are read relative to the configuration, and 500 services are no burden', (t) => {
  const dir = t.testdir({})
  writeFileSync(join(dir, 'url'), 'http://from-file\n')
  const document = parseConfig(join(dir, 'c.yml'), 'services: { web: { base_url: "${file:url}" } }', {})
  t.equal(resolveConfig(document, known).services.web?.instances[0]?.url, 'http://from-file')
  const many = Array.from({ length: 500 }, (_, n) => `  s${n}: { base_url: "http://h:${n + 1}", queue: { size: ${n} } }`)
  const config = load(['services:', ...many].join('\n'), { S499_QUEUE_SIZE: '3' })
  t.equal(Object.keys(config.services).length, 500)
  t.same([config.services.s499?.sections.queue?.size, config.services.s498?.sections.queue?.size], [3, 498])
  t.end()
})
