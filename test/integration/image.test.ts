import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { validate } from 'dockerfile-utils'
import t from 'tap'
import { cleanEnv } from '../helpers/child-gateway.ts'
import { dockerfileStages, dockerfileText, type Stage } from '../helpers/dockerfile.ts'
import { freePort } from '../helpers/free-port.ts'
import { buildTree, OWNER } from '../helpers/image-tree.ts'
import { useImage, writeConfig } from '../helpers/image-use.ts'
import { until } from '../helpers/until.ts'

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
const stages = dockerfileStages()
const last = stages.at(-1)!
const all = (keyword: string, { steps }: Stage = last) => steps.filter((step) => step.keyword === keyword)

t.test('R31 the Dockerfile is valid, and as hadolint wants it', async (t) => {
  t.same(validate(dockerfileText()), [])
  t.ok(stages.length > 1, 'several stages: what only builds stays behind')
  for (const stage of stages) {
    t.match(stage.image, /^[a-z][\w./-]*:\d[\w.-]*$/, 'DL3006, DL3007: an image with its version')
    for (const { words } of all('WORKDIR', stage)) t.match(words[0], /^\//, 'DL3000: an absolute folder')
    t.same([...all('ADD', stage), ...all('MAINTAINER', stage)], [], 'DL3020, DL4000')
    const isPlaced = stage.steps.findIndex(({ keyword }) => keyword === 'WORKDIR')
    for (const [i, { keyword, words }] of stage.steps.entries()) {
      if (keyword === 'COPY') t.ok(words.at(-1)!.startsWith('/') || i > isPlaced, 'DL3045: it is known where to')
      if (keyword === 'COPY' && words.length > 2) t.match(words.at(-1), /\/$/, 'DL3021: several go into a folder')
    }
    for (const { text } of all('RUN', stage)) {
      t.notMatch(text, /\b(sudo|ssh |vim|shutdown|service |ps |free|top|kill|mount|ifconfig)\b.*&&/, 'DL3001, DL3004')
      t.notMatch(text, /\bapt (install|update)/, 'DL3027')
      t.notMatch(text, /\bcd /, 'DL3003')
      if (/apt-get update/.test(text)) t.match(text, /rm -rf \/var\/lib\/apt\/lists/, 'DL3009')
      if (/apt-get install/.test(text)) t.match(text, /apt-get install -y --no-install-recommends/, 'DL3014, DL3015')
      t.notMatch(text, /\||npm install -g [\w-]+(?!@)\b/, 'DL4006, DL3016')
    }
  }
  t.not(all('USER').at(-1)?.text, 'root', 'DL3002')
  t.ok(all('USER').length > 0)
  for (const keyword of ['CMD', 'ENTRYPOINT', 'HEALTHCHECK']) {
    t.equal(all(keyword).length, 1, `DL4003, DL4004, DL3012: one ${keyword}`)
    t.match(all(keyword)[0]!.text, /\[.*\]$/, 'DL3025: as a list, so that signals arrive')
  }
  t.equal(all('ENTRYPOINT')[0]!.words[0], 'tini', 'somebody buries the dead')
})

t.test('R31 R30 the steps of the image, outside of a container', { timeout: 300_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hestia-image-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  const roots = new Map<string, string>()
  for (const [i, stage] of stages.entries()) {
    const root = join(folder, stage.name ?? String(i))
    buildTree(stage, root, roots)
    roots.set(stage.name ?? String(i), root)
  }
  const image = join(folder, String(stages.length - 1))
  const inside = (text: string): string => text.replaceAll(/(?<![\w/])\/(hestia|config|data)\b/g, `${image}/$1`)

  const modules = readdirSync(join(image, 'hestia', 'node_modules'))
  t.notOk(
    ['tap', 'typescript', 'playwright-core'].some((name) => modules.includes(name)),
    'nothing that only development needs',
  )
  t.notOk(existsSync(join(image, 'hestia', 'core')), 'compiled, not the sources')

  const port = await freePort()
  const demoPort = await freePort()
  const byImage = all('ENV').flatMap(({ env }) => Object.entries(env!).map(([name, value]) => [name, inside(value)]))
  const env = {
    ...cleanEnv(),
    PATH: [dirname(process.execPath), join(image, 'usr/local/bin'), process.env.PATH].join(delimiter),
    // Here it is not the first process of all.
    TINI_SUBREAPER: '1',
    ...(Object.fromEntries(byImage) as Record<string, string>),
  }
  t.match(env, { NODE_ENV: 'production', HESTIA_SERVER_HOST: '0.0.0.0', HESTIA_CONFIG: join(image, 'config/hestia_config.yml') })
  const user = process.getuid?.() === 0 ? { uid: OWNER, gid: OWNER } : {}
  const start = (words: readonly string[], more: Record<string, string> = {}) => {
    // Without what tap gives to every child by NODE_OPTIONS.
    const child = spawn('env', ['-u', 'NODE_OPTIONS', ...words.map(inside)], {
      cwd: join(image, 'hestia'),
      env: { ...env, ...more },
      ...user,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const out = { text: '' }
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out.text += String(chunk)))
    return { child, out, ended: once(child, 'close') as Promise<[number | null, string | null]> }
  }
  if (!has('tini')) t.comment('without tini, which is not installed here')
  const entry = all('ENTRYPOINT')[0]!.words.slice(has('tini') ? 0 : 2)
  const [cmd] = all('CMD')

  const check = start([...entry, 'check'])
  t.same(await check.ended, [0, null], check.out.text)
  t.match(check.out.text, /^ok .*: 1 service, /m, 'there is a configuration while none is mounted')
  t.match(execFileSync(join(image, 'usr/local/bin/hestia'), ['--version'], { env }).toString(), /^\d+\.\d+\.\d+\n$/)

  // As mounted.
  const config = join(folder, 'mounted')
  const demo = {
    base_url: `http://127.0.0.1:${demoPort}`,
    process: { command: ['node', inside('/config/examples/demo-service.mjs')] },
    health: { url: '/health' },
  }
  writeConfig(config, { demo })
  if (user.uid !== undefined)
    for (const name of ['', 'plugins', 'strategies', 'hestia_config.yml']) chownSync(join(config, name), OWNER, OWNER)
  const own = {
    HESTIA_CONFIG: join(config, 'hestia_config.yml'),
    HESTIA_SERVER_HOST: '127.0.0.1',
    HESTIA_SERVER_PORT: String(port),
  }
  const gateway = start([...entry, ...cmd!.words], own)
  t.teardown(() => gateway.child.kill('SIGKILL'))
  await until(() => gateway.out.text.includes(`listening on http://127.0.0.1:${port}`), 'the gateway', 60_000)
  await useImage(t, `http://127.0.0.1:${port}`, config)
  const healthy = start(all('HEALTHCHECK')[0]!.words, own)
  t.same(await healthy.ended, [0, null], 'the health check')
  const ill = start(all('HEALTHCHECK')[0]!.words, { HESTIA_SERVER_PORT: String(await freePort()) })
  t.same(await ill.ended, [1, null], 'the health check when nobody answers')
  const store = statSync(join(image, 'data/hestia.sqlite'))
  t.equal(store.uid, user.uid ?? process.getuid!(), 'R18 what is remembered is in /data, and belongs to a user without rights')
  gateway.child.kill('SIGTERM')
  t.same(await gateway.ended, [0, null], 'SIGTERM ends it')
  await t.rejects(fetch(`http://127.0.0.1:${demoPort}/health`), 'and what it started')
})

const COMPOSE = fileURLToPath(new URL('../../examples/semaphore/', import.meta.url))
const composers = [['docker', 'compose'], ['docker-compose']] as const
const composer = composers.find(([program, ...more]) => spawnSync(program, [...more, 'version']).status === 0)

t.test('R31 the compose file is valid', { skip: !composer && 'there is no docker compose' }, async (t) => {
  const [program, ...more] = composer!
  const config = (env: Record<string, string>) =>
    spawnSync(program, [...more, 'config'], { cwd: COMPOSE, env: { ...cleanEnv(), ...env }, encoding: 'utf8' })
  const secrets = { SEMAPHORE_ADMIN_PASSWORD: 'x', SEMAPHORE_ENCRYPTION_KEY: 'y' }
  const { status, stdout, stderr } = config(secrets)
  t.equal(status, 0, stderr)
  t.match(stdout, /hestia_sqlite/)
  t.match(config({}).stderr, /set it in \.env/, 'what has to be set is asked for')
})
