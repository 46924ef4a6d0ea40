import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { words } from '../../cli/config-text.ts'
import { called } from '../../cli/output/called.ts'
import { check } from '../../core/check.ts'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { hestia, startHestia } from '../helpers/hestia-command.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Throws where types are wrong. */
function checkTypes(folder: string): void {
  const [env, ...args] = plainNode(join(ROOT, 'node_modules', 'typescript-7', 'bin', 'tsc'), '-p', folder)
  execFileSync(env!, args, { stdio: 'pipe' })
}

t.test('R30 init: the configuration it writes runs as it is, with a service that starts at the first request', async (t) => {
  const cwd = t.testdir({})
  const port = await freePort()
  const made = await hestia(['init', '--port', String(port)], { cwd })
  t.match(made, {
    code: 0,
    stdout: `curl http://localhost:${port}/services/demo/`,
    stderr: 'wrote hestia_config.yml and hestia.schema.json\n',
  })
  t.equal(
    readFileSync(join(cwd, 'hestia_config.yml'), 'utf8').split('\n')[0],
    '# yaml-language-server: $schema=./hestia.schema.json',
  )
  t.ok(existsSync(join(cwd, 'hestia.schema.json')))
  t.match(await hestia(['init'], { cwd }), { code: 1, stderr: /is there already; --force/ })
  const demo = await freePort()
  const gateway = startHestia([], { cwd, env: { DEMO_BASE_URL: `http://127.0.0.1:${demo}`, HESTIA_LOG_FORMAT: 'json' } })
  t.teardown(() => gateway.child.kill('SIGKILL'))
  await until(() => gateway.texts.stdout.includes('listening on'), 'the gateway', 60_000)
  const answer = await fetch(`http://127.0.0.1:${port}/services/demo/`)
  t.match(await answer.json(), { message: 'Hello from the demo service' })
  t.match(await hestia(['status'], { cwd }), { code: 0, stdout: /^demo +hot/m }, 'found by the configuration alone')
  gateway.child.kill('SIGTERM')
  t.equal((await gateway.ended).code, 0)
})

t.test('R30 init: a service by flags, on a terminal by questions; what cannot work is not left behind', async (t) => {
  const cwd = t.testdir({})
  const flags = ['--service', 'ollama', '--service-url', 'http://127.0.0.1:11434', '--health', '/api/tags', '--idle-minutes', '5']
  await hestia(['init', '--start', 'ollama serve --name "my box"', ...flags], { cwd })
  const ollama = {
    base_url: 'http://127.0.0.1:11434',
    process: { command: ['ollama', 'serve', '--name', 'my box'] },
    health: { url: '/api/tags' },
    idle: { timeout_ms: 300_000 },
  }
  t.strictSame(parse(readFileSync(join(cwd, 'hestia_config.yml'), 'utf8')).services, { ollama })
  const asked = await hestia(['init', '--config', 'asked.yml'], {
    cwd,
    terminal: true,
    input: '9090\nollama\n\nollama serve\n/api/tags\n\n',
  })
  t.equal(asked.code, 0, asked.stdout)
  const answered = parse(readFileSync(join(cwd, 'asked.yml'), 'utf8'))
  t.match(answered, { server: { port: 9090 }, services: { ollama: { ...ollama, process: { command: ['ollama', 'serve'] } } } })
  const loop = await hestia(['init', '-c', 'loop.yml', '--service', 'a', '--service-url', 'http://localhost:8080'], { cwd })
  t.match(loop, { code: 1, stderr: /make no configuration that works:\n.*own address/s })
  t.notOk(existsSync(join(cwd, 'loop.yml')))
  t.match(await hestia(['init', '-c', 'x.yml', '--service', 'a'], { cwd }), { code: 1, stderr: /Add --service-url/ })
  t.match(await hestia(['init', '--port', '99999'], { cwd }), { code: 2, stderr: /from 0 to 65535/ })
})

t.test('hints name the command as it was called', async (t) => {
  t.equal(called('/usr/local/bin/hestia', {}), 'hestia')
  t.equal(called('/somewhere/bin/hestia.js', {}), 'node /somewhere/bin/hestia.js')
  t.equal(called(join(process.cwd(), 'dist', 'hestia.mjs'), {}), `node ${join('dist', 'hestia.mjs')}`)
  t.equal(called('/somewhere/bin/hestia.js', { npm_command: 'exec' }), 'npx hestia')
})

t.test('words are split as a shell splits them', (t) => {
  t.strictSame(words(`  a  "b c"d 'e "f"' --g="h i" `), ['a', 'b cd', 'e "f"', '--g=h i'])
  t.end()
})

