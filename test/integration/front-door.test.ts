import { connect } from 'node:net'
import { resolve } from 'node:path'
import OpenAI from 'openai'
import t from 'tap'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { plainNode } from '../helpers/plain-node.ts'

const SERVER = resolve(import.meta.dirname, '../fixtures/word-server.mjs')
const messages = [{ role: 'user' as const, content: 'How does it go?' }]

/** Whether something takes connections there. */
const listens = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => done(true)).once('error', () => done(false))
    socket.once('connect', () => socket.destroy())
  })

t.test(
  'R27 R28: the OpenAI client lists, chats, streams and embeds over three cold services, two of which share a device',
  async (t) => {
    const ports = { llama: await freePort(), mistral: await freePort(), embedder: await freePort() }
    const service = (model: keyof typeof ports, more = '') => `
  ${model}:
    base_url: http://127.0.0.1:${ports[model]}
    models: [${model}]
    process: { command: ${JSON.stringify(plainNode(SERVER))}, env: { MODEL: ${model}, BOOT_MS: 200 } }
    health: { url: /health }
    ${more}`
    const { url, event, events, gateway } = await startGateway(t, {
      config: `
plugins: { exclusive: { groups: { gpu: { capacity: 1 } }, max_wait_ms: 500 } }
services:${service('llama', 'exclusive: { group: gpu }')}${service('mistral', 'exclusive: { group: gpu }')}${service('embedder')}
`,
    })
    let samples = 0
    let bothUp = 0
    let over = false
    const sampling = (async () => {
      while (!over) {
        const [a, b] = await Promise.all([listens(ports.llama), listens(ports.mistral)])
        samples++
        if (a && b) bothUp++
        await new Promise((done) => setTimeout(done, 5))
      }
    })()
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 })

    t.same((await openai.models.list()).data.map(({ id }) => id).toSorted(), ['embedder', 'llama', 'mistral'])
    t.ok(
      [...gateway.services].every(({ state }) => state === 'cold'),
      'looking starts nothing',
    )
    const chat = (model: string) => openai.chat.completions.create({ model, messages, max_tokens: 5 })
    const stream = async (model: string) => {
      const chunks: string[] = []
      for await (const chunk of await openai.chat.completions.create({ model, messages, max_tokens: 10, stream: true })) {
        chunks.push(chunk.choices[0]?.delta.content ?? '')
      }
      return chunks
    }
    const [one, pieces, vectors] = await Promise.all([
      chat('llama'),
      stream('mistral'),
      openai.embeddings.create({ model: 'embedder', input: 'a word', encoding_format: 'float' }),
    ])
    t.equal(one.model, 'llama')
    t.ok(pieces.length > 3)
    t.equal(vectors.data[0]?.embedding.length, 8)
    for (let round = 0; round < 3; round++)
      await Promise.all([chat('mistral'), chat('llama'), stream('llama'), stream('mistral')])
    over = true
    await sampling
    t.ok(samples > 50, `${samples} samples`)
    t.equal(bothUp, 0, 'never both at once')
    t.ok((await event('exclusive.decided')).type)
    t.equal(events.filter(({ type }) => type === 'request.failed').length, 0)
  },
)
