import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { startGateway } from '../../helpers/gateway.ts'
import { sendRaw } from '../../helpers/raw.ts'
import { until } from '../../helpers/until.ts'
import { rawUpstream, streamUpstream } from '../../helpers/upstream.ts'

/** Says by whom a request is served, and refuses what asks for it; as any plugin could. */
const WITNESS = `export default {
  name: 'witness',
  setup (app) {
    app.addHook('onRequest', async (request, reply) => {
      reply.header('x-way', reply.raw.constructor.name)
      reply.header('x-listeners', request.raw.socket.listenerCount('close'))
      if (request.headers['x-refuse']) return reply.code(403).send({ error: 'refused' })
      if (request.headers['x-slow']) await new Promise((resolve) => setTimeout(resolve, 20))
    })
    app.get('/raw', (_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, ['Content-Type', 'text/plain'])
      reply.raw.write('h\u00e9')
      reply.raw.write('6c', 'hex', () => reply.raw.end(new Uint8Array([108, 111]), () => app.log.info('ended')))
    })
    app.get('/head', (request, reply) => {
      reply.hijack()
      const [args, ...parts] = JSON.parse(decodeURIComponent(request.url.split('?')[1]))
      const { raw } = reply
      try {
        raw.writeHead(...args)
      } catch (error) {
        raw.statusMessage = ''
        raw.writeHead(500, ['Content-Type', 'text/plain'])
        raw.end(error.code)
        return
      }
      const next = () => {
        const part = parts.shift()
        if (part === undefined) raw.end()
        else raw.write(part)
        if (part !== undefined) setTimeout(next, 5)
      }
      setTimeout(next, 5)
    })
    const moments = []
    app.get('/moments', () => moments)
    app.get('/moment', (request, reply) => {
      reply.hijack()
      const { bytesWritten } = request.raw.socket
      reply.raw.writeHead(200, ['Content-Length', '1'])
      reply.raw.end('x')
      queueMicrotask(() => moments.push(request.raw.socket.bytesWritten > bytesWritten))
    })
    app.post('/echo', (request) => request.body)
    app.get('/stream', (request, reply) => reply.send(require('node:stream').Readable.from(['a', 'b', 'c'])))
  },
}
`.replace("require('node:stream').Readable", 'Readable')

async function scene(t: Test, server = '') {
  const upstream = await streamUpstream(t, (request, response) => {
    const path = request.url ?? ''
    if (path === '/hold') response.write('begun')
    else if (path === '/later') setTimeout(() => response.end('at last'), 50)
    else if (path.startsWith('/big')) response.end(Buffer.alloc(Number(path.slice(5)), 'x'))
    else response.end(`${request.method} ${path}`)
  })
  const gateway = await startGateway(t, {
    config: `server: { ${server} }\nplugins: { defaults: false, proxy: {}, queue: {}, api: {}, witness: {} }\nservices: { up: { base_url: "${upstream.url}", warmup_ms: 0 } }\n`,
    files: { 'plugins/witness.ts': `import { Readable } from 'node:stream'\n${WITNESS}` },
  })
  await gateway.instance('up').start()
  return gateway
}

const request = (line: string, ...headers: string[]): string =>
  `${[`${line} HTTP/1.1`, 'Host: x', ...headers].join('\r\n')}\r\n\r\n`
const ways = (received: string): string[] => [...received.matchAll(/x-way: (\w+)/g)].map(([, way]) => way!)

