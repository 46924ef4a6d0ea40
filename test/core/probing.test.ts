import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t from 'tap'
import { probeOver } from '../../core/probing.ts'

t.test('a probe that is called off in the middle rejects, and has not found that all is well', async (t) => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const open = () => connect(port, '127.0.0.1')
  const controller = new AbortController()
  const probe = probeOver(open, 60_000, controller.signal)
  await once(server, 'connection')
  controller.abort(new Error('enough'))
  await t.rejects(probe, { message: 'enough' })
  await t.rejects(probeOver(open, 60_000, controller.signal), { message: 'enough' }, 'nor is one begun after that')
  const { signal } = new AbortController()
  t.equal(await probeOver(open, 20, signal), 'no answer within 20 ms')
  t.equal(await probeOver((settle) => connect(port, '127.0.0.1', () => settle(undefined)), 5000, signal), undefined)
})
