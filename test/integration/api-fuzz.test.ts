import http, { METHODS } from 'node:http'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import type { OpenApiDocument } from '../../plugins/openapi/document.ts'
import { freePort } from '../helpers/free-port.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { parseRaw, sendRaw } from '../helpers/raw.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

/**
 * Requests made up from the gateway's own description of its API, each wrong in some way: none may be answered 500, hang, tell how
 * the gateway is made, or keep it from serving. That every answer is described is checked when the gateway ends.
 */
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SEED = Number(process.env.HESTIA_FUZZ_SEED ?? Date.now() % 2 ** 31)
/** How long to go on, in milliseconds. */
const BUDGET_MS = Number(process.env.HESTIA_FUZZ_MS ?? 12_000)
/** No answer takes longer, however busy the machine is, in milliseconds. */
const PATIENCE_MS = 20_000

interface Call {
  readonly method: string
  readonly path: string
  readonly headers: readonly string[]
  readonly body: Buffer | undefined
  /** Methods that the document has for this path. */
  readonly known: readonly string[]
}

interface Reply {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
}

const deep = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth)

const scalars = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '0',
    '-1',
    '1.5',
    '1e308',
    '99999999999999999999',
    'NaN',
    'null',
    'true',
    '[]',
    '{}',
    '\0',
    'a\0b',
    '..',
    '../../etc/passwd',
    '%',
    '%00',
    '%zz',
    '%ff%fe',
    '__proto__',
    'constructor',
    'hasOwnProperty',
    'toString',
    '*',
    'web',
    'proc',
    '\u202e\u0301\u{1f4a9}',
    '<b>{x}',
    "' OR 1=1--",
    '<script>',
    'a\r\nb: c',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 1500 }) }, fc.constantFrom(8_000, 60_000)).map((length) => 'x'.repeat(length)),
)

const values: fc.Arbitrary<string> = fc.oneof(
  fc.json({ maxDepth: 4 }),
  scalars.map((text) => JSON.stringify(text)),
  fc.constantFrom(
    'null',
    'true',
    '-0',
    '1e308',
    '1e999',
    '-1.5',
    '9007199254740993',
    '[]',
    '{}',
    '{"__proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
    deep(2000, '[', ']'),
    deep(100_000, '[', ']'),
    `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`,
    JSON.stringify('y'.repeat(1_000_000)),
    JSON.stringify(Array.from({ length: 100_000 }, (_, i) => i)),
    JSON.stringify(Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, i]))),
    '"\\ud800"',
    '"\\u0000"',
  ),
)

const VALID: Readonly<Record<string, string>> = {
  serviceId: '"web"',
  method: '"GET"',
  path: '"/hello?x=1"',
  headers: '{"x-a":["1","2"]}',
  body: '{"a":1}',
  model: '"none"',
}
const keys = fc.constantFrom(...Object.keys(VALID), '__proto__', 'constructor', 'extra', '')

/** An object whose fields are right, wrong, missing, too many or there twice. */
const objects = fc
  .array(fc.tuple(keys, fc.option(values, { freq: 3 })), { maxLength: 3 })
  .chain((changes) => fc.subarray(Object.keys(VALID), { minLength: 3 }).map((kept) => ({ changes, kept })))
  .map(({ changes, kept }) => {
    const fields = kept.map((key) => `${JSON.stringify(key)}:${VALID[key]}`)
    for (const [key, value] of changes) fields.push(`${JSON.stringify(key)}:${value ?? 'null'}`)
    return `{${fields.join(',')}}`
  })

const bodies: fc.Arbitrary<Buffer | undefined> = fc.oneof(
  { weight: 3, arbitrary: objects.map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: values.map((text) => Buffer.from(text)) },
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  fc
    .constantFrom('{', '{"a":', '[1,]', '{"a":1}{}', "{'a':1}", '\ufeff{}', 'NaN', '{"a":\t\n\u0000}')
    .map((text) => Buffer.from(text)),
  fc.constant(undefined),
  fc.constant(Buffer.alloc(0)),
)

const types = fc.constantFrom(
  'application/json',
  'application/json',
  'application/json; charset=utf-7',
  'application/json;;',
  'APPLICATION/JSON',
  'application/vnd.api+json',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  'multipart/form-data; boundary=x',
  'application/octet-stream',
  'garbage',
  '/',
  'a'.repeat(5000),
)

