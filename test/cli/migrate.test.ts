import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { migrate } from '../../cli/migration/migrate.ts'
import { check } from '../../core/check.ts'
import { formatProblem } from '../../core/problem.ts'
import { startGateway } from '../helpers/gateway.ts'
import { hestia } from '../helpers/hestia-command.ts'
import { httpUpstream } from '../helpers/upstream.ts'

const OLD = `# My gateway at home.

semaphore_base_url: "http://semaphore:3000" # in the cellar
semaphore_timeout: 30
log_level: WARNING
retry_budget: 7 # nobody knows

services:
  # the models
  ollama:
    base_url: "http://localhost:11434"
    health_url: "http://localhost:11434/api/tags" # answers early
    retry_count: 3
    retry_delay_ms: 1000

    # five minutes
    idle_timeout_ms: 300000
    queue_size: "50"
    request_timeout_seconds: 120
    startup_timeout_ms: 240000
    fallback_url: http://spare:11434
    machine_selector: { gpu: true }

  cloud-ml:
    base_url: http://gpu-vm.example.com:8080
    semaphore_enabled: yes
    semaphore_machine_id: aws-gpu
    semaphore_start_template_id: 10 # provision
    semaphore_task_timeout: 600
    semaphore_poll_interval: 2.5
    warmup_ms: 5000
    # that is all
`

const NEW = `# My gateway at home.

plugins:
  semaphore:
    base_url: "http://semaphore:3000" # in the cellar
    timeout_ms: 30000
    token: \${SEMAPHORE_TOKEN}
    project: 1
log:
  level: warn

# Hestia has no such key
# retry_budget: 7 # nobody knows
services:
  # the models
  ollama:
    base_url: "http://localhost:11434"
    health:
      url: /api/tags # answers early
    start:
      attempts: 3
      delay_ms: 1000
      timeout_ms: 240000

    idle:
      # five minutes
      timeout_ms: 300000
    queue:
      size: 50
      timeout_ms: 120000
    fallback_url: http://spare:11434
    # a machine is named by "machine", or chosen by "requires", "tags" and routing_rules
    # machine_selector: { gpu: true }

  cloud-ml:
    base_url: http://gpu-vm.example.com:8080
    warmup_ms: 5000
    semaphore:
      machine_id: aws-gpu
      start_template: 10 # provision
      task_timeout_ms: 600000
      poll_interval_ms: 2500
      stop_template: 2
    start:
      timeout_ms: 600000
    # that is all
`

/** Runs the command on a text. */
async function run(t: { testdir(files: Record<string, string>): string }, old: string, env: Record<string, string> = {}) {
  const cwd = t.testdir({ 'old.yml': old })
  const { code, stdout, stderr } = await hestia(['migrate', 'old.yml'], { cwd, env })
  return { code, text: stdout, stderr }
}

/** What the command does, without a process of its own. */
async function migrated(old: string) {
  const { plugins } = await check('old.yml', {}, { shipped: true, text: 'services: {}' })
  const sections = new Set(plugins.filter(({ service }) => service).map(({ name }) => name))
  const { text, remarks } = migrate('old.yml', old, sections)
  const { problems } = await check('hestia_config.yml', {}, { text })
  return {
    text,
    remarks: remarks.map(formatProblem).join('\n'),
    problems: problems.map(formatProblem),
    value: parse(text) as object,
  }
}

t.test('R30 migrate: flat keys become sections, comments stay, what has no place is kept and told with its line', async (t) => {
  const { code, text, stderr } = await run(t, OLD, { SEMAPHORE_TOKEN: 'a-token' })
  t.equal(text, NEW)
  t.equal(code, 0, stderr)
  t.match(stderr, /^note: old\.yml:6:1 retry_budget: Hestia has no such key; it is kept as a comment$/m)
  t.match(stderr, /^note: old\.yml:22:5 services\.ollama\.machine_selector: .*kept as a comment$/m)
  t.match(stderr, /^the result: 2 services, 2 notes, 0 problems$/m)
})

