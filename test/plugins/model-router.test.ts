import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { Ollama } from 'ollama'
import OpenAI, { toFile } from 'openai'
import t, { type Test } from 'tap'
import { freePort } from '../helpers/free-port.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

type Given = Record<string, unknown>

const fixture = (name: string): string[] => plainNode(resolve(import.meta.dirname, '../fixtures', name))
const messages = [{ role: 'user' as const, content: 'How does it go?' }]

/** A model server that runs while it is used. */
const server = async (name: string, model: string, more: Given = {}, bootMs = 100): Promise<Given> => ({
  base_url: `http://127.0.0.1:${await freePort()}`,
  process: { command: fixture(name), env: { MODEL: model, BOOT_MS: bootMs } },
  health: { url: '/health' },
  start: { timeout_ms: 30_000 },
  ...more,
})
const words = (model: string, more?: Given, bootMs?: number) => server('word-server.mjs', model, more, bootMs)

const configOf = (services: Given, options: Given | false = {}, more: Given = {}): string => {
  const standard = { 'load-balancer': {}, queue: {}, process: {}, health: {}, idle: {}, proxy: {} }
  return JSON.stringify({ plugins: { defaults: false, 'model-router': options, ...standard, ...more }, services })
}

interface Setting extends RunningGateway {
  readonly openai: OpenAI
  readonly ollama: Ollama
  /** Services to which requests went, in order. */
  routed(): string[]
  states(): Record<string, string>
}

async function setUp(t: Test, services: Given, options: Given | false = {}, more: Given = {}): Promise<Setting> {
  const running = await startGateway(t, { config: configOf(services, options, more) })
  return {
    ...running,
    openai: new OpenAI({ baseURL: `${running.url}/v1`, apiKey: 'none', maxRetries: 0 }),
    ollama: new Ollama({ host: running.url }),
    routed: () => running.events.flatMap((event) => (event.type === 'request.routed' ? [event.service] : [])),
    states: () => Object.fromEntries(Object.keys(services).map((id) => [id, running.service(id).state])),
  }
}

/** What the client makes of a refusal. */
async function refusal(promise: PromiseLike<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  try {
    await promise
  } catch (error) {
    return error as InstanceType<typeof OpenAI.APIError>
  }
  throw new Error('nothing was refused')
}

const ids = async (openai: OpenAI): Promise<string[]> => (await openai.models.list()).data.map(({ id }) => id)

t.test('R27 three services behind one base URL, all cold at first', async (t) => {
  const { openai, routed, states, events } = await setUp(t, {
    words: await words('org/words', { models: ['org/words'], aliases: { 'gpt-4o': 'org/words' } }),
    ears: await server('media-server.mjs', 'whisper', { models: ['whisper'] }),
    eyes: await server('media-server.mjs', 'painter', { models: ['paint*'] }),
  })

  await t.test('the list of models starts nothing and tells the state of each', async (t) => {
    const { data } = await openai.models.list()
    t.match(data, [
      { id: 'org/words', object: 'model', created: Number, owned_by: 'words', hestia: { state: 'cold', machine: null } },
      { id: 'gpt-4o', owned_by: 'words', hestia: { service: 'words', alias_of: 'org/words' } },
      { id: 'whisper', owned_by: 'ears' },
    ])
    t.equal(data.length, 3)
    t.match(await openai.models.retrieve('org/words'), { id: 'org/words', owned_by: 'words' })
    t.match(await openai.models.retrieve('painter'), { id: 'painter', owned_by: 'eyes' }, 'a pattern stands for it')
    t.match(await refusal(openai.models.retrieve('nobody')), { status: 404, code: 'model_not_found' })
    t.same(states(), { words: 'cold', ears: 'cold', eyes: 'cold' })
    t.notOk(events.some(({ type }) => type === 'instance.state'))
  })

  await t.test('chat, streamed chat and embeddings', async (t) => {
    const chat = await openai.chat.completions.create({ model: 'org/words', messages, max_completion_tokens: 3 })
    t.equal(chat.usage?.completion_tokens, 3)
    t.same(states(), { words: 'hot', ears: 'cold', eyes: 'cold' })
    let text = ''
    const stream = await openai.chat.completions.create({ model: 'org/words', messages, max_completion_tokens: 5, stream: true })
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
    t.equal(text, 'so it goes on and ')
    const { data } = await openai.embeddings.create({ model: 'org/words', input: 'one' })
    t.equal(data[0]?.embedding.length, 8)
  })

  await t.test('a transcription, its model after the file', async (t) => {
    const form = new FormData()
    form.set('file', new Blob([Buffer.alloc(300_000, '\r\n--x')]), 'speech.wav')
    form.set('model', 'whisper')
    const answer = await fetch(`${openai.baseURL}/audio/transcriptions`, { method: 'POST', body: form })
    t.same(await answer.json(), { text: 'whisper: 300000 bytes of speech.wav; file model' })
    const { text } = await openai.audio.transcriptions.create({ model: 'whisper', file: await toFile(Buffer.alloc(9), 'b.wav') })
    t.match(text, 'whisper: 9 bytes of b.wav')
  })

  await t.test('an edited image, by a pattern', async (t) => {
    const image = await toFile(Buffer.alloc(7), 'a.png', { type: 'image/png' })
    const { data } = await openai.images.edit({ model: 'painter', image, prompt: 'a hat' })
    t.equal(Buffer.from(data![0]!.b64_json!, 'base64').toString(), 'painter: a hat on 7 bytes')
  })

  t.same(routed(), ['words', 'words', 'words', 'ears', 'ears', 'eyes'])
})