t.test('R30 new: templates pass the check, have types, and work in a running gateway', async (t) => {
  const gateway = await startGateway(t, { config: 'services: {}\n' })
  const cwd = gateway.dir
  const plugin = await hestia(['new', 'plugin', 'hello-you'], { cwd })
  t.match(plugin, { code: 0, stdout: /hello-you: \{\}/, stderr: /^wrote plugins\/hello-you\.ts\nwrote tsconfig\.json/ })
  t.match(await hestia(['new', 'strategy', 'by_name'], { cwd }), { code: 0, stderr: 'wrote strategies/by_name.ts\n' })
  const found = await check(join(cwd, 'hestia_config.yml'), {})
  t.strictSame([found.problems, found.warnings], [[], []])
  t.match(
    found.plugins.map(({ name }) => name),
    /hello-you/,
  )
  t.doesNotThrow(() => checkTypes(cwd))
  writeFileSync(
    join(cwd, 'plugins', 'wrong.ts'),
    `import { definePlugin } from 'hestia'\nexport default definePlugin({ nam: 'wrong' })\n`,
  )
  t.throws(() => checkTypes(cwd), 'they are types')

  await gateway.configure(`
plugins: { hello-you: { greeting: Ahoy } }
services:
  a:
    instances: [{ name: one, url: "http://127.0.0.1:1" }, { name: two, url: "http://127.0.0.1:2" }]
    strategy: by_name
    routing: { prefer: two }
    warmup_ms: 0
`)
  await until(async () => (await fetch(`${gateway.url}/hello-you`)).status === 200, 'the plugin')
  t.match(await (await fetch(`${gateway.url}/hello-you`)).json(), { message: 'Ahoy from hello-you', services: [{ id: 'a' }] })
  await fetch(`${gateway.url}/services/a/`, { headers: { 'x-instance': 'one' } })
  await fetch(`${gateway.url}/services/a/`)
  const chosen = gateway.events.flatMap((event) => (event.type === 'request.routed' ? [event.instance] : []))
  t.ok(chosen.includes('one') && chosen.includes('two'), chosen.join())

  t.match(await hestia(['new', 'plugin', 'hello-you'], { cwd }), { code: 1, stderr: /is there already; --force/ })
  t.match(await hestia(['new', 'plugin', '../x'], { cwd }), { code: 2, stderr: /cannot be the name/ })
  t.match(await hestia(['new', 'thing', 'x'], { cwd }), { code: 2, stderr: /Allowed choices are plugin, strategy/ })
  t.match(await hestia(['new', 'plugin', 'queue'], { cwd }), { code: 0, stderr: /yours takes its place/ })
})

t.test('R30 schema covers plugins and strategies of the user', async (t) => {
  const cwd = t.testdir({
    'hestia_config.yml': 'services: { broken: { base_uri: x } }\n',
    plugins: {
      'mine.ts': `import { definePlugin, Type } from 'hestia'
export default definePlugin({ name: 'mine', options: Type.Object({ size: Type.Integer() }), service: Type.Object({ mode: Type.String() }), machine: Type.Object({ rack: Type.Optional(Type.String()) }), setup() {} })`,
    },
    strategies: { 'pick.ts': `export default { name: 'pick', select: () => undefined }` },
  })
  const { code, stdout } = await hestia(['schema', '--out', '-'], { cwd })
  t.equal(code, 0)
  const { properties, definitions } = JSON.parse(stdout)
  t.match(properties.plugins.properties.mine, { anyOf: [{ required: ['size'] }] })
  t.match(definitions['section-mine'].properties.mode, { type: 'string' })
  t.match(properties.machines.additionalProperties.properties.rack, { type: 'string' })
  t.match(properties.services.additionalProperties.properties.strategy.anyOf[0].enum, ['ab_test'])
  t.ok(properties.services.additionalProperties.properties.strategy.anyOf[0].enum.includes('pick'))
  t.match(await hestia(['schema'], { cwd }), { code: 0, stderr: 'wrote hestia.schema.json\n' })
  t.equal(readFileSync(join(cwd, 'hestia.schema.json'), 'utf8'), stdout)
})

