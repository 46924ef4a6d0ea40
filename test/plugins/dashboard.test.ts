import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

const KEY = 'a-key-that-is-long-enough-1234'
const CONFIG = { services: { one: { base_url: 'http://127.0.0.1:1', warmup_ms: 1 } } }
const assetsOf = (html: string): string[] => [...html.matchAll(/(?:src|href)="(dashboard\/[^"]+)"/g)].map(([, path]) => path!)

t.test('R29 the page: strict policy, nothing from elsewhere, small', async (t) => {
  const { url } = await startGateway(t, { config: JSON.stringify(CONFIG) })
  for (const path of ['/', '/dashboard', '/login']) {
    const { status, headers, text } = await ask(url + path)
    t.equal(status, 200, path)
    t.match(headers, {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    const policy = String(headers['content-security-policy'])
    t.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/)
    t.match(policy, /frame-ancestors 'none'/)
    t.notMatch(policy, /unsafe|\*|https?:/)
    t.notMatch(text.replace('http://www.w3.org/2000/svg', ''), /https?:\/\//, 'no address of elsewhere')
    t.notMatch(text, /<script(?![^>]* src=)|<style|\son\w+=|\sstyle=/, 'nothing inline')
    t.equal(assetsOf(text).length, 2, 'a script and a style sheet')
  }
  t.same([(await ask(`${url}/dashboard/`)).status, (await ask(`${url}/dashboard/`)).headers.location], [308, '../dashboard'])

  const { text } = await ask(`${url}/dashboard`)
  let gzipped = text.length
  for (const path of assetsOf(text)) {
    const plain = await ask(`${url}/${path}`)
    const packed = await ask(`${url}/${path}`, { headers: { 'accept-encoding': 'br, gzip' } })
    t.equal(plain.status, 200)
    t.match(plain.headers['content-type'], path.endsWith('.css') ? /^text\/css/ : /^text\/javascript/)
    t.match(packed.headers, { 'content-encoding': 'gzip', 'cache-control': /immutable/, vary: 'accept-encoding' })
    t.same(gunzipSync(packed.body), plain.body)
    t.notMatch(plain.text, /@import|\beval\(|new Function\b/)
    gzipped += packed.body.length
  }
  t.comment(`${(gzipped / 1000).toFixed(1)} kB gzipped`)
  t.ok(gzipped < 100_000, `${gzipped} bytes gzipped`)
  t.equal((await ask(`${url}/dashboard/assets/none.js`)).status, 404)
})

t.test('R29 facts, and what a set-up costs', async (t) => {
  const gateway = await startGateway(t, { config: JSON.stringify(CONFIG) })
  const { url } = gateway
  const facts = async () => JSON.parse((await ask(`${url}/dashboard/facts`)).text) as Record<string, unknown>
  const before = await facts()
  t.match(before, { version: /^\d+\.\d+\.\d+/, generation: 1, auth: false, exposed: false })
  t.ok((before.plugins as string[]).includes('dashboard'))
  const html = (await ask(`${url}/dashboard`)).text

  await gateway.configure(JSON.stringify({ ...CONFIG, plugins: { auth: {}, metrics: false } }))
  await gateway.event('reload.applied', ({ generation }) => generation === 2)
  t.equal((await ask(`${url}/dashboard/facts`)).status, 401)
  for (const path of assetsOf(html)) t.equal((await ask(`${url}/${path}`)).status, 200, 'the page that is open goes on')
  const { setupMs } = gateway.gateway.plugins().find(({ name }) => name === 'dashboard')!
  t.comment(`set up in ${setupMs} ms`)
  t.ok(setupMs < 50, 'nothing is built at set-up')
})

t.test('R22 R29 with auth on, the page needs a login, and only its shell is public', async (t) => {
  const config = JSON.stringify({ ...CONFIG, plugins: { auth: { keys: [{ name: 'me', key: KEY, scopes: ['admin'] }] } } })
  const { url } = await startGateway(t, { config })
  for (const path of ['/', '/dashboard']) {
    const sent = await ask(url + path, { headers: { accept: 'text/html' } })
    t.same([sent.status, sent.headers.location], [302, `/login?next=${encodeURIComponent(path)}`])
    t.equal((await ask(url + path)).status, 401, 'for programs')
    t.equal((await ask(url + path, { headers: { 'x-api-key': KEY } })).status, 200)
  }
  const { status, text } = await ask(`${url}/login`)
  t.equal(status, 200)
  for (const path of assetsOf(text)) t.equal((await ask(`${url}/${path}`)).status, 200)
  t.match(JSON.parse((await ask(`${url}/dashboard/facts`, { headers: { 'x-api-key': KEY } })).text), { auth: true })
})

t.test('R15 off, and not at the root', async (t) => {
  const off = await startGateway(t, { config: JSON.stringify({ ...CONFIG, plugins: { dashboard: false } }) })
  for (const path of ['/', '/dashboard', '/login', '/dashboard/facts']) t.equal((await ask(off.url + path)).status, 404, path)
  const below = await startGateway(t, { config: JSON.stringify({ ...CONFIG, plugins: { dashboard: { root: false } } }) })
  t.equal((await ask(`${below.url}/`)).status, 404)
  t.equal((await ask(`${below.url}/dashboard`)).status, 200)
})

t.test('a service that sits at the root of its own host is not covered', async (t) => {
  const config = JSON.stringify({ services: { one: { ...CONFIG.services.one, hosts: ['one.home'] } } })
  const { url } = await startGateway(t, { config })
  const { headers } = await ask(`${url}/`, { headers: { host: 'one.home' } })
  t.equal(headers['content-security-policy'], undefined)
  t.ok(headers['x-hestia-error'], 'it was sent to the service, which is not there')
})

t.test('R29 what the page asks of the API: use, the time until an idle stop, events of one service, broken lines', async (t) => {
  const { url: base_url } = await httpUpstream(t)
  const one = { base_url, warmup_ms: 0, idle: { timeout_ms: 60_000 } }
  const { url, write, event } = await startGateway(t, {
    config: JSON.stringify({ services: { one, never: { base_url, warmup_ms: 0 }, two: one } }),
  })
  const instance = async (id: string) =>
    (JSON.parse((await ask(`${url}/v1/services/${id}/status`)).text) as { instances: Record<string, number | null>[] })
      .instances[0]!
  t.match(await instance('one'), { requests: 0, sinceUsedMs: null, stopsInMs: null })

  const [stream] = (await once(http.get(`${url}/v1/events?service=two&types=instance.state`), 'response')) as [IncomingMessage]
  t.teardown(() => stream.destroy())
  let told = ''
  stream.on('data', (chunk) => (told += String(chunk)))
  for (const id of ['one', 'one', 'never', 'two']) t.equal((await ask(`${url}/services/${id}/`)).status, 200)
  await until(() => told.includes('"to":"hot"'), 'the events')
  t.notMatch(told, /"service":"(one|never)"/)

  const used = await until(async () => {
    const now = await instance('one')
    return now.stopsInMs === null ? undefined : now
  }, 'the last one to be done')
  t.equal(used.requests, 2)
  t.ok(used.sinceUsedMs! < 30_000)
  t.equal(used.stopsInMs! + used.sinceUsedMs!, 60_000, 'the clock begins with the end of the last request')
  t.match(await instance('never'), { requests: 1, sinceUsedMs: Number, stopsInMs: null })

  await write('strategies/mine.ts', 'export default {\n  name: ,\n}\n')
  await event('strategy.failed')
  const { failed } = JSON.parse((await ask(`${url}/v1/strategies`)).text) as { failed: unknown[] }
  t.match(failed, [{ problems: [{ line: 2, column: 9, excerpt: '  name: ,' }] }])
})
