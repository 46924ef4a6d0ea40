import { gzipSync } from 'node:zlib'
import t from 'tap'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'
import { deadPort, httpUpstream, streamUpstream } from '../helpers/upstream.ts'

const config = (services: Record<string, unknown>, requests: Record<string, unknown> = {}): string =>
  `plugins: { defaults: false, proxy: {}, queue: {}, requests: ${JSON.stringify(requests)} }\nservices: ${JSON.stringify(services)}\n`
const service = (url: string, more: Record<string, unknown> = {}) => ({ base_url: url, warmup_ms: 0, ...more })

t.test('R4 a request as JSON, an answer as JSON', async (t) => {
  const types: Record<string, [string | undefined, Buffer]> = {
    '/json': ['application/json; charset=utf-8', Buffer.from('{"a":[1,null]}')],
    '/null': ['application/json', Buffer.from('null')],
    '/problem': ['application/problem+json', Buffer.from('{"p":1}')],
    '/notjson': ['application/json', Buffer.from('{oops')],
    '/text': ['text/plain', Buffer.from('gr\u00fc\u00df')],
    '/latin': ['text/plain; charset=iso-8859-1', Buffer.from('gr\u00fc\u00df', 'latin1')],
    '/plain': [undefined, Buffer.from('plain')],
    '/bytes': ['application/x-thing', Buffer.from([0xff, 0xfe, 0x00])],
    '/image': ['image/png', Buffer.from('looks like text')],
    '/gzip': ['text/plain', gzipSync('zipped')],
  }
  const upstream = await httpUpstream(t, (request, response) => {
    const [type, body] = types[request.url ?? ''] ?? ['text/plain', Buffer.from('ok')]
    if (type) response.setHeader('content-type', type)
    if (request.url === '/gzip') response.setHeader('content-encoding', 'gzip')
    response.setHeader('set-cookie', ['a=1', 'b=2'])
    response.statusCode = request.url === '/text' ? 418 : 200
    response.end(body)
  })
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  const send = async (request: Record<string, unknown>) => {
    const answer = await ask(`${gateway.url}/v1/requests`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ serviceId: 'up', method: 'GET', ...request }),
    })
    return { code: answer.status, ...(JSON.parse(answer.text) as Record<string, unknown>) } as {
      code: number
      status: number
      headers: Record<string, unknown>
      body: unknown
      encoding?: string
    }
  }
  t.match(await send({ path: '/json' }), {
    code: 200,
    status: 200,
    body: { a: [1, null] },
    headers: { 'set-cookie': ['a=1', 'b=2'] },
  })
  t.equal((await send({ path: '/null' })).body, null)
  t.same((await send({ path: '/problem' })).body, { p: 1 })
  t.equal((await send({ path: '/notjson' })).body, '{oops')
  t.match(await send({ path: '/text' }), { code: 200, status: 418, body: 'gr\u00fc\u00df' })
  t.equal((await send({ path: '/latin' })).body, 'gr\u00fc\u00df')
  t.equal((await send({ path: '/plain' })).body, 'plain')
  t.match(await send({ path: '/bytes' }), { body: '//4A', encoding: 'base64' })
  t.match(await send({ path: '/image' }), { encoding: 'base64' })
  t.match(await send({ path: '/gzip' }), { body: gzipSync('zipped').toString('base64'), encoding: 'base64' })
  t.notHas(await send({ path: '/json' }), 'encoding')

  await send({
    path: '/a%2Fb?x=%20',
    method: 'POST',
    headers: {
      'X-A': ['1', '2'],
      Host: 'evil.example',
      'Content-Length': '3',
      Connection: 'X-A',
      'Transfer-Encoding': 'chunked',
    },
    body: { deep: true },
  })
  const seen = upstream.seen.at(-1)!
  t.equal(seen.url, '/a%2Fb?x=%20')
  t.equal(seen.body.toString(), '{"deep":true}')
  t.match(seen.headers, {
    'x-a': '1, 2',
    host: `127.0.0.1:${upstream.port}`,
    'content-type': 'application/json',
    'content-length': '13',
  })
  t.match(seen.headers, { 'x-forwarded-for': '127.0.0.1', via: /hestia/ })
  await send({ path: '/', method: 'PUT', headers: { 'content-type': 'text/csv' }, body: 'a,b' })
  t.match(upstream.seen.at(-1), { method: 'PUT', headers: { 'content-type': 'text/csv' }, body: Buffer.from('a,b') })
  t.match(await send({ path: '/', method: 'HEAD' }), { status: 200, body: '' })
  await until(() => gateway.instance('up').inFlight === 0)
})

t.test('R4 what is refused, and what goes wrong', async (t) => {
  const upstream = await streamUpstream(t, (request, response) => {
    if (request.url === '/large') response.end('x'.repeat(2000))
    else if (request.url === '/break') {
      response.write('half')
      setTimeout(() => response.destroy(), 20)
    }
  })
  const gateway = await startGateway(t, {
    config: config(
      {
        up: service(upstream.url, { proxy: { first_byte_timeout_ms: 60 } }),
        dead: service(`http://127.0.0.1:${await deadPort()}`),
      },
      { max_response_bytes: 1000 },
    ),
  })
  const good = { serviceId: 'up', method: 'GET', path: '/' }
  const send = async (body: unknown, type = 'application/json') => {
    const answer = await ask(`${gateway.url}/v1/requests`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    const { error, message } = JSON.parse(answer.text) as { error: string; message: string }
    return `${answer.status} ${error}: ${message}`
  }
  for (const wrong of [
    {},
    { ...good, serviceId: undefined },
    { ...good, path: 'http://169.254.169.254/latest' },
    { ...good, path: 'x' },
    { ...good, path: '/a b' },
    { ...good, path: '/a\r\nX-Evil: 1' },
    { ...good, method: 'GET /' },
    { ...good, method: 'CONNECT' },
    { ...good, method: 'FROBNICATE' },
    { ...good, headers: { 'X A': '1' } },
    { ...good, headers: { 'X-A': 'a\r\nX-Evil: 1' } },
    { ...good, headers: { 'X-A': 1 } },
    { ...good, url: 'http://other' },
  ])
    t.match(await send(wrong), /^400 invalid_request: ./, JSON.stringify(wrong))
  t.match(await send('{oops'), /^400 /)
  t.match(await send({ ...good, path: '/../x' }), /^400 bad_path/)
  t.match(await send({ ...good, serviceId: 'nobody' }), /^404 unknown_service/)
  t.match(await send('a=1', 'application/x-www-form-urlencoded'), /^415 /)
  t.match(await send({ ...good, serviceId: 'dead' }), /^502 upstream_unreachable/)
  t.match(await send({ ...good, path: '/large' }), /^502 upstream_failed: .*1000 bytes/)
  t.match(await send({ ...good, path: '/break' }), /^502 upstream_failed/)
  t.match(await send(good), /^504 upstream_timeout/)
  await until(() => gateway.instance('up').inFlight === 0 && gateway.instance('dead').inFlight === 0)
})