t.test('R12 what is sent to a service', async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end('{}')
  })
  const service = { base_url: `${upstream.url}/v1/`, warmup_ms: 0, models: ['real', 'llama3:latest'], aliases: { other: 'real' } }
  const { openai, url } = await setUp(t, { up: service }, { ollama_api: true })
  const post = (path: string, body: string | Buffer, type = 'application/json') =>
    ask(`${url}${path}`, { method: 'POST', body, headers: { 'content-type': type } })

  await t.test('the very bytes, and /v1 only once', async (t) => {
    const body = '{ "n" : 1.0, "big": 12345678901234567890,\n"model":"real", "x": "\\u00e9" }'
    t.equal((await post('/v1/chat/completions?a=%2F', body)).status, 200)
    const seen = upstream.seen.at(-1)!
    t.equal(seen.url, '/v1/chat/completions?a=%2F')
    t.equal(seen.body.toString(), body)
    t.equal(seen.headers['content-length'], String(Buffer.byteLength(body)))
  })

  await t.test('an alias: nothing but the name is another', async (t) => {
    const body = (model: string) =>
      `{"messages":[{"model":"other","content":"\\"model\\":\\"other\\""}], "model" : "${model}","n":1.0}`
    await post('/v1/chat/completions', body('other'))
    t.equal(upstream.seen.at(-1)!.body.toString(), body('real'))
    t.equal(upstream.seen.at(-1)!.headers['content-length'], String(body('real').length))
    await openai.audio.transcriptions.create({ model: 'other', file: await toFile(Buffer.from('"other"'), 'other') })
    const form = upstream.seen.at(-1)!
    t.match(form.body.toString(), /name="model"\r\n\r\nreal\r\n/)
    t.match(form.body.toString(), '"other"', 'the file is as it was')
    t.equal(form.headers['content-length'], String(form.body.length))
  })

  await t.test('JSON that calls itself a form, as curl does', async (t) => {
    const answer = await post('/v1/completions', '{"model":"other"}', 'application/x-www-form-urlencoded')
    t.equal(answer.status, 200)
    t.equal(upstream.seen.at(-1)!.body.toString(), '{"model":"real"}')
  })

  await t.test('a tag that Ollama takes for granted', async (t) => {
    await post('/v1/completions', '{"model":"llama3"}')
    t.equal(upstream.seen.at(-1)!.body.toString(), '{"model":"llama3"}')
  })

  await t.test('a response made before, if the model is named', async (t) => {
    await ask(`${url}/v1/responses/resp_1?model=real`)
    t.equal(upstream.seen.at(-1)!.url, '/v1/responses/resp_1?model=real')
    const lost = await refusal(openai.responses.retrieve('resp_1'))
    t.match(lost, { status: 404, message: /\/services\/<id>\/v1\/responses\/resp_1/ })
    t.equal((await ask(`${url}/v1/responses/resp_1`, { method: 'DELETE' })).status, 404)
  })
})

