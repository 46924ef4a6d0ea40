import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { formatProblem, type Problem } from '../../core/problem.ts'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { until } from '../helpers/until.ts'

/** A plugin with a route that answers `text`, and whatever `more` does in its set-up. */
const plugin = (name: string, text: string, more = '') => `
import { definePlugin, Type } from 'hestia'
export default definePlugin({
  name: '${name}',
  options: Type.Object({ word: Type.String({ default: 'none' }) }, { additionalProperties: false }),
  async setup (app, options) {
    ${more}
    app.get('/${name}', async () => ({ text: '${text}', word: options.word, generation: app.hestia.generation }))
  }
})
`
const BARE = 'plugins: { defaults: false, api: {}, hello: {} }\nservices: {}\n'

const lines = (problems: readonly Problem[]): string => problems.map(formatProblem).join('\n')

type Hello = { text: string; word: string; generation: number }
const get = async (url: string) => (await (await fetch(url)).json()) as Hello

t.test('R16 promise 1: hammered during 50 reloads, every answer is 2xx', async (t) => {
  const { url, write, gateway } = await startGateway(t, { config: BARE, files: { 'plugins/hello.ts': plugin('hello', '0') } })
  let over = false
  const statuses = new Map<number, number>()
  const client = async () => {
    while (!over) {
      const { status, body } = await fetch(`${url}/hello`)
      await body?.cancel()
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const clients = Array.from({ length: 8 }, client)
  for (let n = 1; n <= 50; n++) {
    await write('plugins/hello.ts', plugin('hello', String(n)))
    await until(async () => (await get(`${url}/hello`)).text === String(n), `version ${n}`)
  }
  over = true
  await Promise.all(clients)
  t.same([...statuses.keys()], [200])
  t.ok(statuses.get(200)! > 50)
  t.equal(gateway.generation, 51)
})

t.test('R16 promise 2: a slow request ends on its own generation, with what that has open', async (t) => {
  const slow = (text: string) => `
import { definePlugin } from 'hestia'
export default definePlugin({ name: 'hello', setup (app) {
  let open = true
  app.addHook('onClose', async () => { open = false })
  const go = app.hestia.keep('go@1', () => ({ now: false }))
  app.get('/hello', async () => ({ text: '${text}', generation: app.hestia.generation }))
  app.get('/go', async () => { go.now = true; return {} })
  app.get('/slow', async () => {
    while (!go.now) await new Promise((resolve) => setTimeout(resolve, 5))
    return { text: '${text}', open, generation: app.hestia.generation }
  })
} })`
  const { url, write, event, gateway } = await startGateway(t, { config: BARE, files: { 'plugins/hello.ts': slow('old') } })
  const answer = fetch(`${url}/slow`)
  await fetch(`${url}/hello`)
  await write('plugins/hello.ts', slow('new'))
  await until(async () => (await get(`${url}/hello`)).text === 'new')
  t.equal(gateway.generations, 2, 'the old one drains')
  await fetch(`${url}/go`)
  t.same(await (await answer).json(), { text: 'old', open: true, generation: 1 })
  t.equal((await event('generation.retired')).drained, true)
  t.same(gateway.pool.keys(), ['go@1'])
})

t.test('R16 promise 4: what is broken is refused, the old one serves, kept values are as they were', async (t) => {
  const keeping = (more = '') => plugin('hello', 'good', `app.hestia.keep('count@1', () => ({ made: 1 }))\n${more}`)
  const { url, write, configure, gateway, events, event } = await startGateway(t, {
    config: BARE,
    files: { 'plugins/hello.ts': keeping() },
  })
  const refusals: [what: string, () => Promise<void>, RegExp][] = [
    ['a syntax error', () => write('plugins/hello.ts', `${keeping()}\nconst x = = 1`), /plugins\/hello\.ts:13:11 .*Unexpected/],
    [
      'a throw at load',
      () => write('plugins/hello.ts', `${keeping()}\nthrow new Error('at load')`),
      /plugins\/hello\.ts:13:\d+ .*at load/,
    ],
    [
      'a throw in set-up',
      () => write('plugins/hello.ts', keeping(`throw new Error('in set-up')`)),
      /plugins\/hello\.ts:8:\d+ .*in set-up/,
    ],
    [
      'a failing hook of every request',
      () => write('plugins/hello.ts', keeping(`app.addHook('onRequest', async () => { throw new Error('always') })`)),
      /probe failed/,
    ],
    ['a file that is no plugin', () => write('plugins/hello.ts', 'export default 5'), /must export definePlugin/],
    [
      'a wrong option',
      () => configure(BARE.replace('hello: {}', 'hello: { wrod: 5 }')),
      /hestia_config\.yml:\d+:\d+ .*wrod.*word/,
    ],
    ['broken YAML', () => configure('services: {a: [}'), /hestia_config\.yml:1:\d+/],
    ['an unknown plugin', () => configure(BARE.replace('hello: {}', 'helo: {}')), /no plugin of this name.*hello/],
    ['an empty file', () => write('hestia_config.yml', ''), /empty/],
  ]
  for (const [what, breakIt, message] of refusals) {
    const before = events.length
    await breakIt()
    const refused = await event('reload.rejected', ({ problems }) => message.test(lines(problems)), before)
    t.match(lines(refused.problems), message, what)
    t.same(
      await get(`${url}/hello`),
      { text: 'good', word: 'none', generation: gateway.generation },
      `after ${what} the old one serves`,
    )
    t.same(gateway.pool.keys(), ['count@1'])
    await write('plugins/hello.ts', keeping())
    await configure(BARE)
    await gateway.reload()
  }
  await write('plugins/hello.ts', plugin('hello', 'repaired'))
  await until(async () => (await get(`${url}/hello`)).text === 'repaired', 'the repaired plugin')
})

t.test('R16 promise 4: a set-up that never ends is given up, and requests are answered meanwhile', async (t) => {
  const { url, write, event } = await startGateway(t, { config: BARE, files: { 'plugins/hello.ts': plugin('hello', 'good') } })
  await write('plugins/hello.ts', plugin('hello', 'stuck', 'await new Promise(() => {})'))
  let answers = 0
  const refused = event('reload.rejected')
  let over = false
  void refused.finally(() => (over = true))
  while (!over) {
    t.equal((await get(`${url}/hello`)).text, 'good')
    answers++
    await sleep(50)
  }
  t.ok(answers > 10)
  t.equal((await refused).plugin, 'hello')
})

t.test('R16: one broken plugin does not hold up another', async (t) => {
  const { url, write, event } = await startGateway(t, {
    config: 'plugins: { defaults: false, api: {}, hello: {}, other: {} }\nservices: {}\n',
    files: { 'plugins/hello.ts': plugin('hello', 'good'), 'plugins/other.ts': plugin('other', 'one') },
  })
  await write('plugins/hello.ts', 'export default {')
  await event('reload.rejected')
  await write('plugins/other.ts', plugin('other', 'two'))
  await until(async () => (await get(`${url}/other`)).text === 'two', 'the other plugin')
  t.equal((await get(`${url}/hello`)).text, 'good')
  const { plugins } = (await (await fetch(`${url}/v1/plugins`)).json()) as { plugins: { name: string; state: string }[] }
  t.same(
    plugins.map(({ name, state }) => [name, state]),
    [
      ['api', 'on'],
      ['hello', 'failed'],
      ['other', 'on'],
    ],
  )
})

t.test('R16: a broken configuration does not hold up the code of plugins, nor the other way round', async (t) => {
  const { url, write, configure, gateway } = await startGateway(t, {
    config: BARE,
    files: { 'plugins/hello.ts': plugin('hello', 'one') },
  })
  await configure(BARE.replace('hello: {}', 'hello: { wrod: x }'))
  await until(() => gateway.problems.length > 0, 'the configuration to be refused')
  await write('plugins/hello.ts', plugin('hello', 'two'))
  await until(async () => (await get(`${url}/hello`)).text === 'two', 'the plugin, though the configuration is broken')
  t.equal(gateway.problems.length, 1, 'which is still told')
  await configure(BARE.replace('hello: {}', 'hello: { word: mended }'))
  await until(async () => (await get(`${url}/hello`)).word === 'mended', 'the mended configuration')
  t.same(gateway.problems, [])
})

t.test('R14: a strategy that does not fit the configuration in force is refused, the last good one goes on', async (t) => {
  const strategy = (type: string, pick: number) => `import { defineStrategy, Type } from 'hestia'
export default defineStrategy({ name: 's', routing: Type.Object({ key: Type.${type}() }), select: (_, { instances }) => instances[${pick}] })`
  const { write, gateway, event } = await startGateway(t, {
    config: `${BARE.replace('services: {}\n', '')}services: { a: { base_url: "http://127.0.0.1:1", strategy: s, routing: { key: word } } }\n`,
    files: { 'plugins/hello.ts': plugin('hello', 'one'), 'strategies/s.ts': strategy('String', 0) },
  })
  const good = gateway.strategies.get('s')
  await write('strategies/s.ts', strategy('Number', 0))
  const failed = await event('strategy.failed')
  t.match(lines(failed.problems), /hestia_config\.yml:\d+:\d+ services\.a\.routing\.key: /)
  t.equal(gateway.strategies.get('s'), good)
  t.same(gateway.problems, [], 'the configuration is not to blame')
  await write('strategies/s.ts', strategy('String', 1))
  await until(() => gateway.strategies.get('s') !== good, 'the mended strategy')
  t.same(gateway.strategies.failed(), [])
})

t.test('R16 R29: what was refused and then taken back is told, though nothing is reloaded', async (t) => {
  const strategy = (text: string) => `export default { name: 's', select: () => undefined } ${text}`
  const { write, remove, configure, gateway, event, events } = await startGateway(t, {
    config: BARE,
    files: { 'plugins/hello.ts': plugin('hello', 'one'), 'strategies/s.ts': strategy('') },
  })
  await configure('services: 7')
  await event('reload.rejected', ({ phase }) => phase === 'config')
  await configure(BARE)
  t.match(await event('reload.recovered'), { phase: 'config' })
  t.same(gateway.problems, [])

  await write('plugins/hello.ts', 'export default {')
  await event('reload.rejected', ({ phase }) => phase === 'plugin')
  await write('plugins/hello.ts', plugin('hello', 'one'))
  t.match(await event('reload.recovered', ({ phase }) => phase === 'plugin'), { plugin: 'hello' })

  await write('strategies/s.ts', strategy('('))
  await event('strategy.failed')
  await write('strategies/s.ts', strategy(''))
  t.match(await event('strategy.recovered'), { file: 'strategies/s.ts' })
  const from = events.length
  await write('strategies/other.ts', '(')
  await event('strategy.failed', () => true, from)
  await remove('strategies/other.ts')
  t.match(await event('strategy.recovered', () => true, from), { file: 'strategies/other.ts' })
  t.same(gateway.strategies.failed(), [])
  t.same(
    events.filter(({ type }) => type === 'reload.applied'),
    [],
    'nothing was replaced',
  )
  t.equal(events.filter(({ type }) => type.endsWith('.recovered')).length, 4, 'each once')
})

t.test('R16 promise 5: editing a helper reloads only what imports it', async (t) => {
  const withHelper = (name: string, helper: string) =>
    plugin(name, '-').replace("text: '-'", 'text').replace('import', `import { text } from './${helper}.ts'\nimport`)
  const { url, write, gateway } = await startGateway(t, {
    config: 'plugins: { defaults: false, api: {}, hello: {}, other: {} }\nservices: {}\n',
    files: {
      'plugins/hello.ts': withHelper('hello', 'lib/a'),
      'plugins/other.ts': withHelper('other', 'lib/b'),
      'plugins/lib/a.ts': `export const text: string = 'a1'`,
      'plugins/lib/b.ts': `export const text: string = 'b1'`,
    },
  })
  const loadedAt = () => Object.fromEntries(gateway.plugins().map(({ name, loadedAt }) => [name, loadedAt]))
  const before = loadedAt()
  await write('plugins/lib/b.ts', `export const text: string = 'b2'`)
  await until(async () => (await get(`${url}/other`)).text === 'b2', 'the new helper')
  t.equal((await get(`${url}/hello`)).text, 'a1')
  t.equal(loadedAt().hello, before.hello)
  t.not(loadedAt().other, before.other)
})

t.test('R16 promise 6: of two edits during a running reload the last wins', async (t) => {
  const slowly = (text: string) => plugin('hello', text, 'await new Promise((resolve) => setTimeout(resolve, 150))')
  const { url, write, gateway } = await startGateway(t, { config: BARE, files: { 'plugins/hello.ts': slowly('0') } })
  await write('plugins/hello.ts', slowly('1'))
  const first = gateway.reload()
  await sleep(30)
  await write('plugins/hello.ts', slowly('2'))
  await sleep(30)
  await write('plugins/hello.ts', slowly('3'))
  await first
  await until(async () => (await get(`${url}/hello`)).text === '3', 'the last edit')
})

t.test('R16 promise 7: a comment in the YAML changes nothing', async (t) => {
  const { configure, gateway } = await startGateway(t, { config: BARE, files: { 'plugins/hello.ts': plugin('hello', 'x') } })
  await configure(`# a comment\n${BARE}\n\n`)
  t.same((await gateway.reload()).changes, [])
  t.equal(gateway.generation, 1)
})

t.test('R15 promise 8: a plugin that is switched off is gone, with its routes, hooks and timers', async (t) => {
  const busy = `
    const ticks = app.hestia.keep('ticks@1', () => ({ count: 0 }))
    const timer = setInterval(() => { ticks.count++ }, 1)
    app.addHook('onClose', async () => clearInterval(timer))
    app.addHook('onRequest', async (request, reply) => { reply.header('x-hello', 'yes') })
    app.hestia.hook('onReady', () => {})
  `
  const { url, configure, gateway } = await startGateway(t, {
    config: BARE,
    files: { 'plugins/hello.ts': plugin('hello', 'x', busy) },
  })
  t.equal((await fetch(`${url}/__health`)).headers.get('x-hello'), 'yes')
  t.same(gateway.pool.keys(), ['ticks@1'])
  await configure(BARE.replace('hello: {}', 'hello: false'))
  await until(async () => (await fetch(`${url}/hello`)).status === 404, 'the route to go')
  t.equal((await fetch(`${url}/__health`)).headers.get('x-hello'), null)
  await until(() => gateway.pool.keys().length === 0, 'kept values to be given up')
  const { hooks } = (await (await fetch(`${url}/v1/plugins`)).json()) as { hooks: Record<string, unknown[]> }
  t.same(hooks.onReady, [])
})

t.test('R15: options, an npm plugin and a file by its path', async (t) => {
  const { url, configure } = await startGateway(t, {
    config: 'plugins: { defaults: false, hello: { word: one }, ./my/thing.ts: {} }\nservices: {}\n',
    files: {
      'plugins/hello.ts': plugin('hello', 'x'),
      'my/thing.ts': `export default async function (app) { app.get('/thing', async () => ({ text: 'mine' })) }`,
      'node_modules/fastify-nothing/package.json': '{ "name": "fastify-nothing", "main": "index.js" }',
      'node_modules/fastify-nothing/index.js': `module.exports = async (app, options) => { app.get('/npm', async () => options) }`,
    },
  })
  t.equal((await get(`${url}/hello`)).word, 'one')
  t.equal((await get(`${url}/thing`)).text, 'mine')
  await configure('plugins: { defaults: false, hello: { word: two }, fastify-nothing: { some: option } }\nservices: {}\n')
  await until(async () => (await get(`${url}/hello`)).word === 'two', 'the new option')
  t.match(await get(`${url}/npm`), { some: 'option' })
  t.equal((await fetch(`${url}/thing`)).status, 404)
})

t.test('R15 R16: a file that is listed before it is there is refused at its line, and taken when it comes', async (t) => {
  const { url, configure, write, event } = await startGateway(t, {
    config: BARE,
    files: { 'plugins/hello.ts': plugin('hello', 'x') },
  })
  await configure(BARE.replace('plugins: {', 'plugins: { ./my/late.ts: {},'))
  const [problem] = (await event('reload.rejected')).problems
  t.match(problem, { line: 1, path: 'plugins../my/late.ts', message: /there is no such file/ })
  await write('my/late.ts', `export default async function (app) { app.get('/late', async () => ({ text: 'late' })) }`)
  await until(async () => (await fetch(`${url}/late`)).status === 200, 'the file that came')
})

t.test('R16: a new port is listened to before the old one is left', async (t) => {
  const { url, configure, gateway, event } = await startGateway(t, {
    config: BARE,
    files: { 'plugins/hello.ts': plugin('hello', 'x') },
  })
  const other = await startGateway(t, { config: BARE, files: { 'plugins/hello.ts': plugin('hello', 'taken') } })
  await configure(`server: { port: ${other.port} }\n${BARE}`)
  t.match((await event('reload.rejected')).problems[0]?.message, /another program listens there/)
  t.equal((await get(`${url}/hello`)).text, 'x', 'a port that is taken is refused')
  await configure(`server: { port: 0, host: 127.0.0.2 }\n${BARE}`)
  await until(() => gateway.url !== url, 'the new listener')
  t.equal((await get(`${gateway.url}/hello`)).text, 'x')
  await t.rejects(fetch(`${url}/hello`, { headers: { connection: 'close' } }))
})

t.test('R16: settings of the server change while the port stays, and one host is exchanged for another', async (t) => {
  const port = await freePort()
  const server = (more: string) => `server: { port: ${port}, ${more} }\n${BARE}`
  const { url, configure, gateway } = await startGateway(t, {
    config: server(''),
    files: { 'plugins/hello.ts': plugin('hello', 'x') },
  })
  await configure(server('drain_timeout_ms: 1000, keep_alive_timeout_ms: 5000'))
  t.same((await gateway.reload()).changes, ['server changed'])
  t.match((await fetch(`${url}/hello`)).headers.get('keep-alive'), 'timeout=5')
  await configure(server('host: 0.0.0.0'))
  await gateway.reload()
  t.equal((await get(`http://127.0.0.2:${port}/hello`)).text, 'x')
  await configure(server('host: 127.0.0.1'))
  await gateway.reload()
  await t.rejects(fetch(`http://127.0.0.2:${port}/hello`))
  t.equal((await get(`${url}/hello`)).text, 'x')
  await configure(server('host: 203.0.113.1'))
  await t.rejects(gateway.reload(), { message: /cannot listen on 203\.0\.113\.1/ })
  t.equal((await get(`${url}/hello`)).text, 'x', 'an address that is not ours is refused, the old one is listened to as before')
})

t.test('R14: a strategy that is renamed is there all along; one that is deleted holds up nothing else', async (t) => {
  const strategy = `export default { name: 's', select: (_, { instances }) => instances[1] }`
  const { url, write, remove, gateway, event } = await startGateway(t, {
    config: `${BARE.replace('services: {}\n', '')}services: { a: { base_url: "http://127.0.0.1:1", strategy: s, warmup_ms: 0 } }\n`,
    files: { 'plugins/hello.ts': plugin('hello', 'one'), 'strategies/one.ts': strategy },
  })
  let gaps = 0
  const watching = setInterval(() => {
    if (!gateway.strategies.get('s')) gaps++
  })
  await write('strategies/two.ts', strategy)
  await remove('strategies/one.ts')
  await until(() => gateway.strategies.loaded().some(({ file }) => file.endsWith('two.ts')), 'the new file')
  clearInterval(watching)
  t.equal(gaps, 0)
  await remove('strategies/two.ts')
  await event('strategy.removed', ({ file }) => file.endsWith('two.ts'))
  t.equal(gateway.strategies.get('s'), undefined)
  await write('plugins/hello.ts', plugin('hello', 'two'))
  await until(async () => (await get(`${url}/hello`)).text === 'two', 'another change to take effect')
  t.same(gateway.problems, [])
})

t.test('R14: a strategy whose rules fail, or whose schema is none, is refused by itself', async (t) => {
  const strategy = (more: string) => `export default { name: 's', ${more} select: () => undefined }`
  const { write, gateway, event } = await startGateway(t, {
    config: `${BARE.replace('services: {}\n', '')}services: { a: { base_url: "http://127.0.0.1:1", strategy: s, warmup_ms: 0 } }\n`,
    files: { 'plugins/hello.ts': plugin('hello', 'one'), 'strategies/s.ts': strategy('') },
  })
  const good = gateway.strategies.get('s')
  await write('strategies/s.ts', strategy(`check: () => { throw new Error('boo') },`))
  await event('strategy.failed', ({ problems }) => lines(problems).includes('boo'))
  await write('strategies/s.ts', strategy(`routing: { type: 'object' },`))
  await event('strategy.failed', ({ problems }) => /strategies\/s\.ts.*TypeBox/.test(lines(problems)))
  t.equal(gateway.strategies.get('s'), good)
  t.same((await gateway.reload()).changes, [])
})

t.test('R16: a plugin that asks for what the configuration does not give is refused by itself', async (t) => {
  const both = 'plugins: { defaults: false, api: {}, hello: {}, other: {} }\nservices: {}\n'
  const { url, write, gateway, event } = await startGateway(t, {
    config: both,
    files: { 'plugins/hello.ts': plugin('hello', 'one'), 'plugins/other.ts': plugin('other', 'one') },
  })
  const demanding = plugin('hello', 'two').replace(
    "word: Type.String({ default: 'none' })",
    'word: Type.String(), must: Type.String()',
  )
  let round = 0
  for (const [text, message] of [
    [demanding, /plugins\.hello.*must/s],
    [plugin('hello', 'two').replace(/options: .*\n/, "options: { type: 'object' },\n"), /TypeBox/],
    [
      plugin('hello', 'two').replace("name: 'hello',", "name: 'hello', check () { throw new Error('at the check') },"),
      /at the check/,
    ],
  ] as const) {
    const before = Date.now()
    await write('plugins/hello.ts', text)
    await event('reload.rejected', ({ problems, at }) => at >= before && message.test(lines(problems)))
    await write('plugins/other.ts', plugin('other', `round ${++round}`))
    await until(async () => (await get(`${url}/other`)).text === `round ${round}`, 'the other plugin')
    t.equal((await get(`${url}/hello`)).text, 'one')
    const hello = gateway.plugins().find(({ name }) => name === 'hello')
    t.equal(hello?.state, 'failed')
    t.match(lines(hello?.problems ?? []), message)
  }
})

t.test('R3: a service that has the name localhost for its own is not started by a reload', async (t) => {
  const config = `plugins: { hello: {} }\nservices:\n  s: { base_url: "http://127.0.0.1:1", warmup_ms: 0, hosts: [localhost] }\n`
  const { configure, gateway, instance } = await startGateway(t, { config, files: { 'plugins/hello.ts': plugin('hello', 'x') } })
  await configure(config.replace('hello: {}', 'hello: { word: new }'))
  await gateway.reload()
  t.equal(instance('s').state, 'cold')
})

t.test(
  'R16: requests on an older generation end before the gateway does, and a plugin that never closes does not hold it',
  async (t) => {
    const slow = (text: string) => `export default { name: 'hello', setup (app) {
    app.get('/slow', async () => { await new Promise((resolve) => setTimeout(resolve, 400)); return { text: '${text}' } })
    app.addHook('onClose', () => new Promise(() => {}))
  } }`
    const { url, write, gateway } = await startGateway(t, { config: BARE, files: { 'plugins/hello.ts': slow('old') } })
    const answer = get(`${url}/slow`)
    await until(() => gateway.host.url)
    await write('plugins/hello.ts', slow('new'))
    await until(() => gateway.generation === 2)
    await gateway.stop('test')
    t.equal((await answer).text, 'old')
  },
)

t.test('R16: a stop during a reload leaves no listener behind', async (t) => {
  const { configure, gateway } = await startGateway(t, {
    config: BARE,
    files: { 'plugins/hello.ts': plugin('hello', 'x', 'await new Promise((resolve) => setTimeout(resolve, 100))') },
  })
  const port = await freePort()
  await configure(`server: { port: ${port} }\n${BARE}`)
  const reloading = gateway.reload().catch(() => undefined)
  await sleep(20)
  await gateway.stop('test')
  await reloading
  await t.rejects(fetch(`http://127.0.0.1:${port}/hello`))
})