t.test('R30 migrate: the result is checked as any other, and what is still to do is told', async (t) => {
  const { code, stderr } = await run(t, OLD)
  t.equal(code, 1)
  t.match(stderr, /^still to do: the result:7:12 plugins\.semaphore\.token: the environment variable SEMAPHORE_TOKEN is not set/m)
  const cwd = t.testdir({ 'old.yml': 'services:\n  ollama: { base_url: "http://a:1", strategy: night_shift, colour: blue }\n' })
  const { code: failed, stderr: said } = await hestia(['migrate', 'old.yml', '--output', 'hestia_config.yml'], { cwd })
  t.equal(failed, 1)
  t.match(said, /^note: old\.yml:2:60 services\.ollama\.colour: /m)
  t.match(said, /^still to do: hestia_config\.yml:4:15 services\.ollama\.strategy: expected the name of a strategy/m)
  t.match(readFileSync(join(cwd, 'hestia_config.yml'), 'utf8'), /# colour: blue/)
  t.match(await hestia(['migrate', 'old.yml', '-o', 'hestia_config.yml'], { cwd }), {
    code: 1,
    stderr: /is there already; --force/,
  })
})

t.test('R12 R30 migrate: a mapping of models goes on as it did, base_url for what it says nothing of', async (t) => {
  const seen: string[] = []
  const upstream = (name: string) =>
    httpUpstream(t, (_request, response) => {
      seen.push(name)
      response.end(name)
    })
  const [base, a, b] = await Promise.all(['base', 'a', 'b'].map(upstream))
  const { text, problems } = await migrated(
    `services:
  ollama:
    base_url: ${base!.url}
    strategy: model_router
    instances:
      - { url: "${a!.url}", models: [llama3] }
    model_key: kind
    by_model:
      llama3: "${a!.url}/"
      mistral: "${b!.url}"
`,
  )
  t.strictSame(problems, [])
  const { url } = await startGateway(t, { config: text })
  const ask = async (body: object) =>
    (
      await fetch(`${url}/services/ollama/x`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      })
    ).text()
  t.equal(await ask({ kind: 'llama3' }), 'a')
  t.equal(await ask({ kind: 'mistral' }), 'b')
  for (let round = 0; round < 4; round++) t.equal(await ask({ kind: 'other' }), 'base')
})

interface Case {
  readonly title: string
  readonly old: string
  /** What the result must have in it. */
  readonly value: object
  readonly text?: readonly RegExp[]
  readonly remarks?: readonly RegExp[]
}