const header = fc.oneof(
  {
    weight: 15,
    arbitrary: fc.tuple(
      fc.constantFrom(
        'x-request-id',
        'accept',
        'accept-encoding',
        'authorization',
        'x-api-key',
        'cookie',
        'origin',
        'sec-fetch-site',
        'referer',
        'range',
        'if-none-match',
        'te',
        'x-forwarded-for',
        'x-http-method-override',
        'traceparent',
        'prefer',
        'upgrade-insecure-requests',
      ),
      fc.oneof(
        fc.constantFrom(
          '',
          '*',
          'none',
          'cross-site',
          'wait=0',
          'Bearer x',
          'https://elsewhere.example',
          'a=b; c=d',
          'bytes=0-1',
          '\xff\xfe',
          'x'.repeat(7000),
        ),
        fc.string({ maxLength: 30 }).map((text) => text.replace(/[^\t\x20-\x7e]/g, '')),
      ),
    ),
  },
  fc.tuple(
    fc.constantFrom('x-big'),
    fc.constantFrom(20_000, 31_000, 33_000, 60_000).map((length) => 'b'.repeat(length)),
  ),
)

/** As in a path or a query: encoded, half encoded, or as it is where a client can send it at all. */
const spelt = (text: string, how: number): string => {
  const plain = text.replace(/[^\x21-\x7e]/g, '')
  if (how === 0) return plain.replace(/[/?#]/g, '')
  try {
    return how === 1 ? encodeURIComponent(text) : encodeURIComponent(text).replaceAll('%2F', '/')
  } catch {
    return plain
  }
}

const how = fc.nat({ max: 2 })
const queries = fc.oneof(
  fc.constant(''),
  fc.constantFrom(
    '?',
    '?&&&',
    '?=',
    '?%',
    '?%zz=%',
    '?__proto__=1',
    '?a[b]=c&a[]=d',
    '?limit=1&limit=2',
    '?limit[$gt]=1',
    '?types',
    '?#',
  ),
  fc
    .array(
      fc.tuple(
        fc.constantFrom('limit', 'since', 'service', 'kind', 'cursor', 'lines', 'types', 'model', 'x', '__proto__'),
        scalars,
        how,
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((pairs) => `?${pairs.map(([key, value, way]) => `${key}=${spelt(value, way).replaceAll('#', '')}`).join('&')}`),
)

/** One call for an operation of the document. */
function callsOf(document: OpenApiDocument): fc.Arbitrary<Call> {
  const paths = Object.entries(document.paths)
  const operations = paths.flatMap(([path, item]) =>
    Object.keys(item).map((method) => ({ path, item, method: method.toUpperCase() })),
  )
  // Those that take something are worth more tries.
  const tried = operations.flatMap((one) =>
    Array.from({ length: one.method === 'POST' || /\{|activities|events/.test(one.path) ? 4 : 1 }, () => one),
  )
  const sending = operations.filter(({ path }) => path === '/v1/requests')
  return fc
    .record({
      operation: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...tried) }, fc.constantFrom(...sending)),
      otherMethod: fc.oneof(
        { weight: 8, arbitrary: fc.constant(null) },
        fc.constantFrom(...METHODS.filter((name) => name !== 'CONNECT'), 'FOO', 'get', 'X-Y'),
      ),
      parameter: fc.oneof(fc.constantFrom('web', 'proc'), scalars),
      way: how,
      query: queries,
      type: fc.oneof({ weight: 6, arbitrary: fc.constant('application/json') }, types, fc.constant(null)),
      headers: fc.array(header, { maxLength: 3 }),
      body: bodies,
    })
    .map(({ operation, otherMethod, parameter, way, query, type, headers, body }) => {
      const method = otherMethod ?? operation.method
      const takesBody = method !== 'GET' && method !== 'HEAD'
      const raw = [...(type === null ? [] : ['content-type', type]), ...headers.flat()]
      return {
        method,
        path: operation.path.replace(/\{\w+\}/g, () => spelt(parameter, way)) + query,
        headers: raw,
        body: takesBody ? body : undefined,
        known: Object.keys(operation.item).map((name) => name.toUpperCase()),
      }
    })
}

const shown = ({ method, path, headers, body }: Call): string =>
  `${method} ${path.slice(0, 200)} ${JSON.stringify(headers).slice(0, 200)} ${body?.subarray(0, 200).toString() ?? ''}`

/** The answer; of a stream of events its head. Undefined where the gateway broke off, as it may with a head that is too large. */
function send(port: number, { method, path, headers, body }: Call): Promise<Reply | undefined> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? [] : ['content-length', String(body.length)]
    const request = http.request({
      host: '127.0.0.1',
      port,
      method,
      path,
      headers: ['host', 'localhost', ...headers, ...length],
      agent: false,
    })
    const timer = setTimeout(() => {
      request.destroy()
      reject(new Error(`no answer within ${PATIENCE_MS} ms`))
    }, PATIENCE_MS)
    let answered = false
    request.on('response', (response) => {
      answered = true
      const chunks: Buffer[] = []
      const finish = () => {
        clearTimeout(timer)
        request.destroy()
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString() })
      }
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('close', finish)
      if (response.headers['content-type']?.startsWith('text/event-stream')) finish()
    })
    request.on('error', () => {
      clearTimeout(timer)
      if (!answered) resolve(undefined)
    })
    request.end(body)
  })
}

