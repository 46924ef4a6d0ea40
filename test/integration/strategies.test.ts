import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import t from 'tap'
import { Pool } from 'undici'
import { formatProblem } from '../../core/problem.ts'
import { startGateway } from '../helpers/gateway.ts'
import { sendRaw } from '../helpers/raw.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

type Tap = Parameters<typeof startGateway>[0]

const json = (value: unknown) => ({ headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) })
const form = (fields: Record<string, string | Blob>) => {
  const body = new FormData()
  for (const [name, value] of Object.entries(fields)) body.append(name, value)
  return { body }
}

/** Two instances that answer their name, behind `model_router` and the standard plugins. */
async function startRouted(t: Tap, more = '') {
  const a = await httpUpstream(t, (_request, response) => response.end('a'))
  let isBReady = true
  const b = await httpUpstream(t, (request, response) =>
    response.writeHead(request.url === '/ready' && !isBReady ? 503 : 200).end('b'),
  )
  const gateway = await startGateway(t, {
    config: `
server: { max_body_bytes: 200000 }
services:
  llm:
    instances:
      - { name: a, url: "${a.url}" }
      - { name: b, url: "${b.url}" }
    health: { url: /ready }
    strategy: model_router
    routing: { by_model: { x: a, y: b } }
  single:
    base_url: ${a.url}
    warmup_ms: 0
    strategy: model_router
${more}`,
  })
  const post = async (init: RequestInit, service = 'llm') => {
    const answer = await fetch(`${gateway.url}/services/${service}/v1/audio`, { method: 'POST', ...init })
    return `${answer.status} ${await answer.text()}`
  }
  const reasons = (from = 0) =>
    gateway.events.slice(from).flatMap((event) => (event.type === 'request.routed' ? [`${event.instance} ${event.reason}`] : []))
  const holdB = (isHeld: boolean) => {
    isBReady = !isHeld
  }
  return { ...gateway, a, b, post, reasons, holdB }
}

t.test('R12 model x to A, y to B, anything else balanced, then base_url: as JSON, as a form and without a body', async (t) => {
  const { a, b, post, reasons, events, instance } = await startRouted(t)
  const audio = new Blob([randomBytes(100_000)])
  const shapes: Record<string, (model: string) => RequestInit> = {
    json: (model) => json({ stream: true, model }),
    multipart: (model) => form({ file: audio, model }),
    urlencoded: (model) => ({ body: new URLSearchParams({ prompt: 'a & b', model }) }),
    'curl -d': (model) => ({
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: JSON.stringify({ model, prompt: 'why?' }),
    }),
  }
  await Promise.all([instance('llm', 'a').start(), instance('llm', 'b').start()])
  for (const [shape, make] of Object.entries(shapes)) {
    const from = events.length
    for (const model of ['x', 'y', 'y', 'x']) t.equal(await post(make(model)), `200 ${model === 'x' ? 'a' : 'b'}`, shape)
    t.same(reasons(from), ['a mapping', 'b mapping', 'b mapping', 'a mapping'], shape)
    const balanced = [await post(make('other')), await post(make('other'))].toSorted()
    t.same(balanced, ['200 a', '200 b'], `${shape}: another model is balanced`)
    t.same(new Set(reasons(from).slice(4)), new Set(['a load_balancer', 'b load_balancer']), shape)
    t.equal(await post(make('x'), 'single'), '200 a')
    t.same(reasons(from).at(-1), 'default base_url', shape)
  }
  const from = events.length
  t.same([await post({}), await post({})].toSorted(), ['200 a', '200 b'], 'without a body')
  t.same(new Set(reasons(from)), new Set(['a load_balancer', 'b load_balancer']))
  t.equal(await post({}, 'single'), '200 a')
  t.equal(reasons(from).at(-1), 'default base_url')
  t.ok(a.seen.length > 0 && b.seen.length > 0)
})

t.test('R12 a mapping hit never waits for another instance', async (t) => {
  const { post, holdB, instance, reasons } = await startRouted(t)
  holdB(true)
  const forB = post(json({ model: 'y' }))
  await until(() => instance('llm', 'b').waiting === 1, 'the request to wait for b')
  t.equal(await post(json({ model: 'x' })), '200 a')
  t.equal(await post(form({ model: 'x' })), '200 a')
  t.equal(instance('llm', 'b').state, 'starting', 'b is still on its way')
  holdB(false)
  t.equal(await forB, '200 b')
  t.same(reasons(), ['b mapping', 'a mapping', 'a mapping'])
})

const sha1 = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex')