/** One connection, on which each text is sent when the one before it was answered. */
async function talk(port: number, texts: readonly (readonly [text: string, answered: RegExp])[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  socket.on('data', (bytes) => (received += bytes.toString('latin1')))
  for (const [text, answered] of texts) {
    const from = received.length
    socket.write(text, 'latin1')
    await until(() => answered.test(received.slice(from)), `${answered} after ${JSON.stringify(text)} in ${received.slice(from)}`)
  }
  socket.destroy()
  return received
}

t.test('R2 plain requests take the fast lane, one after the other; what is not plain takes its connection along', async (t) => {
  const { port } = await scene(t)
  const plain = [request('GET /services/up/a'), /GET \/a$|GET \/a\r\n0\r\n\r\n$/] as const
  const received = await talk(port, [
    plain,
    plain,
    [`${request('POST /services/up/b', 'Content-Length: 3')}abc`, /POST \/b/],
    [request('GET /__health'), /\{"status":"ok"\}/],
    [`${request('POST /echo', 'Content-Type: application/json', 'Content-Length: 7')}{"a":1}`, /\{"a":1\}/],
    [request('GET /stream'), /c\r\n0\r\n\r\n$/],
    [request('GET /raw'), /h\u00c3\u00a9.*l.*lo\r\n0\r\n\r\n$/s],
    [request('HEAD /services/up/a'), /\r\n\r\n$/],
    [`${request('POST /services/up/c', 'Transfer-Encoding: chunked')}3\r\nabc\r\n0\r\n\r\n`, /POST \/c/],
    plain,
  ])
  t.same(ways(received), [...Array(7).fill('LaneResponse'), 'ServerResponse', 'ServerResponse'])
})

t.test('R22 hooks of plugins see and refuse requests of the lane as any other', async (t) => {
  const { port } = await scene(t)
  const received = await talk(port, [
    [request('GET /services/up/a', 'X-Refuse: 1'), /\{"error":"refused"\}/],
    [request('GET /services/up/a', 'X-Slow: 1'), /GET \/a/],
  ])
  t.match(received, /^HTTP\/1\.1 403 Forbidden\r\n.*HTTP\/1\.1 200 OK\r\n/s)
  t.same(ways(received), ['LaneResponse', 'LaneResponse'])
})

t.test('R2 requests that come together are answered in order', async (t) => {
  const warnings: Error[] = []
  const warn = (warning: Error) => warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const { port } = await scene(t)
  const received = await talk(port, [
    [
      request('GET /services/up/1', 'X-Slow: 1') + request('GET /services/up/2') + request('GET /services/up/3'),
      /GET \/1.*GET \/2.*GET \/3/s,
    ],
  ])
  t.same(ways(received), Array(3).fill('ServerResponse'))
  const burst = [request('GET /services/up/1').repeat(20) + request('GET /services/up/last'), /GET \/last/] as const
  const alone = [request('GET /services/up/alone'), /GET \/alone/] as const
  const counts = [...(await talk(port, [burst, alone, burst, burst, alone])).matchAll(/x-listeners: (\d+)/g)].map(([, n]) => n)
  t.equal(counts.at(-1), counts[21], 'nothing of them stays on the connection')
  t.same(warnings, [], 'nor does Node find too many who listen')
  const late = connect(port, '127.0.0.1')
  let answers = ''
  late.on('data', (bytes) => (answers += String(bytes)))
  late.write(request('GET /services/up/1', 'X-Slow: 1'))
  await new Promise((resolve) => setImmediate(resolve))
  late.write(request('GET /services/up/2'))
  await until(() => /GET \/1.*GET \/2/s.test(answers), 'both answers')
  late.destroy()
})

t.test('server.fast_lane: false leaves everything to node:http, from the next connection on', async (t) => {
  const gateway = await scene(t)
  const once = async () => ways(await talk(gateway.port, [[request('GET /services/up/a'), /GET \/a/]]))
  t.same(await once(), ['LaneResponse'])
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(`${gateway.dir}/hestia_config.yml`, 'utf8')
  await gateway.configure(text.replace('port: 0', 'port: 0, fast_lane: false'))
  await gateway.gateway.reload()
  t.same(await once(), ['ServerResponse'])
})

t.test('R2 a client that leaves in the middle is noticed, and one that reads slowly is waited for', async (t) => {
  const gateway = await scene(t)
  const up = gateway.instance('up')
  const socket = connect(gateway.port, '127.0.0.1')
  socket.write(request('GET /services/up/hold'))
  await once(socket, 'data')
  t.equal(up.inFlight, 1)
  socket.destroy()
  await until(() => up.inFlight === 0, 'the request to end')
  const slow = connect(gateway.port, '127.0.0.1')
  const size = 30_000_000
  slow.write(request(`GET /services/up/big-${size}`))
  await once(slow, 'readable')
  t.equal(up.inFlight, 1, 'it is not read, and not held in memory')
  let read = 0
  slow.on('data', (bytes) => (read += bytes.length))
  await until(() => up.inFlight === 0 && read > size, 'all of it')
  slow.destroy()
})

t.test('an answer waits for others of its turn, but for where requests come one at a time', async (t) => {
  const { port } = await scene(t)
  const base = `http://127.0.0.1:${port}`
  const ask = async (path: string) => await (await fetch(base + path)).text()
  for (let i = 0; i < 18; i++) await ask('/moment')
  const held = connect(port, '127.0.0.1')
  held.write(request('GET /services/up/hold'))
  await once(held, 'data')
  await ask('/moment')
  held.destroy()
  // That he has left is noticed within the first few.
  for (let i = 0; i < 30; i++) await ask('/moment')
  const moments = JSON.parse(await ask('/moments')) as boolean[]
  t.same([moments[0], moments[17], moments[18], moments.at(-1)], [false, true, false, true])
})

t.test('connections of the lane are not kept for ever', async (t) => {
  const { port } = await scene(t, 'head_timeout_ms: 60, keep_alive_timeout_ms: 60')
  t.match(await sendRaw(port, ''), /^HTTP\/1\.1 408 .*head_timeout_ms/s, 'nothing comes')
  t.match(await sendRaw(port, request('GET /services/up/a')), /^HTTP\/1\.1 200 OK/, 'nothing more comes')
  t.match(await sendRaw(port, request('GET /services/up/a', 'Connection: close')), /Connection: close\r\n.*GET \/a/s)
})

t.test('the gateway ends: idle connections at once, busy ones with their answer', async (t) => {
  const gateway = await scene(t)
  const [idle, busy] = [connect(gateway.port, '127.0.0.1'), connect(gateway.port, '127.0.0.1')]
  let received = ''
  busy.on('data', (bytes) => (received += String(bytes)))
  idle.write(request('GET /services/up/a'))
  await once(idle, 'data')
  busy.write(request('GET /services/up/later'))
  await until(() => gateway.instance('up').inFlight === 1, 'the request')
  const ended = [once(idle.resume(), 'close'), once(busy, 'close')]
  gateway.gateway.host.stopListening()
  await Promise.all(ended)
  t.match(received, /Connection: keep-alive\r\n.*at last/s)
})

t.test('R2 a client that says that it sends no more in the turn in which its answer is there gets all of it', async (t) => {
  const { url, sockets } = await rawUpstream(t, () => undefined)
  const { port, gateway, instance } = await startGateway(t, {
    config: `plugins: { defaults: false, proxy: {}, queue: {} }\nservices: { up: { base_url: "${url}", warmup_ms: 0 } }\n`,
  })
  await instance('up').start()
  for (let round = 0; round < 5; round++) {
    const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let received = ''
    client.on('data', (bytes) => (received += String(bytes)))
    client.write(request('GET /services/up/'))
    await until(() => sockets.length > round, 'the request')
    const ended = once(client, 'end')
    // Both have come before the next look at what there is.
    setTimeout(() => {
      sockets[round]!.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole')
      client.end()
    }, 1)
    await ended
    t.match(received, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nwhole$/)
  }
  t.equal(gateway.ready, true)
})

t.test('R2 what a plugin writes after the end of an answer goes nowhere', async (t) => {
  const late = `let ended = 0
  export default { name: 'late', setup (app) { app.get('/late', (request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, ['X-Ended', ended])
    reply.raw.write('a')
    reply.raw.end('b', () => ended++)
    reply.raw.write('HTTP/1.1 200 OK')
  }) } }`
  const { port } = await startGateway(t, {
    config: 'plugins: { defaults: false, late: {} }\nservices: {}\n',
    files: { 'plugins/late.ts': late },
  })
  const received = await talk(port, [
    [request('GET /late'), /0\r\n\r\n/],
    [request('GET /late', 'Connection: close'), /0\r\n\r\n$/],
  ])
  t.equal(received.match(/HTTP\/1\.1/g)?.length, 2)
  t.same(received.match(/X-Ended: \d/g), ['X-Ended: 0', 'X-Ended: 1'], 'its end is told once')
})

t.test('R2 a head that is written in any way is answered as node:http would, however long its body takes', async (t) => {
  const heads: unknown[][] = [
    [[200, ['Content-Length', 2, 'X-Number', 7]], 'ok'],
    [[200, ['X-Many', ['a', 'b'], 'Content-Length', '2']], 'ok'],
    [[200, ['X-None', null]], 'ok'],
    [[200, 'All right', ['Content-Type', 'text/plain']], 'in', ' ', 'parts'],
    [[200, 'Not\r\nright', ['Content-Type', 'text/plain']], 'ok'],
    [[200, ['X-Bad', 'a\r\nb: c']], 'ok'],
    [[200, ['X\r\nBad', 'a']], 'ok'],
    [[200, ['X-Wide', '\u20ac']], 'ok'],
    [[204, ['X-A', 'b']]],
    [['204', ['X-A', 'b']]],
    [[200.5, ['X-A', 'b']], 'ok'],
    [[99, ['X-A', 'b']], 'ok'],
    [[1000, ['X-A', 'b']], 'ok'],
    [[304, ['X-A', 'b']]],
    [[200, ['X-A', '\u00e9\u00ff']], 'ok'],
  ]
  const [lane, node] = await Promise.all([scene(t), scene(t, 'fast_lane: false')])
  for (const head of heads) {
    const text = request(`GET /head?${encodeURIComponent(JSON.stringify(head))}`, 'Connection: close')
    const [own, its] = await Promise.all([lane, node].map(async ({ port }) => withoutDate(await sendRaw(port, text))))
    t.equal(own, its, JSON.stringify(head))
  }
})

const withoutDate = (answer: string): string => answer.replace(/^(?:Date|x-request-id): .*\r\n/gim, '')

t.test('R2 small parts come whole to clients that read slowly, side by side', async (t) => {
  const PARTS = 600
  const part = (letter: string, i: number): string => `${i}:`.padEnd(8, ' ') + letter.repeat(7000 + (i % 50))
  const upstream = await streamUpstream(t, (request, response) => {
    const letter = request.url!.slice(1)
    let i = 0
    const go = (): void => {
      while (i < PARTS) if (!response.write(part(letter, i++))) return void response.once('drain', go)
      response.end()
    }
    go()
  })
  const gateway = await startGateway(t, {
    config: `plugins: { defaults: false, proxy: {} }\nservices: { up: { base_url: "${upstream.url}", warmup_ms: 0 } }\n`,
  })
  await gateway.instance('up').start()
  const bodies = await Promise.all(
    ['a', 'b', 'c', 'd'].map(async (letter, n) => {
      const { body } = await fetch(`${gateway.url}/services/up/${letter}`)
      const decoder = new TextDecoder()
      let text = ''
      let reads = 0
      for await (const chunk of body!) {
        text += decoder.decode(chunk as Uint8Array, { stream: true })
        // Two of them let it pile up on its way now and then.
        if (n % 2 === 1 && reads++ % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 20))
      }
      return text
    }),
  )
  for (const [n, letter] of ['a', 'b', 'c', 'd'].entries()) {
    const whole = Array.from({ length: PARTS }, (_, i) => part(letter, i)).join('')
    t.ok(bodies[n] === whole, `all that is ${letter}'s, and nothing else`)
  }
})