function checkReply(call: Call, reply: Reply | undefined, gateway: RunningGateway): void {
  if (!reply) return
  const { status, headers, text } = reply
  const fail = (why: string) => {
    throw new Error(`${why}: ${shown(call)} -> ${status} ${text.slice(0, 500)}`)
  }
  if (status === 500) fail('failed')
  if (/\n\s+at .+:\d+/.test(text) || text.includes(ROOT) || text.includes(gateway.dir)) fail('tells how it is made')
  if (call.path.startsWith('/services/')) return
  // Its body may be lost with what the client still sends.
  if (status >= 400 && call.method !== 'HEAD' && !(status === 431 && text === '')) {
    const isJson = headers['content-type']?.startsWith('application/json')
    if (!isJson || (JSON.parse(text) as { error?: unknown }).error === undefined) fail('an error in no known shape')
  }
  const method = call.method.toUpperCase()
  const isKnown = call.known.includes(method) || (method === 'HEAD' && call.known.includes('GET'))
  if (!isKnown && status < 400) fail('a method that the document does not have')
  if (status === 405 && headers.allow === undefined) fail('405 without Allow')
}

t.test('R26 no request that the document could lead to breaks the gateway', { timeout: 120_000 }, async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end('hello'))
  const gateway = await startGateway(t, {
    config: `
plugins: { exclusive: {}, model-router: { ollama_api: true, default: web } }
services:
  web: { base_url: "${upstream.url}", warmup_ms: 1, queue: { timeout_ms: 5000 } }
  proc:
    base_url: "http://127.0.0.1:${await freePort()}"
    process: { command: ["${process.execPath}", "${ROOT}test/fixtures/word-server.mjs"] }
    health: { url: /v1/models }
    start: { timeout_ms: 5000 }
    queue: { timeout_ms: 5000 }
`,
  })
  const document = JSON.parse((await ask(`${gateway.url}/v1/openapi.json`)).text) as OpenApiDocument
  let count = 0
  const statuses = new Map<number, number>()
  const beganAt = performance.now()
  t.comment(`seed ${SEED}; again with HESTIA_FUZZ_SEED=${SEED}`)
  await fc.assert(
    fc.asyncProperty(fc.array(callsOf(document), { minLength: 8, maxLength: 24 }), async (calls) => {
      await Promise.all(
        calls.map(async (call) => {
          const reply = await send(gateway.port, call)
          count++
          statuses.set(reply?.status ?? 0, (statuses.get(reply?.status ?? 0) ?? 0) + 1)
          checkReply(call, reply, gateway)
        }),
      )
    }),
    { seed: SEED, numRuns: 10_000, interruptAfterTimeLimit: BUDGET_MS, markInterruptAsFailure: false, endOnFailure: true },
  )
  const seconds = (performance.now() - beganAt) / 1000
  t.comment(
    `${count} requests in ${seconds.toFixed(1)} s; ${[...statuses]
      .sort()
      .map(([status, many]) => `${status}: ${many}`)
      .join(', ')}`,
  )
  t.ok(count > 100)
  t.notOk('polluted' in {}, 'no prototype was changed')
  t.equal((await ask(`${gateway.url}/services/web/`)).text, 'hello')
  t.match(
    await until(async () => {
      const answer = await ask(`${gateway.url}/services/proc/v1/models`)
      return answer.status === 200 && answer
    }, 'the process to serve again'),
    { status: 200 },
  )
  t.equal((await ask(`${gateway.url}/v1/reload`, { method: 'POST' })).status, 200)
})

