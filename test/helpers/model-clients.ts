import { setTimeout as sleep } from 'node:timers/promises'
import { Ollama } from 'ollama'
import OpenAI from 'openai'
import type { Test } from 'tap'
import { isAlive } from './alive.ts'
import { freePort } from './free-port.ts'
import { type RunningGateway, startGateway } from './gateway.ts'
import { plainNode } from './plain-node.ts'
import { until } from './until.ts'

/** A model server with the routes of `test/fixtures/model-api.mjs`. */
export interface ModelServer {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string | number>>
  /** The name of its model. */
  readonly model: string
  /** How many numbers its embeddings have. */
  readonly dimensions: number
}

/** More than any test waits for: such an answer ends only by being broken off. */
const ENDLESS_TOKENS = 1_000_000
const IDLE_MS = 500

const messages = [
  { role: 'system' as const, content: 'Answer briefly.' },
  { role: 'user' as const, content: 'How does it go?' },
]

const rejection = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    () => undefined,
    (error: unknown) => error,
  )

interface Setting extends RunningGateway {
  /** The official clients; of their settings only the base URL is not the one they would use by themselves. */
  readonly openai: OpenAI
  readonly ollama: Ollama
  /** What the server says of itself, asked directly. */
  health(): Promise<{ pid: number; generating: number; cancelled: number }>
  /** How often the instance was started so far. */
  starts(): number
  /** Pid of the process that serves. */
  pid(): number
}

async function setUp(t: Test, server: ModelServer, idleMs: number): Promise<Setting> {
  const url = `http://127.0.0.1:${await freePort()}`
  const running = await startGateway(t, {
    config: JSON.stringify({
      plugins: { defaults: false, queue: {}, process: {}, health: {}, idle: {}, proxy: {} },
      services: {
        llm: {
          base_url: url,
          process: { command: server.command, env: server.env },
          health: { url: '/health' },
          start: { timeout_ms: 30_000 },
          idle: { timeout_ms: idleMs },
        },
      },
    }),
  })
  const base = `${running.url}/services/llm`
  return {
    ...running,
    // Its own retries would hide an answer that was lost.
    openai: new OpenAI({ baseURL: `${base}/v1`, apiKey: 'none', maxRetries: 0 }),
    ollama: new Ollama({ host: base }),
    health: async () => (await fetch(`${url}/health`)).json() as ReturnType<Setting['health']>,
    starts: () => running.events.filter((event) => event.type === 'instance.state' && event.to === 'starting').length,
    pid: () => (running.instance('llm').data.process as { pid: number }).pid,
  }
}