t.test('R27 errors, as the client shows them', async (t) => {
  const broken = plainNode('-e', 'console.error("out of memory"); process.exit(3)')
  const { openai, url } = await setUp(
    t,
    {
      words: await words('words', { models: ['words', 'more'] }),
      broken: await words('broken', { models: ['broken'], process: { command: broken } }),
      quiet: await words('quiet', {}),
    },
    { max_body_bytes: 2000 },
  )

  await t.test('a model that nobody has', async (t) => {
    const error = await refusal(openai.chat.completions.create({ model: 'gpt-5', messages }))
    t.ok(error instanceof OpenAI.NotFoundError)
    t.match(error, { code: 'model_not_found', param: 'model', type: 'invalid_request_error' })
    t.match(error.message, 'No service has the model "gpt-5". There are: words, more, broken.')
    t.match(error.message, 'Not known yet are the models of quiet')
    t.match(error.message, 'services.quiet.models')
  })

  await t.test('no model, no JSON, no body at all', async (t) => {
    for (const body of ['{}', '{"model":""}', '{"model":null}', 'nonsense', '']) {
      const answer = await ask(`${url}/v1/embeddings`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
      t.equal(answer.status, 400, body)
      t.match(JSON.parse(answer.text), { error: { param: 'model', message: /names no "model".*There are: words, more/ } })
    }
  })

  await t.test('a service that cannot start', async (t) => {
    const error = await refusal(openai.chat.completions.create({ model: 'broken', messages }))
    t.match(error, { status: 503, code: 'start_failed', type: 'server_error', message: /out of memory/ })
    t.match(error.headers?.get('retry-after'), /^[1-9]\d*$/)
  })

  await t.test('a body that is too large', async (t) => {
    const input = 'x'.repeat(3000)
    const error = await refusal(openai.embeddings.create({ model: 'words', input }))
    t.match(error, { status: 413, code: 'body_too_large', message: /2000 bytes.*model-router\.max_body_bytes/ })
  })

  await t.test('what Fastify refuses', async (t) => {
    const answer = await ask(`${url}/v1/embeddings`, { method: 'POST', body: '{}', headers: { 'content-type': 'what is this' } })
    t.equal(answer.status, 415)
    t.match(JSON.parse(answer.text), { error: { type: 'invalid_request_error', message: String } })
  })
})

t.test('R27 a model at two services', async (t) => {
  const { openai, routed, instance } = await setUp(t, {
    first: await words('words', { models: ['words'] }),
    second: await words('words', { models: ['words'] }),
    third: await words('words', { models: ['wor*'] }),
    fourth: await words('words', { aliases: { words: 'other' } }),
  })
  const chat = () => openai.chat.completions.create({ model: 'words', messages, max_completion_tokens: 1 })
  await instance('second').start()
  await chat()
  t.equal((await openai.models.list()).data[0]?.owned_by, 'second')
  await instance('second').stop('manual')
  await chat()
  await instance('second').start()
  await chat()
  t.same(routed(), ['second', 'first', 'first'], 'the one that runs, then the first')
  instance('first').setHealth(false, 'a test says so')
  await chat()
  t.equal(routed().at(-1), 'second', 'and one that is well')
})

t.test('R27 models that a service tells of itself', async (t) => {
  const page = await httpUpstream(t, (_request, response) => response.end('<html>'))
  const services = {
    words: await words('words', { idle: { timeout_ms: 300 } }),
    page: { base_url: page.url, warmup_ms: 0 },
  }
  const { openai, instance, event, events, states, url, configure } = await setUp(t, services)
  t.same(await ids(openai), [])
  t.match((await refusal(openai.chat.completions.create({ model: 'words', messages }))).message, /No model is known.*words, page/)
  t.same(states(), { words: 'cold', page: 'cold' })

  await ask(`${url}/services/words/health`)
  await until(async () => (await ids(openai)).length > 0, 'the models to be known')
  t.same(await ids(openai), ['words'])
  await ask(`${url}/services/page/`)
  const asked = () => page.seen.filter(({ url }) => url !== '/').map(({ url }) => url)
  await until(() => asked().length === 2, 'the page to be asked')
  t.same(asked(), ['/v1/models', '/api/tags'])

  await event('instance.stopped', ({ reason }) => reason === 'idle')
  t.same(await ids(openai), ['words'], 'asking for the list does not keep it awake, and what it told is remembered')
  const before = events.length
  await configure(configOf(services, { refresh_ms: 5000 }))
  await event('reload.applied', () => true, before)
  t.same(await ids(openai), ['words'], 'also over a reload')
  t.equal(instance('words').state, 'cold')

  const chat = await openai.chat.completions.create({ model: 'words', messages, max_completion_tokens: 2 })
  t.equal(chat.usage?.completion_tokens, 2)
  const { message } = await refusal(openai.chat.completions.create({ model: 'nobody', messages }))
  t.match(message, /There are: words\.$/, 'the page has no models')
  t.equal(asked().length, 2, 'and is not asked again')
})

t.test('R27 which services are asked', async (t) => {
  const answers: Record<string, string> = { '/api/tags': '{"models":[{"name":"llama3:latest"}]}' }
  const upstream = await httpUpstream(t, (request, response) => {
    response.statusCode = answers[request.url!] ? 200 : 404
    response.end(answers[request.url!] ?? 'nothing here')
  })
  const service = (more: Given = {}) => ({ base_url: upstream.url, warmup_ms: 0, ...more })
  const paths = () => upstream.seen.map(({ url }) => url)

  await t.test('one that only speaks as Ollama; again when a model is not known', async (t) => {
    const { openai, ollama, instance } = await setUp(t, { a: service() }, { refresh_ms: 0, ollama_api: true })
    await instance('a').start()
    await until(async () => (await ids(openai)).includes('llama3:latest'))
    t.same(
      (await ollama.ps()).models.map(({ name }) => name),
      ['llama3:latest'],
    )
    answers['/api/ps'] = '{"models":[{"name":"loaded"}]}'
    t.match(await ollama.ps(), { models: [{ name: 'loaded' }] }, 'what is loaded it knows best')
    t.equal((await openai.models.retrieve('llama3')).owned_by, 'a')
    answers['/api/tags'] = '{"models":[{"name":"new"}]}'
    t.equal((await openai.models.retrieve('new')).owned_by, 'a')
  })

  await t.test('none that is not meant, or says in the configuration what it has', async (t) => {
    const { openai, instance } = await setUp(
      t,
      { a: service(), b: service({ models: ['b'] }), c: service() },
      { discover: ['c'] },
    )
    upstream.seen.length = 0
    await instance('a').start()
    await instance('b').start()
    t.same(await ids(openai), ['b'])
    t.same(paths(), [])
    await instance('c').start()
    await until(() => paths().length === 2)
    t.same(await ids(openai), ['b', 'new'])
  })

  await t.test('none at all; a service for the rest', async (t) => {
    const { openai, instance, routed, url } = await setUp(t, { a: service(), b: service() }, { discover: false, default: 'b' })
    upstream.seen.length = 0
    await instance('a').start()
    t.same(await ids(openai), [])
    t.same(paths(), [])
    await refusal(openai.chat.completions.create({ model: 'whatever', messages }))
    await ask(`${url}/v1/images/generations`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } })
    t.same(routed(), ['b', 'b'])
    t.same(paths(), ['/v1/chat/completions', '/v1/images/generations'])
  })
})

