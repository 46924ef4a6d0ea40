import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { check } from '../../core/check.ts'
import { formatProblem } from '../../core/problem.ts'
import { environmentFor, marked } from '../helpers/editor.ts'
import { ROOT } from '../helpers/markdown.ts'
import { plainNode } from '../helpers/plain-node.ts'

t.test('the schema in the repository is that of the plugins, and the docs are those of the commands', (t) => {
  const [env, ...args] = plainNode('--import', 'tsx', 'scripts/generate-cli-docs.ts', '--check')
  t.doesNotThrow(() => execFileSync(env!, args, { cwd: ROOT, stdio: 'pipe' }))
  t.end()
})

t.test('R17 R30 every configuration that is shipped goes through the schema and through the loader', async (t) => {
  const examples = readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.yml'))
  for (const file of ['hestia_config.yml', ...examples.map((name) => `examples/${name}`)]) {
    const text = readFileSync(join(ROOT, file), 'utf8')
    t.match(text, /^# yaml-language-server: \$schema=\.{1,2}\/hestia\.schema\.json\n/, `${file} names the schema`)
    t.strictSame(marked(text), [], file)
    const { problems } = await check(join(ROOT, file), environmentFor(text))
    t.strictSame(problems.map(formatProblem), [], file)
  }
})

const CASES: readonly (readonly [what: string, text: string, error: RegExp])[] = [
  [
    'an unknown key',
    'services: { a: { base_url: "http://a", helth: {} } }',
    /\/services\/a must NOT have additional properties .*helth/,
  ],
  ['a wrong type', 'server: { port: many }', /\/server\/port must be integer/],
  ['a number out of bounds', 'server: { port: 70000 }', /\/server\/port must be <= 65535/],
  ['no text of a list', 'log: { level: loud }', /\/log\/level must be equal to one of/],
  ['a URL without a scheme', 'services: { a: { base_url: "localhost:1" } }', /\/services\/a\/base_url must match pattern/],
  ['neither URL nor instances', 'services: { a: {} }', /\/services\/a must have required property 'base_url'/],
  [
    'both of them',
    'services: { a: { base_url: "http://a", instances: [{ url: "http://a" }] } }',
    /\/services\/a\/base_url boolean schema is false/,
  ],
  [
    'a section that lacks something',
    'services: { a: { base_url: "http://a", process: {} } }',
    /\/services\/a\/process must have required property 'command'/,
  ],
  [
    'routing of another strategy',
    'services: { a: { base_url: "http://a", strategy: sticky, routing: { by_model: {} } } }',
    /\/services\/a\/routing must NOT have additional/,
  ],
  [
    'an option that a plugin does not have',
    'plugins: { queue: { sise: 1 } }',
    /\/plugins\/queue must NOT have additional properties/,
  ],
  ['a name that no service can have', 'services: { "a b": { base_url: "http://a" } }', /property name must be valid/],
]

t.test('R30 the schema marks what the loader refuses', (t) => {
  for (const [what, text, error] of CASES) t.match(marked(text).join('\n'), error, what)
  t.end()
})

t.test('R30 the schema takes what the loader takes', async (t) => {
  const text = `
server: { port: "\${PORT}", trusted_hosts: "\${HOSTS}" }
log: { level: "\${LEVEL:-debug}", access: { sample: "\${SAMPLE:-0.5}" } }
machines:
  box: { address: "192.168.1.\${LAST}", mac: "\${MAC}", capabilities: { gpu: "\${GPU:-true}" }, wake: { port: "\${WAKE:-9}" } }
plugins: { queue: { size: "\${SIZE:-5}" }, wake-on-lan:, metrics: "\${METRICS:-false}", exclusive: true, telemetry: false }
services:
  a: &a
    base_url: "\${A_URL}"
    warmup_ms: 0
    health:
    process: { command: "\${COMMAND:-node a.js}" }
    idle: { timeout_ms: "\${IDLE:-1}" }
  b: { <<: *a, base_url: http://192.168.1.3:1, tags: "\${TAGS:-x, y}", machine: box, exclusive: { group: gpu } }
  c:
    instances:
      - { url: "http://\${HOST_C}:1", weight: "\${WEIGHT:-2}", command: { start: [true] } }
      - { url: http://192.168.1.4:1, command: { start: [true] } }
    command: { stop: ["true"] }
    strategy: ab_test
    routing: { variants: { "192.168.1.4:1": "\${SHARE:-1}" } }
    warmup_ms: "\${WARM:-0}"
`.replaceAll('[true]', '["true"]')
  t.strictSame(marked(text), [])
  const file = join(t.testdir({ 'hestia_config.yml': text }), 'hestia_config.yml')
  const env = {
    PORT: '8080',
    HOSTS: 'a.example.org',
    LAST: '2',
    MAC: 'b4:2e:99:00:00:01',
    A_URL: 'http://192.168.1.9:1',
    HOST_C: '192.168.1.5',
  }
  const { problems } = await check(file, env)
  t.strictSame(problems.map(formatProblem), [])
})
