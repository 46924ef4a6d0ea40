import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, connect as openTcp } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { startGateway } from '../helpers/gateway.ts'
import { deadPort } from '../helpers/upstream.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/semaphore/${name}`, import.meta.url))
const CA = fixture('ca.pem')

/** A service that speaks TLS, by a certificate of an authority that nobody knows; notes for each connection by which name it was asked for. */
async function tlsUpstream(
  t: Test,
  answer: string,
): Promise<{ port: number; server: Server; connections: { name: unknown; reused: boolean }[] }> {
  const connections: { name: unknown; reused: boolean }[] = []
  const server = createServer(
    { cert: readFileSync(fixture('server.pem')), key: readFileSync(fixture('server.key')) },
    (_request, response) =>
      void response.writeHead(200, { connection: answer === 'closing' ? 'close' : 'keep-alive' }).end(answer),
  )
  server.on('secureConnection', (socket: TLSSocket) =>
    connections.push({ name: (socket as { servername?: unknown }).servername, reused: socket.isSessionReused() }),
  )
  server.on('upgrade', (_request, socket) =>
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\nhello'),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, server, connections }
}

const services = (all: Record<string, object>): string =>
  JSON.stringify({
    // Nobody else asks a service for anything.
    plugins: { defaults: false, proxy: {}, queue: {} },
    services: Object.fromEntries(Object.entries(all).map(([id, more]) => [id, { warmup_ms: 0, ...more }])),
  })

t.test('R2 a service behind TLS: what is trusted, by which name it is asked for, and sessions that are used again', async (t) => {
  const { port, connections } = await tlsUpstream(t, 'closing')
  const gateway = await startGateway(t, {
    config: services({
      named: { base_url: `https://localhost:${port}`, proxy: { tls: { ca_file: CA } } },
      address: { base_url: `https://127.0.0.1:${port}`, proxy: { tls: { ca_file: CA } } },
      stranger: { base_url: `https://localhost:${port}` },
      careless: { base_url: `https://127.0.0.1:${port}`, proxy: { tls: { reject_unauthorized: false } } },
    }),
  })
  const ask = async (id: string) => {
    const response = await fetch(`${gateway.url}/services/${id}/`)
    return { status: response.status, text: await response.text() }
  }
  t.same(await ask('named'), { status: 200, text: 'closing' })
  t.match(connections.at(-1), { name: 'localhost' })
  t.same(await ask('named'), { status: 200, text: 'closing' })
  t.match(connections.at(-1), { name: 'localhost', reused: true }, 'on another connection')
  t.same(await ask('address'), { status: 200, text: 'closing' })
  t.match(connections.at(-1), { name: false }, 'an address is no name')
  t.same(await ask('careless'), { status: 200, text: 'closing' })
  const { status, text } = await ask('stranger')
  t.equal(status, 502)
  t.match(JSON.parse(text), { error: 'upstream_unreachable', message: /No trusted TLS connection to .*see proxy\.tls/ })
})

t.test('R2 a connection to a service behind TLS is used again, and upgrades pass', async (t) => {
  const { port, connections } = await tlsUpstream(t, 'kept')
  const gateway = await startGateway(t, {
    config: services({ safe: { base_url: `https://localhost:${port}`, proxy: { tls: { ca_file: CA } } } }),
  })
  const ask = async () => (await fetch(`${gateway.url}/services/safe/`)).text()
  t.equal(await ask(), 'kept')
  const before = connections.length
  for (let i = 0; i < 3; i++) t.equal(await ask(), 'kept')
  t.equal(connections.length, before)
  const socket = openTcp(gateway.port, '127.0.0.1')
  socket.write('GET /services/safe/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n')
  let received = ''
  for await (const bytes of socket) received += String(bytes)
  t.match(received, /^HTTP\/1\.1 101 [\s\S]*\r\n\r\nhello$/)
})

t.test('R7 a service that takes connections and never answers its TLS, and one that is not there', async (t) => {
  const silent = createTcpServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  await new Promise((resolve) => silent.once('listening', resolve))
  t.teardown(() => silent.close())
  const gateway = await startGateway(t, {
    config: services({
      silent: { base_url: `https://127.0.0.1:${(silent.address() as AddressInfo).port}`, proxy: { connect_timeout_ms: 100 } },
      gone: { base_url: `https://127.0.0.1:${await deadPort()}` },
    }),
  })
  const slow = await fetch(`${gateway.url}/services/silent/`)
  t.equal(slow.status, 504)
  t.match(await slow.json(), { error: 'upstream_timeout', message: /within proxy\.connect_timeout_ms/ })
  const gone = await fetch(`${gateway.url}/services/gone/`)
  t.equal(gone.status, 502)
  t.match(await gone.json(), { error: 'upstream_unreachable', message: /ECONNREFUSED/ })
})