t.test('R27 switched off, there is nothing at /v1', async (t) => {
  const { openai, url } = await setUp(t, { words: await words('words', { models: ['words'] }) }, false)
  t.match(await refusal(openai.models.list()), { status: 404 })
  t.match(await refusal(openai.chat.completions.create({ model: 'words', messages })), { status: 404 })
  t.equal((await ask(`${url}/api/tags`)).status, 404)
})

t.test("R27 Ollama's own API at the root", async (t) => {
  const { ollama, url, states, openai } = await setUp(
    t,
    {
      words: await words('words', { models: ['words'], aliases: { talk: 'words' } }),
      ears: await server('media-server.mjs', 'whisper', { models: ['whisper'] }),
    },
    { ollama_api: true },
  )
  t.same(
    (await ollama.list()).models.map(({ name }) => name),
    ['words', 'talk', 'whisper'],
  )
  t.same(await ollama.ps(), { models: [] })
  t.match(await ollama.version(), { version: /^0\.\d+\.\d+$/ })
  t.same(states(), { words: 'cold', ears: 'cold' })
  const chat = await ollama.chat({ model: 'talk', messages, options: { num_predict: 3 } })
  t.match(chat, { model: 'words', eval_count: 3 })
  let pieces = 0
  for await (const part of await ollama.chat({ model: 'words', messages, stream: true, options: { num_predict: 4 } }))
    if (part.message.content) pieces++
  t.equal(pieces, 4)
  t.equal((await ollama.embed({ model: 'words', input: 'one' })).embeddings[0]?.length, 8)
  t.same(
    (await ollama.ps()).models.map(({ name }) => name),
    ['words'],
  )
  t.match(await refusal(ollama.chat({ model: 'nobody', messages })), {
    status_code: 404,
    message: /There are: words, talk, whisper/,
  })
  t.match(await refusal(ollama.show({ model: 'nobody' })), { status_code: 404, error: /No service has the model "nobody"/ })
  t.equal((await ask(`${url}/api/chat`)).status, 405)
  t.equal((await openai.models.list()).data.length, 3, 'besides the other')
})

