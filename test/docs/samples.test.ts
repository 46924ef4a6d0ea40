import { execFile, execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { type Fence, fencesOf, ROOT } from '../helpers/markdown.ts'
import { sampleFile } from '../helpers/sample-code.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

const run = promisify(execFile)

function hasCurl(): boolean {
  try {
    execFileSync('curl', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A file of code that a page shows. */
function shown(page: string, path: string): string {
  const found = fencesOf(page).find(({ text }) => sampleFile(text)?.path === path)
  if (!found) throw new Error(`${page} does not show ${path}`)
  return found.text
}

t.test('R9 R15 the plugin of the docs keeps what works though nobody asks, and lets it go when it is done', async (t) => {
  let running = [1]
  let asked = 0
  const upstream = await httpUpstream(t, ({ url }, response) => {
    if (url === '/queue') asked++
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ queue_running: running }))
  })
  const { url, instance } = await startGateway(t, {
    config: `plugins: { busy: { ask_again_ms: 20 } }
services:
  comfyui: { base_url: "${upstream.url}", warmup_ms: 0, idle: { timeout_ms: 20 }, busy: { path: /queue } }
  other: { base_url: "${upstream.url}", warmup_ms: 0, idle: { timeout_ms: 20 } }
`,
    files: { 'plugins/busy.ts': shown('docs/plugins.md', 'plugins/busy.ts') },
  })
  t.equal((await fetch(`${url}/services/comfyui/`)).status, 200)
  t.equal((await fetch(`${url}/services/other/`)).status, 200)
  await until(() => asked >= 3, 'it is asked again and again')
  t.equal(instance('comfyui').state, 'hot')
  await until(() => instance('other').state === 'cold', 'a service without the section is stopped')
  running = []
  await until(() => instance('comfyui').state === 'cold', 'nothing is done any more')
})

t.test('R15 the plugin of the README answers, and hears of starts', async (t) => {
  const upstream = await httpUpstream(t)
  const { url } = await startGateway(t, {
    config: `plugins: { greeting: { word: Good evening } }\nservices: { a: { base_url: "${upstream.url}", warmup_ms: 0 } }\n`,
    files: { 'plugins/greeting.ts': shown('README.md', 'plugins/greeting.ts') },
  })
  t.equal(await (await fetch(`${url}/greeting`)).text(), '{"word":"Good evening","services":1}', 'as docs/plugins.md shows')
})

/** What is typed in a session, and what is shown of each answer. */
function sessionOf({ text }: Fence): { command: string; shown: string }[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = '', ...lines] = part.trimEnd().split('\n')
      return { command: command.replace(/\s+#.*$/, ''), shown: lines.join('\n').trim() }
    })
}

/** Numbers differ from run to run, and `...` stands for more. */
const patternOf = (shown: string): RegExp => {
  const parts = shown.split(/\s*\.\.\./).map((part) => part.replaceAll(/[{}[\]().*+?^$|\\]/g, '\\$&').replaceAll(/\d+/g, '\\d+'))
  return new RegExp(`^${parts.join('[^\\n]*').replaceAll(/\s*\n\s*/g, '\\s+')}`)
}

t.test(
  'R1 R5 R9 the first session of the README goes as it is shown',
  { skip: hasCurl() ? false : 'curl is not here' },
  async (t) => {
    const session = sessionOf(fencesOf('README.md').find(({ lang }) => lang === 'console')!)
    t.ok(session.length >= 5)
    const [demo, program] = await Promise.all([freePort(), readFile(join(ROOT, 'examples', 'demo-service.mjs'), 'utf8')])
    const { url, instance } = await startGateway(t, {
      config: await readFile(join(ROOT, 'hestia_config.yml'), 'utf8').then((text) => text.replace('port: 8080', 'port: 0')),
      files: { 'examples/demo-service.mjs': program },
      // Long enough for the session, and no minute.
      env: { DEMO_BASE_URL: `http://127.0.0.1:${demo}`, DEMO_IDLE_TIMEOUT_MS: '2000' },
    })
    for (const { command, shown } of session) {
      const [, slept, typed = ''] = /^(sleep \d+; )?(.*)$/.exec(command)!
      if (slept) await until(() => instance('demo').state === 'cold', 'a quiet while')
      const here = typed.replace('curl', 'curl -sS').replace('localhost:8080', new URL(url).host)
      const { stdout } = await run('sh', ['-c', here])
      t.match(stdout, patternOf(shown), command)
    }
  },
)
