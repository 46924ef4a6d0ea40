import { once } from 'node:events'
import { connect as open, type Socket } from 'node:net'
import { PassThrough, type Readable } from 'node:stream'
import t, { type Test } from 'tap'
import type { AnswerListener, Carrier } from '../../../core/http1/answer-listener.ts'
import { ClientPool } from '../../../core/http1/client-pool.ts'
import type { OutgoingRequest } from '../../../core/http1/outgoing-request.ts'
import type { Place } from '../../../core/http1/read-buffer.ts'
import { onread } from '../../../core/http1/reading.ts'
import { until } from '../../helpers/until.ts'
import { deadPort, rawUpstream } from '../../helpers/upstream.ts'

/** Hears an answer, and keeps all of it. */
class Heard implements AnswerListener {
  carrier: Carrier | undefined
  readonly heads: { status: number; headers: readonly string[]; reason: string }[] = []
  readonly chunks: Buffer[] = []
  trailers: readonly string[] | undefined
  error: (Error & { code?: string }) | undefined
  full = false

  onConnect(carrier: Carrier): void {
    this.carrier = carrier
  }
  onHeaders(status: number, headers: readonly string[], reason: string): void {
    this.heads.push({ status, headers, reason })
  }
  onPart(part: Buffer, place: Place): boolean {
    this.chunks.push(place.keep(part))
    return !this.full
  }
  onLull(): void {}
  onComplete(trailers: readonly string[]): void {
    this.trailers = trailers
  }
  onError(error: Error): void {
    this.error = error
  }

  get over(): boolean {
    return this.trailers !== undefined || this.error !== undefined
  }
  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }
}

const GET: OutgoingRequest = {
  method: 'GET',
  target: '/',
  host: 'service',
  headers: [],
  body: null,
  headTimeoutMs: 0,
  bodyTimeoutMs: 0,
}

type Scene = { pool: ClientPool; sockets: Socket[]; ask(request?: Partial<OutgoingRequest>): Promise<Heard> }

/** A service that answers what `handler` writes. */
async function scene(t: Test, handler: (socket: Socket, first: string) => void): Promise<Scene> {
  const { port, sockets } = await rawUpstream(t, handler)
  const pool = poolTo(port)
  t.teardown(() => pool.destroy())
  const ask = async (request: Partial<OutgoingRequest> = {}) => {
    const heard = new Heard()
    pool.send({ ...GET, ...request }, heard)
    await until(() => heard.over, 'the answer')
    return heard
  }
  return { pool, sockets, ask }
}

function poolTo(port: number): ClientPool {
  return new ClientPool((opened) => {
    const socket = open({ host: '127.0.0.1', port, onread })
    socket.once('connect', () => opened(null, socket)).once('error', (error) => opened(error, null))
  })
}

/** Answers each request on a connection by what `answer` says, which may take its time. */
const each =
  (answer: (head: string, socket: Socket) => string | undefined) =>
  (socket: Socket, first: string): void => {
    const take = (head: string): void => {
      const text = answer(head, socket)
      if (text !== undefined) socket.write(text, 'latin1')
    }
    socket.on('data', (bytes) => take(String(bytes)))
    take(first)
  }

t.test('R2 a connection is used again, the one used last first, and all that was said arrives', async (t) => {
  const { sockets, ask } = await scene(
    t,
    each((head) => `HTTP/1.1 200 Fine\r\nX-Saw: ${head.split(' ')[1]}\r\nContent-Length: 3\r\n\r\nabc`),
  )
  const first = await ask({ target: '/a?b=%20' })
  t.match(first.heads, [{ status: 200, reason: 'Fine', headers: ['X-Saw', '/a?b=%20', 'Content-Length', '3'] }])
  t.equal(first.text, 'abc')
  await ask()
  t.equal(sockets.length, 1)
  await Promise.all([ask(), ask(), ask()])
  t.equal(sockets.length, 3, 'as many as there are requests at once')
  await ask()
  t.equal(sockets.length, 3)
})