t.test('R27 comments keep a client alive that waits for a stream', async (t) => {
  const dying = plainNode('-e', 'setTimeout(() => { console.error("no memory left"); process.exit(3) }, 400)')
  const odd = await httpUpstream(t, (request, response) => {
    response.statusCode = request.url === '/v1/completions' ? 200 : 422
    response.setHeader('content-type', 'application/json')
    response.end(
      response.statusCode === 200 ? '{"choices":[]}' : '{"error":{"message":"the prompt is too long","code":"too_long"}}',
    )
  })
  const { openai, url, instance, event, events } = await setUp(
    t,
    {
      words: await words('words', { models: ['words'] }, 2300),
      dying: await words('dying', { models: ['dying'], process: { command: dying } }),
      odd: { base_url: odd.url, warmup_ms: 200, models: ['odd'] },
    },
    { keep_alive_comments: true },
  )
  const streamed = { messages, stream: true as const, max_completion_tokens: 3 }
  const post = (body: object, path = '/v1/chat/completions') =>
    fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })

  await t.test('until the service answers', async (t) => {
    const beganAt = performance.now()
    const answer = await post({ ...streamed, model: 'words' })
    t.equal(instance('words').state, 'starting', 'the head is here before the service')
    t.equal(answer.status, 200)
    t.match(answer.headers.get('content-type'), /^text\/event-stream/)
    const text = await answer.text()
    t.match(text, /^(: starting\n\n){2,}data: \{"id":"chatcmpl/, 'at once, and again as long as it takes')
    const comments = text.split(': starting\n\n').length - 1
    t.ok(comments <= 1 + (performance.now() - beganAt) / 1000, `${comments} of them, one a second`)
    t.match(text, /data: \[DONE\]\n\n$/)
    const hot = await (await post({ ...streamed, model: 'words' })).text()
    t.match(hot, /^data: /, 'none where nobody waits')
    t.equal(
      hot.replace(/"id":"[^"]+","created":\d+/g, ''),
      text.replace(/: starting\n\n/g, '').replace(/"id":"[^"]+","created":\d+/g, ''),
    )
  })

  await t.test('with the client of OpenAI, which sees nothing of it', async (t) => {
    await instance('words').stop('manual')
    let content = ''
    for await (const { choices } of await openai.chat.completions.create({ ...streamed, model: 'words' }))
      content += choices[0]?.delta.content ?? ''
    t.equal(content, 'so it goes ')
  })

  await t.test('none for an answer that is no stream', async (t) => {
    await instance('words').stop('manual')
    const answer = await post({ messages, model: 'words', max_completion_tokens: 1 })
    t.match(answer.headers.get('content-type'), 'application/json')
    t.match(await answer.json(), { object: 'chat.completion' })
  })

  await t.test('a start that fails is an event, and an exception of the client', async (t) => {
    const read = async () => {
      for await (const _ of await openai.chat.completions.create({ ...streamed, model: 'dying' }));
    }
    t.match(await refusal(read()), { code: 'start_failed', message: /no memory left/ })
    t.match(await refusal(read()), { status: 503, message: /no memory left/ }, 'known beforehand, it is a plain error')
  })

  await t.test('a client that leaves meanwhile', async (t) => {
    await instance('words').stop('manual')
    const before = events.length
    const controller = new AbortController()
    const body = JSON.stringify({ ...streamed, model: 'words' })
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body, headers, signal: controller.signal })
    t.equal(instance('words').waiting, 1)
    controller.abort()
    await t.rejects(answer.text())
    await until(() => instance('words').waiting === 0, 'the line to be empty')
    await event('instance.ready', ({ service }) => service === 'words', before)
  })

  await t.test('an answer that is no stream after all', async (t) => {
    const refused = await (await post({ ...streamed, model: 'odd' })).text()
    t.equal(refused, ': starting\n\ndata: {"error":{"message":"the prompt is too long","code":"too_long"}}\n\n')
    await instance('odd').stop('manual')
    const plain = await (await post({ ...streamed, model: 'odd' }, '/v1/completions')).text()
    t.match(
      plain,
      /^: starting\n\ndata: \{"error":\{"message":"The service answered with status 200 and application\/json instead/,
    )
  })
})

