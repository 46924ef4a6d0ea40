import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { startGateway } from '../helpers/gateway.ts'
import { until } from '../helpers/until.ts'
import { deadPort, httpUpstream, rawUpstream } from '../helpers/upstream.ts'

type Teardown = { teardown(fn: () => unknown): void }

const config = (services: Record<string, unknown>, plugins = 'proxy: {}'): string =>
  `plugins: { defaults: false, ${plugins} }\nservices: ${JSON.stringify(services)}\n`
const service = (url: string, more: Record<string, unknown> = {}) => ({ base_url: url, warmup_ms: 0, ...more })

/** An HTTP server that leaves upgrades to `handler`. */
async function upgradeUpstream(t: Teardown, handler: (request: IncomingMessage, socket: Duplex, head: Buffer) => void) {
  const sockets = new Set<Duplex>()
  const server = createServer((_request, response) => response.writeHead(426, { upgrade: 'echo' }).end('upgrade, please'))
  server.on('upgrade', (request, socket, head) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    handler(request, socket, head)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Speaks bytes with the gateway; `text` is all that came so far. */
function dial(t: Teardown, port: number, bytes: string): { socket: Socket; text: () => string } {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => undefined)
  socket.write(bytes, 'latin1')
  return { socket, text: () => text }
}
const head = (target: string, more = ''): string =>
  `GET ${target} HTTP/1.1\r\nHost: gw.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n${more}\r\n`

t.test('R2 WebSockets: subprotocol, text, bytes, 1 MiB, ping, close codes both ways', async (t) => {
  const server = createServer()
  const wss = new WebSocketServer({ server, handleProtocols: (protocols) => [...protocols].at(-1)!, maxPayload: 4 << 20 })
  let closed: [number, string] | undefined
  wss.on('connection', (socket, request) => {
    socket.on('message', (data, binary) => {
      if (String(data) === 'bye') socket.close(4001, 'server says so')
      else if (String(data) === 'url')
        socket.send(`${request.url} ${request.headers['x-forwarded-prefix']} ${request.headers.via}`)
      else socket.send(data, { binary })
    })
    socket.on('close', (code, reason) => {
      closed = [code, String(reason)]
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    wss.close()
    server.close()
  })
  const gateway = await startGateway(t, {
    config: config({ ws: service(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) }, 'proxy: {}, queue: {}'),
  })
  const instance = gateway.instance('ws')
  const open = async () => {
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/services/ws/chat?a=%20`, ['one', 'two'])
    await once(socket, 'open')
    return socket
  }
  const socket = await open()
  t.equal(instance.state, 'hot', 'it was started for the WebSocket')
  t.equal(socket.protocol, 'two')
  t.equal([...instance.leases][0]?.kind, 'tunnel')
  socket.send('url')
  t.match(String((await once(socket, 'message'))[0]), /^\/chat\?a=%20 \/services\/ws 1\.1 hestia-\w+$/)
  const before = [...instance.leases][0]!.lastByteAt
  const large = Buffer.alloc(1 << 20, 7)
  socket.send(large)
  const [echo, binary] = (await once(socket, 'message')) as [Buffer, boolean]
  t.ok(binary && echo.equals(large))
  t.ok([...instance.leases][0]!.lastByteAt > before)
  socket.ping('p')
  t.equal(String((await once(socket, 'pong'))[0]), 'p')
  socket.close(4000, 'client says so')
  await until(() => closed)
  t.same(closed, [4000, 'client says so'])
  const other = await open()
  other.send('bye')
  const [code, reason] = (await once(other, 'close')) as [number, Buffer]
  t.same([code, String(reason)], [4001, 'server says so'])
  await until(() => instance.inFlight === 0 && gateway.gateway.tunnels.size === 0, 'the tunnels to be gone')
})

t.test('R2 any other protocol, byte for byte, with what came behind the heads; half-close; back-pressure', async (t) => {
  let seen: IncomingMessage | undefined
  const url = await upgradeUpstream(t, (request, socket, first) => {
    seen = request
    socket.write('HTTP/1.1 101 Fancy That\r\nConnection: Upgrade\r\nUPGRADE: echo\r\nX-Odd: 1\r\n\r\nearly:')
    if (request.url === '/last') {
      socket.on('end', () => socket.end('last words'))
      socket.resume()
    } else {
      socket.write(first)
      socket.pipe(socket)
    }
  })
  const gateway = await startGateway(t, { config: config({ up: service(url) }) })
  const instance = gateway.instance('up')
  await instance.start()
  const { socket, text } = dial(t, gateway.port, `${head('/services/up/x%2Fy', 'HTTP2-Settings: a\r\n')}behind`)
  const expected = 'HTTP/1.1 101 Fancy That\r\nConnection: Upgrade\r\nUPGRADE: echo\r\nX-Odd: 1\r\n\r\nearly:behind'
  await until(() => text().length >= expected.length)
  t.equal(text(), expected)
  t.equal(seen?.url, '/x%2Fy')
  t.match(seen?.headers, { connection: 'Upgrade', upgrade: 'echo', 'x-forwarded-prefix': '/services/up' })
  socket.write('more')
  await until(() => text() === `${expected}more`)
  socket.end()
  await once(socket, 'close')
  await until(() => instance.inFlight === 0)

  const half = dial(t, gateway.port, head('/services/up/last'))
  await until(() => half.text().endsWith('early:'))
  half.socket.end()
  await until(() => half.text().endsWith('early:last words'), 'what the service says after the client has ended')
  await until(() => gateway.gateway.tunnels.size === 0)

  const flood = dial(t, gateway.port, head('/services/up/flood'))
  await until(() => flood.text().endsWith('early:'))
  flood.socket.pause()
  let accepted = 0
  const chunk = Buffer.alloc(64 * 1024)
  while (accepted < 64 << 20 && flood.socket.write(chunk)) accepted += chunk.length
  for (let stalled = 0; stalled < 20 && accepted < 64 << 20; ) {
    if (flood.socket.writableLength < 1 << 20) {
      flood.socket.write(chunk)
      accepted += chunk.length
      stalled = 0
    } else stalled++
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  t.ok(accepted < 64 << 20, `a client that does not read is held up after ${accepted} bytes`)
  flood.socket.destroy()
  await until(() => instance.inFlight === 0 && gateway.gateway.tunnels.size === 0)
})

t.test('R2 a refused upgrade is delivered, and errors are answered as for any other request', async (t) => {
  const plain = await httpUpstream(t, (request, response) =>
    response.writeHead(request.url === '/426' ? 426 : 403, { upgrade: 'h2c', 'x-why': 'because' }).end('not for you'),
  )
  const silent = await rawUpstream(t, () => undefined)
  const rude = await rawUpstream(t, (socket) => socket.destroy())
  const gateway = await startGateway(t, {
    config: config({
      plain: service(plain.url),
      dead: service(`http://127.0.0.1:${await deadPort()}`),
      silent: service(silent.url, { proxy: { first_byte_timeout_ms: 50 } }),
      rude: service(rude.url),
      two: {
        warmup_ms: 0,
        instances: [
          { name: 'a', url: `http://127.0.0.1:${await deadPort()}` },
          { name: 'b', url: plain.url },
        ],
      },
    }),
  })
  for (const service of gateway.gateway.services) for (const instance of service.all) await instance.start()
  const talk = async (target: string) => {
    const { socket, text } = dial(t, gateway.port, head(target))
    await once(socket, 'end')
    socket.end()
    return text()
  }
  t.match(await talk('/services/plain/'), /^HTTP\/1\.1 403 Forbidden\r\n[\s\S]*x-why: because\r\n[\s\S]*not for you/)
  t.match(await talk('/services/plain/426'), /^HTTP\/1\.1 426 [\s\S]*upgrade: h2c\r\n/)
  t.match(await talk('/services/two/'), /^HTTP\/1\.1 403 /, 'of the instance that listens')
  t.match(await talk('/services/dead/'), /^HTTP\/1\.1 502 [\s\S]*"error":"upstream_unreachable"/)
  t.match(await talk('/services/silent/'), /^HTTP\/1\.1 504 [\s\S]*"error":"upstream_timeout"/)
  t.match(await talk('/services/rude/'), /^HTTP\/1\.1 502 [\s\S]*"error":"upstream_failed"/)
  t.match(await talk('/services/nobody/'), /^HTTP\/1\.1 404 [\s\S]*"error":"unknown_service"/)
  t.match(await talk('/services/plain/../x'), /^HTTP\/1\.1 400 [\s\S]*"error":"bad_path"/)
  await until(() => [...gateway.gateway.services].every((service) => service.all.every(({ inFlight }) => inFlight === 0)))
})

