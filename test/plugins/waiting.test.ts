import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { preferenceOf } from '../../plugins/proxy/preference.ts'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { plainNode } from '../helpers/plain-node.ts'

const DEMO = fileURLToPath(new URL('../../examples/demo-service.mjs', import.meta.url))

/** A gateway with one process that takes `bootMs` to answer. */
async function slowService(t: Parameters<typeof startGateway>[0], bootMs: number, more: object = {}, plugins: object = {}) {
  const service = {
    base_url: `http://127.0.0.1:${await freePort()}`,
    process: { command: plainNode(DEMO), env: { BOOT_MS: String(bootMs) } },
    health: { url: '/health' },
    ...more,
  }
  return startGateway(t, { config: JSON.stringify({ plugins, services: { slow: service } }) })
}

const json = (answer: { text: string }) => JSON.parse(answer.text) as Record<string, unknown>

t.test('RFC 7240: what Prefer says of waiting', async (t) => {
  t.same(preferenceOf('wait=5'), { waitMs: 5000, respondAsync: false })
  t.same(preferenceOf('respond-async'), { waitMs: undefined, respondAsync: true })
  t.same(preferenceOf('return=minimal, Respond-Async ; x=1, wait="10", wait=3'), { waitMs: 10_000, respondAsync: true })
  for (const nothing of [undefined, '', 'return=minimal', 'wait', 'wait=soon', 'wait=-1', 'wait=1.5', 'wait=99999999999'])
    t.equal(preferenceOf(nothing), undefined, nothing ?? 'none')
})

t.test('R6 Prefer: respond-async does not wait, and what it asked for goes on', async (t) => {
  const gateway = await slowService(t, 300, { start: { abandon: 'abort', linger_ms: 0 } })
  const url = `${gateway.url}/services/slow/`
  const first = await ask(url, { headers: { prefer: 'respond-async' } })
  t.equal(first.status, 202)
  t.equal(first.headers['preference-applied'], 'respond-async')
  t.match(json(first), { error: 'still_waiting', service: 'slow', instance: 'default', position: 1, message: /was not sent/ })
  t.equal(json(first).estimated_wait_ms, undefined, 'nothing is known yet')
  await gateway.event('instance.ready')
  const second = await ask(url, { headers: { prefer: 'respond-async' } })
  t.equal(second.status, 200)
  t.equal(second.headers['x-hestia-cold-start'], undefined)

  await gateway.instance('slow').stop('manual')
  const third = await ask(url, { headers: { prefer: 'respond-async' } })
  t.equal(third.status, 202)
  const estimate = json(third).estimated_wait_ms as number
  t.ok(estimate > 250 && estimate < 5000, `learned from the first start: ${estimate} ms`)
  t.ok(Number(third.headers['retry-after']) >= 1)
})

t.test('R6 Prefer: wait bounds the wait; shorter limits of the service stay', async (t) => {
  const gateway = await slowService(t, 60_000, { queue: { timeout_ms: 3000 } })
  const url = `${gateway.url}/services/slow/`
  const line = ask(url)
  await gateway.event('instance.attempt')
  const [zero, one, bounded] = await Promise.all([
    ask(url, { headers: { prefer: 'wait=0' } }),
    ask(url, { headers: { prefer: 'wait=1' } }),
    ask(url, { headers: { prefer: 'wait=600' } }),
  ])
  t.match([zero.status, json(zero).error, zero.headers['preference-applied']], [503, 'still_waiting', 'wait=0'])
  t.match([one.status, json(one).error, one.headers['x-hestia-error']], [503, 'still_waiting', 'still_waiting'])
  t.equal(json(zero).position, 2, 'behind the first')
  t.match([bounded.status, json(bounded).error], [503, 'queue_timeout'])
  t.equal((await line).status, 503)
})

t.test('R6 without a queue: 202 for who would rather come back', async (t) => {
  const gateway = await slowService(t, 100, {}, { queue: false })
  const url = `${gateway.url}/services/slow/`
  t.equal((await ask(url, { headers: { prefer: 'respond-async' } })).status, 202)
  await gateway.event('instance.ready')
  t.equal((await ask(url)).status, 200)
})

t.test('R6 a browser gets a page that goes on by itself; programs just wait', async (t) => {
  const gateway = await slowService(t, 700, { proxy: { waiting_page_ms: 50 } })
  const url = `${gateway.url}/services/slow/`
  const browser = { accept: 'text/html,application/xhtml+xml', 'sec-fetch-mode': 'navigate' }
  const program = ask(url)
  const fetched = ask(url, { headers: { accept: 'text/html', 'sec-fetch-mode': 'cors' } })
  const page = await ask(url, { headers: browser })
  t.equal(page.status, 503)
  t.equal(page.headers['content-type'], 'text/html; charset=utf-8')
  t.equal(page.headers['cache-control'], 'no-store')
  t.match(page.headers['content-security-policy'], /default-src 'none'.*script-src 'sha256-/)
  t.match(page.text, /slow is being started.*goes on by itself/)
  t.equal((await program).status, 200)
  t.equal((await fetched).status, 200)
  t.equal((await ask(url, { headers: browser })).status, 200)

  await gateway.instance('slow').stop('manual')
  await gateway.configure(
    JSON.stringify({
      services: {
        slow: {
          base_url: 'http://127.0.0.1:1',
          process: { command: ['/does/<not>/exist'] },
          health: { url: '/' },
          proxy: { waiting_page_ms: 5000 },
        },
      },
    }),
  )
  await gateway.gateway.reload()
  const failed = await ask(url, { headers: browser })
  t.equal(failed.status, 503)
  t.match(failed.text, /slow can’t be reached.*&lt;not&gt;/)
  t.notMatch(failed.text, /<script/)
})

t.test('R11 answers say what was decided, unless that is switched off', async (t) => {
  const gateway = await slowService(t, 100)
  const url = `${gateway.url}/services/slow/`
  const cold = await ask(url)
  t.match(cold.headers, { 'x-hestia-instance': 'slow/default', 'x-hestia-reason': 'base_url' })
  t.ok(Number(cold.headers['x-hestia-cold-start']) >= 100)
  const hot = await ask(url)
  t.equal(hot.headers['x-hestia-reason'], 'base_url')
  t.equal(hot.headers['x-hestia-cold-start'], undefined)
  t.equal(hot.headers['x-hestia-error'], undefined)

  const config = parse(await readFile(join(gateway.dir, 'hestia_config.yml'), 'utf8')) as { plugins: object; services: object }
  await gateway.configure(JSON.stringify({ ...config, plugins: { proxy: { decision_headers: false } } }))
  await gateway.gateway.reload()
  const silent = await ask(url)
  t.equal(silent.status, 200)
  t.notOk(Object.keys(silent.headers).some((name) => name.startsWith('x-hestia')))
})