/** What official clients expect of a model server, behind Hestia, that does not run when they call. */
export function testModelClients(t: Test, server: ModelServer): void {
  const { model, dimensions } = server

  t.test('R1 R5 R9 an OpenAI client finds the service cold, hot, stopped for being idle, and hot again', async (t) => {
    const { openai, instance, event, starts, pid, events } = await setUp(t, server, IDLE_MS)
    t.equal(instance('llm').state, 'cold')
    const first = await openai.chat.completions.create({ model, messages, max_completion_tokens: 5 })
    t.match(first, {
      object: 'chat.completion',
      model,
      choices: [{ index: 0, message: { role: 'assistant', content: /./ }, finish_reason: 'length' }],
      usage: { prompt_tokens: Number, completion_tokens: 5 },
    })
    t.equal(instance('llm').state, 'hot')
    const firstPid = pid()
    t.equal(starts(), 1)

    await event('instance.stopped', ({ reason }) => reason === 'idle')
    t.equal(instance('llm').state, 'cold')
    t.notOk(isAlive(firstPid), 'the process is gone')

    const again = await openai.chat.completions.create({ model, messages, max_completion_tokens: 3 })
    t.equal(again.usage?.completion_tokens, 3)
    t.equal(starts(), 2)
    const secondPid = pid()
    t.not(secondPid, firstPid)
    await event('instance.stopped', ({ reason }) => reason === 'idle', events.length)
    t.notOk(isAlive(secondPid))
  })

  t.test('R5 both clients at once, to a cold service: one start, an answer for each', async (t) => {
    const { openai, ollama, starts } = await setUp(t, server, 0)
    const [chat, models, native, tags, embedding] = await Promise.all([
      openai.chat.completions.create({ model, messages, max_completion_tokens: 4 }),
      openai.models.list(),
      ollama.chat({ model, messages, options: { num_predict: 4 } }),
      ollama.list(),
      openai.embeddings.create({ model, input: ['one', 'two'] }),
    ])
    t.equal(chat.usage?.completion_tokens, 4)
    t.same(
      models.data.map(({ id }) => id),
      [model],
    )
    t.match(native, { done: true, done_reason: 'length', eval_count: 4, message: { role: 'assistant', content: /./ } })
    t.same(
      tags.models.map(({ name }) => name),
      [model],
    )
    t.same(
      embedding.data.map(({ embedding }) => embedding.length),
      [dimensions, dimensions],
    )
    const again = await ollama.embed({ model, input: 'one' })
    // The OpenAI client asks for 32-bit floats in base64, the other for decimals.
    t.same(again.embeddings[0]?.map(Math.fround), embedding.data[0]?.embedding)

    const refused = await rejection(openai.chat.completions.create({ model: 'nobody', messages }))
    t.ok(refused instanceof OpenAI.NotFoundError, 'an error of the service is the one that the client knows')
    t.match(refused, { code: 'model_not_found' })
    t.match(await rejection(ollama.chat({ model: 'nobody', messages })), { status_code: 404 })
    t.equal(starts(), 1)
  })

  t.test('R2 R5 streaming from cold, with both clients: piece by piece, and the counts at the end', async (t) => {
    const { openai, ollama } = await setUp(t, server, 0)
    const sse = async () => {
      const pieces: string[] = []
      const reasons: string[] = []
      let tokens: number | undefined
      const stream = await openai.chat.completions.create({
        model,
        messages,
        max_completion_tokens: 20,
        stream: true,
        stream_options: { include_usage: true },
      })
      for await (const { choices, usage } of stream) {
        const [choice] = choices
        if (choice?.delta.content) pieces.push(choice.delta.content)
        if (choice?.finish_reason) reasons.push(choice.finish_reason)
        tokens = usage?.completion_tokens ?? tokens
      }
      return { pieces, reasons, tokens }
    }
    const lines = async () => {
      const pieces: string[] = []
      let last: { done: boolean; eval_count: number } | undefined
      for await (const part of await ollama.chat({ model, messages, stream: true, options: { num_predict: 20 } })) {
        if (part.message.content) pieces.push(part.message.content)
        last = part
      }
      return { pieces, last }
    }
    const [events, parts] = await Promise.all([sse(), lines()])
    t.match(events, { reasons: ['length'], tokens: 20 })
    t.ok(events.pieces.length > 10, `${events.pieces.length} events with text`)
    t.match(parts.last, { done: true, eval_count: 20 })
    t.ok(parts.pieces.length > 10, `${parts.pieces.length} lines with text`)
  })

  t.test('R2 R9 a stream arrives while it is written, keeps the service up, and leaving it reaches the server', async (t) => {
    const { openai, health, instance, event, events } = await setUp(t, server, IDLE_MS)
    const stream = await openai.chat.completions.create({
      model,
      messages,
      max_completion_tokens: ENDLESS_TOKENS,
      stream: true,
    })
    let pieces = 0
    for await (const { choices } of stream) {
      if (!choices[0]?.delta.content) continue
      pieces++
      if (pieces === 1) {
        t.match(await health(), { generating: 1, cancelled: 0 }, 'the first piece is here, the answer is not yet written')
        // Longer than it may be idle: nothing can be waited for where nothing may happen.
        await sleep(2 * IDLE_MS)
        t.equal(instance('llm').state, 'hot')
        t.equal(instance('llm').inFlight, 1)
      }
      if (pieces > 20) break
    }
    await until(async () => (await health().catch(() => undefined))?.cancelled === 1, 'the server to be told')
    t.notOk(
      events.some(({ type }) => type === 'instance.crashed' || type === 'instance.health'),
      'a client that leaves says nothing against the server',
    )
    await event('instance.stopped', ({ reason }) => reason === 'idle')
  })

  t.test('R2 the same for the Ollama client', async (t) => {
    const { ollama, health } = await setUp(t, server, 0)
    const stream = await ollama.chat({ model, messages, stream: true, options: { num_predict: ENDLESS_TOKENS } })
    let pieces = 0
    const read = async () => {
      for await (const _ of stream) if (++pieces === 10) stream.abort()
    }
    await t.rejects(read(), { name: 'AbortError' })
    await until(async () => (await health()).cancelled === 1, 'the server to be told')
    t.match(await health(), { generating: 0 })
    t.equal((await ollama.chat({ model, messages, options: { num_predict: 2 } })).eval_count, 2, 'and it goes on serving')
  })

  t.test('R5 a client that gives up while the service starts does not spoil the start for another', async (t) => {
    const { openai, starts, event } = await setUp(t, server, 0)
    const patience = new AbortController()
    const impatient = openai.models.list({ signal: patience.signal })
    await event('instance.state', ({ to }) => to === 'starting')
    const patient = openai.models.list()
    patience.abort()
    t.ok((await rejection(impatient)) instanceof OpenAI.APIUserAbortError)
    t.equal((await patient).data.length, 1)
    t.equal(starts(), 1)
  })
}

/** What the official clients make of a service that cannot start. */
export function testFailedStart(t: Test): void {
  t.test('R7 a service that cannot start is a 503 with its cause to the clients', async (t) => {
    const broken = {
      command: plainNode('-e', 'console.error("no such model"); process.exit(3)'),
      env: {},
      model: '',
      dimensions: 0,
    }
    const { openai, ollama, instance } = await setUp(t, broken, 0)
    const refused = (await rejection(openai.models.list())) as InstanceType<typeof OpenAI.APIError>
    t.ok(refused instanceof OpenAI.InternalServerError)
    t.match(refused, { status: 503, error: 'start_failed' })
    t.match(refused.headers?.get('retry-after'), /^[1-9]\d*$/)
    t.match(await rejection(ollama.list()), { status_code: 503, error: 'start_failed' })
    t.match(instance('llm').cooling?.message, /no such model/)
  })
}
