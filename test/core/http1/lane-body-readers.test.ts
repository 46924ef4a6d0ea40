import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { startGateway } from '../../helpers/gateway.ts'
import { until } from '../../helpers/until.ts'
import { streamUpstream } from '../../helpers/upstream.ts'

const MIB = 2 ** 20

/** A plugin that keeps parts of what passes, in one way or another. */
const KEEPER = `export default {
  name: 'keeper',
  setup (app) {
    const kept = []
    app.decorate('kept', kept)
    const taps = {
      // The first few, then no more.
      some: ({ raw }) => {
        let count = 0
        const tap = (chunk) => {
          kept.push(chunk)
          if (++count === 8) raw.off('data', tap)
        }
        raw.on('data', tap)
      },
      answer: (request, reply) => {
        const { raw } = reply
        const write = raw.write
        raw.write = (chunk, ...rest) => {
          kept.push(chunk)
          return write.call(raw, chunk, ...rest)
        }
      },
    }
    app.addHook('onRequest', async (request, reply) => taps[request.headers['x-tap']]?.(request, reply))
    app.get('/kept', () => kept.map((chunk) => [chunk.length, [...new Set(chunk)].map((byte) => String.fromCharCode(byte)).join('')]))
  },
}
`

async function scene(t: Test) {
  let arrived = 0
  const upstream = await streamUpstream(t, (request, response) => {
    arrived++
    request.pipe(response)
  })
  const gateway = await startGateway(t, {
    config: `plugins: { defaults: false, proxy: {}, queue: {}, keeper: {} }
services: { up: { base_url: "${upstream.url}", warmup_ms: 0 } }
`,
    files: { 'plugins/keeper.ts': KEEPER },
  })
  await gateway.instance('up').start()
  const kept = async () => (await (await fetch(`${gateway.url}/kept`)).json()) as [size: number, letters: string][]
  return { ...gateway, arrived: () => arrived, kept }
}

const head = (path: string, size: number, ...more: string[]): string =>
  [`POST ${path} HTTP/1.1`, 'Host: x', `Content-Length: ${size}`, ...more, '', ''].join('\r\n')

/** Sends a request whose body is one letter over and over, which comes when the service has seen its head. */
async function post(t: Test, { port, arrived }: { port: number; arrived(): number }, letter: string, ...more: string[]) {
  const before = arrived()
  const socket: Socket = connect(port, '127.0.0.1').resume()
  t.teardown(() => socket.destroy())
  socket.write(head('/services/up/', 8 * MIB, 'Connection: close', ...more))
  await until(() => arrived() > before, 'the request')
  const closed = new Promise((resolve) => socket.on('close', resolve))
  socket.write(Buffer.alloc(8 * MIB, letter))
  await closed
}

for (const tap of ['some', 'answer'])
  t.test(`R2 what a plugin keeps of what passes stays as it was: ${tap}`, async (t) => {
    const gateway = await scene(t)
    const { kept } = gateway
    await post(t, gateway, 'a', `X-Tap: ${tap}`)
    const before = await kept()
    for (const letter of 'bcde') await post(t, gateway, letter)
    t.ok(
      before.some(([size]) => size >= 16 * 1024),
      'large parts were kept',
    )
    t.same(
      await kept(),
      before.map(([size]) => [size, 'a']),
    )
  })