t.test('R2 what is written', async (t) => {
  let seen = ''
  const { ask } = await scene(
    t,
    each((head) => {
      seen += head
      return /\r\n\r\n(?:.*\r\n0\r\n\r\n|)$|body$/s.test(seen) ? 'HTTP/1.1 204 No Content\r\n\r\n' : undefined
    }),
  )
  const took = async (request: Partial<OutgoingRequest>): Promise<string> => {
    seen = ''
    await ask(request)
    return seen
  }
  const line = 'Host: service\r\nConnection: keep-alive\r\n'
  t.equal(await took({ headers: ['A', 'b', 'a', ''] }), `GET / HTTP/1.1\r\n${line}A: b\r\na: \r\n\r\n`)
  t.equal(await took({ method: 'POST' }), `POST / HTTP/1.1\r\n${line}Content-Length: 0\r\n\r\n`, 'no body is an empty one')
  t.equal(await took({ method: 'POST', body: Buffer.from('body') }), `POST / HTTP/1.1\r\n${line}Content-Length: 4\r\n\r\nbody`)
  const stream = (text: string): Readable => new PassThrough().end(text)
  t.equal(
    await took({ method: 'PUT', body: stream('body'), headers: ['Content-Length', '4'] }),
    `PUT / HTTP/1.1\r\n${line}Content-Length: 4\r\n\r\nbody`,
  )
  t.equal(
    await took({ method: 'PUT', body: stream('abc') }),
    `PUT / HTTP/1.1\r\n${line}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  )
})

t.test('R2 what would say something else on the wire is not sent', async (t) => {
  const { sockets, ask } = await scene(
    t,
    each(() => 'HTTP/1.1 204 No Content\r\n\r\n'),
  )
  const wrong: Partial<OutgoingRequest>[] = [
    { method: 'GET /other HTTP/1.1\r\nX:' },
    { method: '' },
    { target: '/a b' },
    { target: '/a\r\nX: y' },
    { target: '/\u0100' },
    { host: 'a\r\nX: y' },
    { headers: ['A', 'b\r\nX: y'] },
    { headers: ['A', 'b\0'] },
    { headers: ['A: b\r\nX', 'y'] },
    { headers: ['', 'y'] },
    { headers: ['A', '\u0100'] },
  ]
  for (const request of wrong) t.match(await ask(request), { error: { code: 'BAD_REQUEST' }, carrier: undefined })
  t.equal(sockets.length, 0)
})

t.test('R2 every framing of an answer, in one piece and byte by byte', async (t) => {
  const answers: Record<string, { wire: string; text: string; reused: boolean; trailers?: string[]; method?: string }> = {
    length: { wire: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', text: 'hello', reused: true },
    empty: { wire: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', text: '', reused: true },
    chunked: {
      wire: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n',
      text: 'hello',
      reused: true,
      trailers: ['A', 'b'],
    },
    none: { wire: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', text: '', reused: true },
    head: { wire: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', text: '', reused: true, method: 'HEAD' },
    interim: {
      wire: 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi',
      text: 'hi',
      reused: true,
    },
    close: { wire: 'HTTP/1.1 200 OK\r\n\r\nhello', text: 'hello', reused: false },
    old: { wire: 'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello', text: 'hello', reused: false },
    said: { wire: 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello', text: 'hello', reused: false },
    surplus: { wire: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK', text: 'hello', reused: false },
    brief: { wire: 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 5\r\n\r\nhello', text: 'hello', reused: false },
  }
  const write = async (socket: Socket, wire: string, slow: boolean): Promise<void> => {
    for (const part of slow ? wire : [wire]) {
      socket.write(part, 'latin1')
      if (slow) await new Promise((resolve) => setImmediate(resolve))
    }
    if (!/Content-Length|chunked/i.test(wire)) socket.end()
  }
  for (const [name, { wire, text, reused, trailers = [], method = 'GET' }] of Object.entries(answers)) {
    for (const slow of [false, true]) {
      const { ask, sockets } = await scene(
        t,
        each((_head, socket) => {
          void write(socket, wire, slow)
          return undefined
        }),
      )
      const heard = await ask({ method })
      const how = `${name}${slow ? ', byte by byte' : ''}`
      t.equal(heard.error, undefined, how)
      t.same([heard.text, heard.trailers], [text, trailers], how)
      if (name === 'surplus' && slow) continue
      await ask({ method })
      t.equal(sockets.length, reused ? 1 : 2, `${how}: ${reused ? 'used again' : 'not used again'}`)
    }
  }
})

t.test('R2 answers that are none', async (t) => {
  const answers: Record<string, [wire: string, code: string]> = {
    garbage: ['SSH-2.0-OpenSSH_9.2\r\n\r\n', 'BAD_ANSWER'],
    nothing: ['', 'CLOSED'],
    half: ['HTTP/1.1 200 OK\r\nConte', 'CLOSED'],
    short: ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel', 'CLOSED'],
    unfinished: ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', 'CLOSED'],
    large: [`HTTP/1.1 200 OK\r\nA: ${'a'.repeat(70_000)}\r\n\r\n`, 'BAD_ANSWER'],
    endless: [`HTTP/1.1 200 OK\r\nA: ${'a'.repeat(70_000)}`, 'BAD_ANSWER'],
    switching: ['HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n', 'BAD_ANSWER'],
  }
  for (const [name, [wire, code]] of Object.entries(answers)) {
    const { ask } = await scene(t, (socket) => socket.end(wire, 'latin1'))
    t.match(await ask(), { error: { code }, trailers: undefined }, name)
  }
  const pool = poolTo(await deadPort())
  const heard = new Heard()
  pool.send(GET, heard)
  await until(() => heard.over, 'the error')
  t.match(heard, { error: { code: 'ECONNREFUSED' }, carrier: undefined })
})

t.test('R2 silence is bounded, each on its own', async (t) => {
  const { ask } = await scene(
    t,
    each((head) =>
      head.startsWith('GET /begun')
        ? 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe'
        : head.startsWith('GET /fine')
          ? 'HTTP/1.1 204 Fine\r\n\r\n'
          : undefined,
    ),
  )
  t.match(await ask({ headTimeoutMs: 30 }), { error: { code: 'HEAD_TIMEOUT' } })
  t.match(await ask({ target: '/begun', headTimeoutMs: 30, bodyTimeoutMs: 60 }), { error: { code: 'BODY_TIMEOUT' }, text: 'he' })
  for (const headTimeoutMs of [30, 30, 5000, 30]) t.match(await ask({ target: '/fine', headTimeoutMs }), { trailers: [] })
})

t.test('R2 who takes no more is not sent more; the answer goes on where it stopped', async (t) => {
  const size = 32 * 1024 * 1024
  const { pool, sockets } = await scene(
    t,
    each((_head, socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
      socket.write(Buffer.alloc(size, 'x'))
      return undefined
    }),
  )
  const heard = new Heard()
  heard.full = true
  pool.send(GET, heard)
  await until(() => heard.chunks.length > 0, 'the first part')
  const blocked = (): number => sockets[0]!.writableLength
  let before = -1
  const isHeldUp = (): boolean => {
    const same = blocked() === before
    before = blocked()
    return same
  }
  await until(isHeldUp, 'the service to be held up')
  t.ok(blocked() > 0, 'most of it is still with the service')
  const taken = heard.chunks.length
  heard.full = false
  heard.carrier!.resume(heard)
  await until(() => heard.over, 'the rest')
  t.ok(taken < 10 && heard.trailers)
  t.equal(heard.text.length, size)
})

t.test('R2 what is called off ends its connection, and nobody is told; another on it is not touched', async (t) => {
  const { pool, sockets, ask } = await scene(
    t,
    each((head) => (head.startsWith('GET /silent') ? undefined : 'HTTP/1.1 204 Fine\r\n\r\n')),
  )
  const first = await ask()
  const second = new Heard()
  pool.send({ ...GET, target: '/silent' }, second)
  await until(() => second.carrier, 'the request')
  first.carrier!.abort(first)
  await until(() => sockets[0]!.readyState === 'open', 'the connection')
  t.equal(sockets.length, 1, 'it had the same connection')
  second.carrier!.abort(second)
  await until(() => sockets[0]!.destroyed || sockets[0]!.readableEnded, 'the connection to end')
  t.notOk(second.over)
  t.match(await ask(), { trailers: [] })
  t.equal(sockets.length, 2)
})

t.test('R2 an answer before the end of the request ends the request', async (t) => {
  const { pool } = await scene(t, (socket) => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno'))
  const body = new PassThrough()
  body.write('begun')
  const heard = new Heard()
  pool.send({ ...GET, method: 'POST', body }, heard)
  await until(() => heard.over, 'the answer')
  t.match(heard, { heads: [{ status: 413 }], text: 'no', trailers: [] })
  t.ok(body.destroyed)
})

t.test('R2 a connection that the service closes while it is idle is not used again', async (t) => {
  const { ask, sockets } = await scene(
    t,
    each(() => 'HTTP/1.1 204 Fine\r\n\r\n'),
  )
  await ask()
  const [socket] = sockets
  socket!.end()
  await once(socket!, 'close')
  t.match(await ask(), { trailers: [] })
  t.equal(sockets.length, 2)
})

t.test('R2 a closed pool lets requests under way end and keeps nothing', async (t) => {
  let answer = (): void => undefined
  const { pool, sockets } = await scene(t, (socket) => {
    answer = () => socket.write('HTTP/1.1 204 Fine\r\n\r\n')
  })
  const heard = new Heard()
  pool.send(GET, heard)
  await until(() => sockets.length > 0 && heard.carrier, 'the request')
  pool.close()
  t.ok(pool.closed)
  await until(() => {
    answer()
    return heard.over
  }, 'the answer')
  t.match(heard, { trailers: [] })
  await until(() => sockets[0]!.readableEnded || sockets[0]!.destroyed, 'the connection to end')
})

t.test(
  'R2 what a service says before a request has gone out is no answer to it; the request goes on another connection',
  async (t) => {
    for (const unasked of ['HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nunasked', undefined]) {
      const { pool, sockets, ask } = await scene(
        t,
        each((head) => `HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${head.slice(0, 4)}`),
      )
      await ask()
      const heard = new Heard()
      // What is sent in a timer has come before the end of the turn, in which the request goes out.
      setTimeout(() => {
        if (unasked === undefined) sockets[0]!.end()
        else sockets[0]!.write(unasked)
        pool.send({ ...GET, method: 'POST', body: Buffer.from('x') }, heard)
      }, 1)
      await until(() => heard.over, 'the answer')
      t.equal(heard.error, undefined)
      t.equal(heard.text, 'POST')
      t.equal(sockets.length, 2)
    }
  },
)

t.test('R2 a pool that is destroyed tells whoever was about to be sent', async (t) => {
  const { pool, ask } = await scene(
    t,
    each(() => 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
  )
  await ask()
  const heard = new Heard()
  pool.send(GET, heard)
  pool.destroy()
  t.match(heard.error, { code: 'CLOSED' })
})

t.test('R2 a request that may take any time is not ended by the timer of the one before it', async (t) => {
  const answers: (() => void)[] = []
  const { ask, sockets } = await scene(
    t,
    each((_head, socket) => void answers.push(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'))),
  )
  const first = ask({ headTimeoutMs: 150 })
  await until(() => answers.length === 1, 'the first request')
  answers[0]!()
  await first
  const second = ask({ headTimeoutMs: 0 })
  await until(() => answers.length === 2, 'the second request')
  t.equal(sockets.length, 1)
  const began = performance.now()
  await until(() => performance.now() - began > 300, 'the time of the first to be over')
  answers[1]!()
  t.equal((await second).error, undefined)
})