t.test('R27 errors of the queue, and of what comes after comments', async (t) => {
  const gzipped = await httpUpstream(t, (request, response) => {
    if (request.url !== '/v1/chat/completions') return response.writeHead(404).end()
    response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' })
    return response.end(gzipSync('data: x\n\n'))
  })
  const { openai, instance, url, events } = await setUp(
    t,
    {
      one: await words('one', { models: ['one'], queue: { size: 1 } }, 1000),
      gzipped: { base_url: gzipped.url, warmup_ms: 100, models: ['gzipped'] },
    },
    { keep_alive_comments: true },
  )
  const first = openai.chat.completions.create({ model: 'one', messages, max_completion_tokens: 1 })
  await until(() => instance('one').waiting === 1)
  const refused = await refusal(openai.chat.completions.create({ model: 'one', messages, stream: true }))
  t.match(refused, { status: 503, code: 'queue_full', type: 'server_error', message: /queue\.size/ })
  t.match(refused.headers?.get('retry-after'), /^[1-9]\d*$/)
  t.match(await first, { object: 'chat.completion' })

  const body = JSON.stringify({ model: 'gzipped', messages, stream: true })
  const headers = { 'content-type': 'application/json', 'accept-encoding': 'gzip' }
  const answer = await ask(`${url}/v1/chat/completions`, { method: 'POST', body, headers })
  t.match(answer.text, /^: starting\n\ndata: \{"error":\{"message":"The service answered with status 200/)
  t.equal(gzipped.seen.find(({ method }) => method === 'POST')?.headers['accept-encoding'], undefined)
  t.ok(events.some((event) => event.type === 'request.failed' && event.code === 'queue_full'))
})

t.test('R27 the examples of docs/llm.md', async (t) => {
  const text = await readFile(new URL('../../docs/llm.md', import.meta.url), 'utf8')
  const examples = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml]) => yaml!)
  t.ok(examples.length >= 3)
  for (const config of examples) await t.resolves(startGateway(t, { config }), config)
})

t.test('R17 what is wrong with the configuration', async (t) => {
  const config = configOf(
    { a: { base_url: 'http://127.0.0.1:9', models: ['x'], aliases: { y: 'z' } } },
    { default: 'b', discover: ['a', 'c'] },
  )
  const problems = await startGateway(t, { config }).then(
    () => t.fail('it started'),
    (error: Error) => error.message,
  )
  t.match(problems, 'there is no service "b"; there are: a')
  t.match(problems, 'there is no service "c"')
  t.match(problems, 'it stands for "z", which is not among the models of this service')
})