t.test(
  'R2 R11 the bytes that are forwarded are the very bytes received, with a length or in chunks, asked for or not',
  async (t) => {
    const { b, url, port } = await startRouted(t)
    const odd = Buffer.from('\ufeff{ "model" :\t"\\u0079","model":"y", "n": 1.0e5, "s": "\\ud83d\\ude00 \\/" ,"pad":"')
    // Bytes that are no UTF-8 inside: nothing may be decoded and encoded again.
    const body = Buffer.concat([odd, Buffer.from([0xff, 0xfe]), Buffer.alloc(50_000, 'é'), Buffer.from('"}\r\n ')])
    const pool = new Pool(url)
    t.teardown(() => pool.destroy())
    const path = '/services/llm/x'
    const headers = { 'content-type': 'application/json' }
    const whole = await pool.request({ method: 'POST', path, headers, body })
    t.equal(await whole.body.text(), 'b')
    async function* chunks() {
      for (let at = 0; at < body.length; at += 7001) {
        yield body.subarray(at, at + 7001)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const chunked = await pool.request({ method: 'POST', path, headers, body: chunks() as never })
    t.equal(await chunked.body.text(), 'b')
    const head = `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nConnection: close\r\n`
    const asked = await new Promise<string>((resolve) => {
      let received = ''
      const socket = connect(port, '127.0.0.1')
      t.teardown(() => socket.destroy())
      socket.on('data', (chunk) => {
        if (received === '') socket.write(body)
        received += String(chunk)
      })
      socket.on('close', () => resolve(received))
      socket.write(`${head}Expect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`)
    })
    t.match(asked, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
    const posts = b.seen.filter(({ method }) => method === 'POST')
    t.same(
      posts.map((seen) => [sha1(seen.body), seen.headers['content-length']]),
      Array.from({ length: 3 }, () => [sha1(body), String(body.length)]),
    )
  },
)

t.test('R11 a body too large to look into is answered 413, announced or not; one that nobody looks into passes', async (t) => {
  const { a, port, post, configure, gateway, events } = await startRouted(t)
  const head = (more: string) => `POST /services/llm/x HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n${more}\r\n\r\n`
  const is413 = (received: string) => /^HTTP\/1\.1 413 [\s\S]*"error":"body_too_large"[\s\S]*"limit":200000/.test(received)
  t.ok(is413(await sendRaw(port, head('Content-Length: 200001'), is413)), 'announced: at once, before any of it has come')
  t.ok(is413(await sendRaw(port, head('Expect: 100-continue\r\nContent-Length: 200001'), is413)), 'and it is not asked for')
  const chunk = `30000\r\n${' '.repeat(0x30000)}\r\n`
  t.ok(is413(await sendRaw(port, head('Transfer-Encoding: chunked') + chunk + chunk, is413)), 'in chunks: without its end')
  const two = `${head('Transfer-Encoding: chunked')}${chunk}${chunk}0\r\n\r\nGET /services/single/next HTTP/1.1\r\nHost: h\r\n\r\n`
  const answers = await sendRaw(port, two, (received) => received.endsWith('a'))
  t.match(answers, /^HTTP\/1\.1 413 [\s\S]+HTTP\/1\.1 200 OK/, 'the connection goes on')
  t.equal(await post(json({ model: 'x', pad: 'x'.repeat(199_000) })), '200 a')
  const big = { headers: { 'content-type': 'application/octet-stream' }, body: Buffer.alloc(3_000_000) }
  t.match(await post(big), /^200 [ab]$/, 'a body of another type is not held')
  t.equal(a.seen.filter(({ url }) => url === '/x').length, 0)
  const failed = events.filter(({ type }) => type === 'request.failed')
  t.match(failed, [
    { code: 'body_too_large' },
    { code: 'body_too_large' },
    { code: 'body_too_large' },
    { code: 'body_too_large' },
  ])
  await configure(`services: { llm: { base_url: "${a.url}", warmup_ms: 0 } }`)
  await gateway.reload()
  t.equal(await post(json({ pad: 'x'.repeat(300_000) })), '200 a', 'no strategy reads it: there is no limit')
})

t.test('R11 a strategy sees which of the instances that run elsewhere are up, without having to choose them first', async (t) => {
  const a = await httpUpstream(t, (_request, response) => setTimeout(() => response.end('a'), 50))
  const b = await httpUpstream(t, (_request, response) => setTimeout(() => response.end('b'), 50))
  const { url, instance } = await startGateway(t, {
    config: `
services:
  web:
    instances: [{ name: a, url: "${a.url}" }, { name: b, url: "${b.url}" }, { name: gone, url: "http://127.0.0.1:9" }]
    health: { tcp: true }
    start: { timeout_ms: 100, cooldown_ms: 50 }
    strategy: least_busy
`,
  })
  const get = async () => (await fetch(`${url}/services/web/`)).text()
  await get()
  await until(() => instance('web', 'a').state === 'hot' && instance('web', 'b').state === 'hot', 'both to be known as up')
  for (let i = 0; i < 5; i++) t.same((await Promise.all([get(), get()])).toSorted(), ['a', 'b'], 'each takes one')
  t.not(instance('web', 'gone').state, 'hot')
})

t.test('R14 R16 a strategy edited, added, broken and deleted while requests flow: none fails, each change counts', async (t) => {
  const a = await httpUpstream(t, (_request, response) => response.end('a'))
  const b = await httpUpstream(t, (_request, response) => response.end('b'))
  const to = (name: string, more = '') =>
    `export default {\n  name: 'pick',\n  select: (_, { instances }) => instances.find(({ name }) => name === '${name}')${more},\n}\n`
  const { url, write, dir, event, events } = await startGateway(t, {
    config: `
services:
  web:
    instances: [{ name: a, url: "${a.url}" }, { name: b, url: "${b.url}" }]
    warmup_ms: 0
    strategy: pick
`,
    files: { 'strategies/pick.ts': to('a') },
  })
  const pool = new Pool(url, { connections: 8 })
  t.teardown(() => pool.destroy())
  let over = false
  const answers: string[] = []
  const client = async () => {
    while (!over) {
      const { statusCode, body } = await pool.request({ method: 'GET', path: '/services/web/' })
      answers.push(`${statusCode} ${await body.text()}`)
    }
  }
  const clients = Array.from({ length: 8 }, client)
  const both = ['200 a', '200 b']
  /** Waits until the answers that come from now on are these. */
  const settled = (expected: string[]) =>
    until(async () => {
      const from = answers.length
      await until(() => answers.length >= from + 60, 'some more answers')
      return [...new Set(answers.slice(from + 20))].toSorted().join() === expected.join()
    }, `nothing but ${expected}`)
  interface Listed {
    loaded_strategies: { name: string; file: string }[]
    service_configurations: Record<string, { loaded: boolean }>
    failed: { file: string; problems: { file: string; line: number; column: number; message: string }[] }[]
  }
  const list = async () => (await (await fetch(`${url}/v1/strategies`)).json()) as Listed

  await settled(['200 a'])
  await write('strategies/pick.ts', to('b'))
  await settled(['200 b'])
  t.pass('edited')

  let from = events.length
  await write('strategies/pick.ts', to('a', ' = oops'))
  const broken = await event('strategy.failed', () => true, from)
  t.match(broken, { problems: [{ line: 3 }] })
  t.match(formatProblem(broken.problems[0]!), /strategies\/pick\.ts:3:\d+ /, 'the log names file, line and column')
  t.match((await list()).failed, [
    { file: `${dir}/strategies/pick.ts`, problems: [{ line: 3, column: Number, message: String }] },
  ])
  await settled(['200 b'])
  t.pass('broken: its last good version goes on')

  from = events.length
  await write('strategies/pick.ts', "import { nothing } from './not-there.ts'\nexport default nothing\n")
  t.match(await event('strategy.failed', () => true, from), { problems: [{ line: 1, message: /not-there/ }] })
  await write('strategies/pick.ts', 'export default { name: 3 }\n')
  await until(async () => /must export/.test((await list()).failed[0]?.problems[0]?.message ?? ''), 'the next problem')
  await settled(['200 b'])

  await write('strategies/pick.ts', to('a'))
  await settled(['200 a'])
  t.same((await list()).failed, [])
  t.pass('mended')

  await write('strategies/another.ts', to('b'))
  await until(async () => (await list()).failed.length === 1, 'the second file of that name')
  t.match((await list()).failed, [{ problems: [{ message: /the name "pick" belongs to .*pick\.ts already/ }] }])
  await settled(['200 a'])

  await (await import('node:fs/promises')).rm(`${dir}/strategies/pick.ts`)
  await settled(['200 b'])
  t.pass('deleted: the other file of that name takes its place')
  await (await import('node:fs/promises')).rm(`${dir}/strategies/another.ts`)
  await until(async () => !(await list()).service_configurations.web!.loaded, 'it to be gone')
  await settled(both)
  t.pass('deleted: the load balancer decides')
  await write('strategies/added.ts', to('b'))
  await settled(['200 b'])
  t.pass('added')

  over = true
  await Promise.all(clients)
  t.same([...new Set(answers)].toSorted(), both, `${answers.length} answers, none failed`)
  t.equal(events.filter(({ type }) => type === 'request.failed').length, 0)
})