t.test('R30 completion: the scripts are those of the commands, and bash completes with one', async (t) => {
  const cwd = t.testdir({ 'hestia_config.yml': 'services:\n  ollama: { base_url: "${NOT_SET}" }\n  comfy: {}\n' })
  const [bash, zsh, fish, services] = await Promise.all([
    hestia(['completion', 'bash']),
    hestia(['completion', 'zsh']),
    hestia(['completion', 'fish']),
    hestia(['__services'], { cwd }),
  ])
  t.equal(services.stdout, 'ollama\ncomfy\n')
  for (const [name, { stdout }] of Object.entries({ bash, zsh })) {
    writeFileSync(join(cwd, name), stdout)
    t.doesNotThrow(() => execFileSync('bash', ['-n', join(cwd, name)]), name)
  }
  t.match(zsh.stdout, /bashcompinit/)
  t.match(fish.stdout, /^complete -c hestia -f -n '__fish_use_subcommand' -a status -d 'show services/m)
  t.match(fish.stdout, /^complete -c hestia -f -n '__fish_seen_subcommand_from keys' -a revoke /m)
  t.match(fish.stdout, /^complete -c hestia -n '__fish_seen_subcommand_from check' -l json /m)
  const complete = (...typed: string[]): string[] =>
    execFileSync(
      'bash',
      [
        '-c',
        `source ${join(cwd, 'bash')}; hestia() { printf 'ollama\\ncomfy\\n'; }; COMP_WORDS=(hestia "$@"); COMP_CWORD=$#; _hestia; printf '%s\\n' "\${COMPREPLY[@]}"`,
        'bash',
        ...typed,
      ],
      { encoding: 'utf8' },
    )
      .trim()
      .split('\n')
  t.strictSame(complete('sta').toSorted(), ['start', 'status'])
  t.strictSame(complete('keys', 'r'), ['revoke'])
  t.strictSame(complete('start', 'o'), ['ollama'])
  t.strictSame(complete('activities', '--si'), ['--since'])
  t.strictSame(complete('check', '--config', join(cwd, 'hestia')), [join(cwd, 'hestia_config.yml')])
  t.match(await hestia(['completion', 'tcsh']), { code: 2, stderr: /Allowed choices are bash, zsh, fish/ })
})

t.test('R30 build: only the plugins that are on, and files of the user still live', async (t) => {
  const port = await freePort()
  const cwd = t.testdir({
    'hestia_config.yml': `server: { port: ${port} }
log: { format: json }
plugins: { defaults: false, proxy: {}, queue: {}, api: {}, strategies: {}, health: {}, mine: {} }
services:
  a: { base_url: "http://127.0.0.1:9", warmup_ms: 0, strategy: region }
`,
    plugins: {
      'mine.ts': `import { HestiaError } from 'hestia'\nexport default { name: 'mine', setup(app) { app.get('/mine', () => { throw new HestiaError('queue_full') }) } }`,
    },
  })
  const built = await hestia(['build', '--out', 'out'], { cwd })
  t.equal(built.code, 0, built.stderr)
  t.equal(built.stderr, 'plugins: api, health, proxy, queue, strategies\n')
  const chunks = readdirSync(join(cwd, 'out')).filter((name) => name.endsWith('.mjs'))
  t.equal(
    chunks.filter((name) => /^standard-[A-Z0-9]{8}\.mjs$/.test(name)).length,
    1,
    'what nearly every gateway loads is one chunk',
  )
  t.strictSame(
    chunks.filter((name) => /^(?:api|health|proxy|queue|strategies|region)-/.test(name)),
    [],
  )
  const program = join(cwd, 'out', 'hestia.mjs')
  t.match(await hestia(['check'], { cwd, program }), {
    code: 0,
    stdout: /^ok hestia_config\.yml: 1 service, 6 plugins, 6 strategies|^ok/,
  })
  // By a link elsewhere, as in /usr/local/bin.
  symlinkSync(program, join(cwd, 'hestia'))
  t.match(execFileSync(join(cwd, 'hestia'), ['check'], { cwd, encoding: 'utf8' }), /^ok /)
  const gateway = startHestia([], { cwd, program })
  t.teardown(() => gateway.child.kill('SIGKILL'))
  await until(() => gateway.texts.stdout.includes('listening on'), 'the gateway', 60_000)
  const url = `http://127.0.0.1:${port}`
  t.match(await (await fetch(`${url}/mine`)).json(), { error: 'queue_full' }, 'its "hestia" is the core that runs')
  const { plugins } = (await (await fetch(`${url}/v1/plugins`)).json()) as { plugins: { name: string; source: string }[] }
  t.strictSame(plugins.map(({ name }) => name).toSorted(), ['api', 'health', 'mine', 'proxy', 'queue', 'strategies'])
  writeFileSync(
    join(cwd, 'plugins', 'mine.ts'),
    `export default { name: 'mine', setup(app) { app.get('/mine', () => ({ version: 2 })) } }`,
  )
  await until(async () => ((await (await fetch(`${url}/mine`)).json()) as { version?: number }).version === 2, 'the change')
  t.match(await hestia(['status', '--json'], { cwd, program }), { code: 0, stdout: /"serviceId": "a"/ })
  gateway.child.kill('SIGTERM')
  t.equal((await gateway.ended).code, 0)
  writeFileSync(join(cwd, 'more.yml'), 'plugins:\n  defaults: false\n  process: {}\nservices: {}\n')
  const { code, stdout } = await hestia(['check', '--config', 'more.yml'], { cwd, program })
  t.equal(code, 1)
  t.match(stdout, /^more\.yml:3:3 plugins\.process: this build was made without the plugin; .*hestia build/)
})