t.test('R2 R16 whoever breaks off is noticed on the other side; a reload cuts no tunnel', async (t) => {
  const sockets: Duplex[] = []
  const url = await upgradeUpstream(t, (_request, socket) => {
    sockets.push(socket)
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    socket.on('data', (chunk) => socket.write(chunk))
  })
  const gateway = await startGateway(t, { config: config({ up: service(url) }) })
  const instance = gateway.instance('up')
  await instance.start()
  const first = dial(t, gateway.port, head('/services/up/'))
  await until(() => first.text().endsWith('\r\n\r\n'))
  await gateway.configure(config({ up: service(url), other: service(url) }))
  await gateway.event('generation.retired')
  first.socket.write('still there?')
  await until(() => first.text().endsWith('still there?'))
  const gone = new Promise((resolve) => sockets[0]!.on('close', resolve))
  first.socket.resetAndDestroy()
  await gone

  const second = dial(t, gateway.port, head('/services/up/'))
  await until(() => second.text().endsWith('\r\n\r\n'))
  sockets[1]!.write('the end')
  sockets[1]!.destroy()
  await once(second.socket, 'end')
  t.ok(second.text().endsWith('the end'))
  second.socket.end()
  await until(() => instance.inFlight === 0 && gateway.gateway.tunnels.size === 0)
})

t.test('R2 an offer of HTTP/2 and an upgrade with a body are served as ordinary requests', async (t) => {
  const upstream = await httpUpstream(t, (request, response, body) => response.end(`${request.url} ${body}`))
  const gateway = await startGateway(t, { config: config({ up: service(upstream.url) }) })
  await gateway.instance('up').start()
  const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n'
  const { socket, text } = dial(
    t,
    gateway.port,
    `POST /services/up/one HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n${offer}\r\nall of`,
  )
  await until(() => gateway.instance('up').inFlight === 1)
  socket.write(' it')
  await until(() => text().endsWith('/one all of it'))
  t.match(text(), /^HTTP\/1\.1 200 OK\r\n/)
  socket.write(`GET /services/up/two HTTP/1.1\r\nHost: a\r\n${offer}\r\n`)
  await until(() => text().includes('/two '), 'a second answer on the same connection')
  t.match(upstream.seen[0]?.headers, { 'content-length': '9', connection: 'keep-alive' })
  t.notHas(upstream.seen[0]!.headers, 'http2-settings')
  const chunked = dial(
    t,
    gateway.port,
    'PUT /services/up/three HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  )
  await until(() => chunked.text().includes('/three abc'))
})