t.test('R4 bodies at the limits: no failure of the gateway, whichever side sends them', async (t) => {
  const answers: string[] = []
  const upstream = await httpUpstream(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(answers.at(-1))
  })
  const gateway = await startGateway(t, { config: `services: { web: { base_url: "${upstream.url}", warmup_ms: 1 } }` })
  const send = async (fields: string) => {
    const body = `{"serviceId":"web","method":"POST","path":"/"${fields}}`
    const { status, text } = await ask(`${gateway.url}/v1/requests`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    return { status, text: text.slice(0, 200), whole: text }
  }
  answers.push('"ok"')
  for (const depth of [1000, 100_000, 1_000_000]) {
    const { status, text } = await send(`,"body":${deep(depth, '[', ']')}`)
    t.ok(status === 200 || (status === 400 && text.includes('too deeply')), `${depth} levels: ${status} ${text}`)
  }
  t.match(await send(`,"headers":{"x":[${'0,'.repeat(1_000_000)}0]}`), { status: 400, text: /headers\.x/ })
  t.match(await send(`,${'"a":1,'.repeat(100_000)}"b":2`), { status: 400, text: /unknown key/ })
  t.match(await send(`,"method":"${'G'.repeat(1_000_000)}"`), { status: 400, text: /method.*expected the name of a method/ })
  t.match(await send(`,"serviceId":"${'s'.repeat(1_000_000)}"`), { status: 400 })
  t.match(await send(',"headers":{"__proto__":"x"}'), { status: 400, text: /not valid JSON/ })
  for (const answer of [
    '9007199254740993',
    '1.0',
    '1e400',
    deep(1_000_000, '[', ']'),
    '{"a":"\\ud800","__proto__":{}}',
    '{broken',
  ]) {
    answers.push(answer)
    const { status, whole } = await send('')
    t.equal(status, 200, answer.slice(0, 40))
    t.ok(whole.endsWith(`"body":${answer === '{broken' ? '"{broken"' : answer}}`), 'the body of the service, as it came')
  }
})

t.test('what no HTTP client would send is refused, and the next request is served', async (t) => {
  const gateway = await startGateway(t, { config: 'services: { web: { base_url: "http://127.0.0.1:1", warmup_ms: 1 } }' })
  const { paths } = JSON.parse((await ask(`${gateway.url}/v1/openapi.json`)).text) as OpenApiDocument
  for (const path of Object.keys(paths).filter((name) => !name.startsWith('/services/'))) {
    const lines = [
      `GET ${path}\0 HTTP/1.1\r\nHost: a\r\n\r\n`,
      `GET ${path} HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n`,
      `GET ${path} HTTP/9.9\r\nHost: a\r\n\r\n`,
      `GET ${path} HTTP/1.1\r\n\r\n`,
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n`,
      `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n`,
      `CONNECT ${path} HTTP/1.1\r\nHost: a\r\n\r\n`,
      `BREW ${path} HTTP/1.1\r\nHost: a\r\n\r\n`,
      `GET ${path} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`,
      `${'G'.repeat(100_000)} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`,
      `GET ${path}${'/x'.repeat(40_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    ]
    const answers = await Promise.all(lines.map((bytes) => sendRaw(gateway.port, bytes)))
    for (const [i, answer] of answers.entries()) {
      const { status, body } = parseRaw(answer)
      const line = lines[i]!.slice(0, 60)
      t.ok(status >= 400 && status !== 500, `${line}: ${status}`)
      t.type((JSON.parse(body) as { error: unknown }).error, 'string', line)
    }
  }
  t.equal((await ask(`${gateway.url}/__health`)).status, 200)
})