const CASES: readonly Case[] = [
  {
    title: 'what the old gateway took if nothing was said',
    old: 'services:\n  ollama:\n',
    value: { services: { ollama: { base_url: 'http://localhost:11434', warmup_ms: 0 } } },
  },
  {
    title: 'retry_count 0 was one attempt',
    old: 'services: { ollama: { base_url: "http://a:1", retry_count: 0, health_endpoint: /h, health_url: null } }',
    value: { services: { ollama: { start: { attempts: 1 }, health: { url: '/h' } } } },
  },
  {
    title: 'instances beside a base_url, with another strategy',
    old: 'services: { ollama: { base_url: "http://c:1", strategy: load_balancer, instances: ["http://a:1", { url: "http://b:1", weight: 2, zone: x }], routing: { algorithm: round_robin } } }',
    value: {
      services: {
        ollama: {
          fallback_url: 'http://c:1',
          instances: [{ url: 'http://a:1' }, { url: 'http://b:1', weight: 2 }],
          strategy: 'load_balancer',
        },
      },
    },
    text: [/# zone: x/, /# algorithm: round_robin/],
    remarks: [/services\.ollama\.base_url: is the fallback_url now/],
  },
  {
    title: 'instances that no strategy chose from were not used',
    old: 'services: { ollama: { base_url: "http://c:1", instances: [{ url: "http://a:1" }] } }',
    value: { services: { ollama: { base_url: 'http://c:1' } } },
    text: [/# instances:/],
  },
  {
    title: 'anchors and merge keys, as sections cannot be merged key by key',
    old: 'defaults: &d\n  queue_size: 5\n  idle_timeout_ms: 7\nservices:\n  ollama: { <<: *d, base_url: &u "http://a:1", queue_size: 6 }\n  b: { <<: *d, base_url: *u }\n',
    value: {
      services: {
        ollama: { base_url: 'http://a:1', queue: { size: 6 }, idle: { timeout_ms: 7 } },
        b: { base_url: 'http://a:1', queue: { size: 5 }, idle: { timeout_ms: 7 } },
      },
    },
    text: [/^# defaults:\n#\s+queue_size: 5$/m],
  },
  {
    title: 'Semaphore that was off',
    old: 'semaphore: { base_url: "http://s:1" }\nservices: { ollama: { base_url: "http://a:1", semaphore_enabled: off, semaphore_machine_id: box } }',
    value: { services: { ollama: { base_url: 'http://a:1' } } },
    text: [/# semaphore_machine_id: box/, /# semaphore: \{ base_url: "http:\/\/s:1" \}/],
  },
  {
    title: 'credentials: keys go on, a password is not copied',
    old: 'auth: { enabled: true, api_keys: [abcdefghijklmnopqrstuvwx], username: me, password: hunter2 }\nservices:\n  ollama: { base_url: "http://a:1", auth_required: false }\n  b: { base_url: "http://b:1", auth_required: true }\n',
    value: {
      plugins: { auth: { keys: [{ name: 'key-1', key: 'abcdefghijklmnopqrstuvwx', scopes: ['admin'] }] } },
      services: { ollama: { auth: { public: true } } },
    },
    text: [/# username: me/],
    remarks: [/^old\.yml:1:\d+ auth\.password: .*its value is not copied$/m],
  },
  {
    title: 'server, machines, and what is in sections already',
    old: 'host: 0.0.0.0\nport: 9000\nmachines: [{ id: box, role: remote, address: 10.0.0.2, status: available }]\nservices: { ollama: { base_url: "http://a:1", machine_selector: box, queue: { size: 7 }, queue_size: 8 } }\n',
    value: {
      server: { host: '0.0.0.0', port: 9000 },
      machines: { box: { role: 'remote', address: '10.0.0.2' } },
      services: { ollama: { machine: 'box', queue: { size: 7 } } },
    },
    text: [/# status: available/, /# "queue\.size" is set already\n\s+# queue_size: 8/],
  },
  {
    title: 'keys that are called as if they were something',
    old: 'semaphore_constructor: 1\nservices: { ollama: { base_url: "http://a:1", semaphore_enabled: true, constructor: 2 } }\nsemaphore: { token: a-token, base_url: "http://s:1", valueOf: 3 }\n',
    value: { services: { ollama: { base_url: 'http://a:1' } } },
    text: [/# semaphore_constructor: 1/, /# constructor: 2/, /# valueOf: 3/],
  },
  {
    title: 'a service that everybody had',
    old: 'services: { b: { base_url: "http://b:1" } }\n',
    value: { services: { b: { base_url: 'http://b:1' } } },
    remarks: [/^old\.yml:1:1 services: the old gateway had a service "ollama"/m],
  },
]

for (const { title, old, value: wanted, text: texts = [], remarks: said = [] } of CASES) {
  t.test(`R30 migrate: ${title}`, async (t) => {
    const { value, text, remarks, problems } = await migrated(old)
    t.strictSame(problems, [])
    t.match(value, wanted)
    for (const pattern of texts) t.match(text, pattern)
    for (const pattern of said) t.match(remarks, pattern)
    t.notMatch(text + remarks, /hunter2/)
  })
}

t.test('R30 migrate loses nothing: every key of the old file is a key or a comment of the new one, or said', async (t) => {
  const keys = Array.from({ length: 40 }, (_, index) => `odd_key_${index}`)
  const mapping = (indent: string) => keys.map((key, index) => `${indent}${key}: { deep: [${index}, x] }`).join('\n')
  const { text, remarks } = await migrated(`${mapping('')}\nservices:\n  ollama:\n    base_url: http://a:1\n${mapping('    ')}\n`)
  for (const [index, key] of keys.entries()) {
    t.match(text, new RegExp(`^# ${key}: \\{ deep: \\[ ${index}, x \\] \\}$`, 'm'))
    t.match(text, new RegExp(`^    # ${key}: \\{ deep: \\[ ${index}, x \\] \\}$`, 'm'))
    t.match(remarks, new RegExp(`old\\.yml:${index + 1}:1 ${key}: `))
  }
})

t.test('R30 migrate loses no comment, whatever becomes of what it stands at', async (t) => {
  const bare = `semaphore: { base_url: "http://s:1", token: a-token }
logging:
  level: INFO
auth:
  enabled: true
  api_keys:
    - abcdefghijklmnopqrstuvwx
odd: 1
machines:
  box:
    address: 10.0.0.2
    status: available
services:
  ollama:
    base_url: http://a:1
    health_url: null
    semaphore_enabled: true
    semaphore_task_timeout: 5
    auth_required: true
    warmup_ms: 5
    machine_selector: box
  b:
    base_url: http://b:1
    strategy: model_router
    instances:
      - url: http://b:1
      - url: http://c:1
        zone: x
    routing:
      by_model:
        m: http://c:1
      algorithm: none
    retry_count: null
  c:
    base_url: http://d:1
    routing:
      algorithm: none
  d: nonsense
`
  let count = 0
  const commented = bare
    .trimEnd()
    .split('\n')
    .map((line) => `${/^ */.exec(line)![0]}# before ${count}.\n${line} # behind ${count++}.`)
    .join('\n')
  const { text, problems } = await migrated(`${commented}\n# the end.\n`)
  t.strictSame(problems, [])
  t.ok(count > 30)
  for (let index = 0; index < count; index++)
    for (const where of ['before', 'behind']) t.match(text, new RegExp(`# ${where} ${index}\\.`), `${where} line ${index}`)
  t.match(text, /# the end\./)
})

t.test('R30 migrate: what is no such file', async (t) => {
  const cwd = t.testdir({ 'broken.yml': 'services:\n  a: { base_url: [\n', 'list.yml': '- a\n' })
  t.match(await hestia(['migrate', 'broken.yml'], { cwd }), { code: 1, stdout: '', stderr: /broken\.yml:\d+:\d+ / })
  t.match(await hestia(['migrate', 'list.yml'], { cwd }), { code: 1, stdout: '', stderr: /expected a mapping at the top/ })
  t.match(await hestia(['migrate', 'none.yml'], { cwd }), { code: 1, stdout: '', stderr: /none\.yml cannot be read/ })
})
