import t from 'tap'
import { startGateway } from '../helpers/gateway.ts'
import { fencesOf } from '../helpers/markdown.ts'
import { sampleFile } from '../helpers/sample-code.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

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
