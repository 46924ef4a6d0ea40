import { Agent, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { ClientPool } from '../../../core/http1/client-pool.ts'
import type { OutgoingRequest } from '../../../core/http1/outgoing-request.ts'
import { onread } from '../../../core/http1/reading.ts'

/** What a client made of an answer; undefined when it refused it. */
type Read = { status: number; reason: string; headers: string[]; body: string; trailers: string[] } | undefined

const PIECES = [
  ...['HTTP/1.1 200 OK', 'HTTP/1.0 200 OK', 'HTTP/1.1 204 No Content', 'HTTP/1.1 304 Not', 'HTTP/1.1 100 Continue', 'HTTP/1.1'],
  ...[
    'Content-Length: 5',
    'Content-Length: 3',
    'content-length:5',
    'Content-Length : 5',
    'Content-Length: 5, 5',
    'Content-Length:',
  ],
  ...[
    'Transfer-Encoding: chunked',
    'transfer-encoding:\tCHUNKED',
    'Transfer-Encoding: gzip',
    'Transfer-Encoding: chunked, chunked',
  ],
  ...[
    'Connection: close',
    'Connection: keep-alive',
    'A: b',
    'A:',
    ': b',
    ' folded',
    'A\0: b',
    'A: \x01',
    'A: \xff',
    'A: b\rC: d',
  ],
  ...['hello', '5\r\nhello', '0', '5;x=y', 'A: trailer', '\r\n', '\n', '\r', ' ', '\t', 'FFFFFFFF', '-1', '0x5', '\0'],
]

/** Answers that are nearly right, and ones that aren't. */
const answers = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.0 200 OK', 'HTTP/1.1 404 ', 'HTTP/1.1 204 No Content'),
      fc.array(fc.constantFrom(...PIECES.slice(6, 26)), { maxLength: 3 }),
      fc.constantFrom(
        '',
        'hello',
        '5\r\nhello\r\n0\r\n\r\n',
        '5\r\nhello\r\n0\r\nA: b\r\n\r\n',
        '3\r\nhello\r\n0\r\n\r\n',
        'hel',
      ),
    )
    .map(([line, headers, body]) => `${[line, ...headers].join('\r\n')}\r\n\r\n${body}`),
  fc
    .array(fc.oneof(fc.constantFrom(...PIECES), fc.constant('\r\n')), { minLength: 1, maxLength: 14 })
    .map((parts) => parts.join('')),
)

const byNode = (port: number, agent: Agent): Promise<Read> =>
  new Promise((resolve) => {
    get({ port, host: '127.0.0.1', agent }, (response) => {
      let body = ''
      response
        .setEncoding('latin1')
        .on('data', (text) => (body += text))
        .on('error', () => resolve(undefined))
        .on('end', () => {
          const {
            statusCode: status = 0,
            statusMessage: reason = '',
            rawHeaders: headers,
            rawTrailers: trailers,
            complete,
          } = response
          resolve(complete ? { status, reason, headers, body, trailers } : undefined)
        })
    })
      .on('upgrade', () => resolve(undefined))
      .on('error', () => resolve(undefined))
  })

const GET: OutgoingRequest = {
  method: 'GET',
  target: '/',
  host: 'a',
  headers: [],
  body: null,
  headTimeoutMs: 0,
  bodyTimeoutMs: 0,
}

const byPool = (pool: ClientPool): Promise<Read> =>
  new Promise((resolve) => {
    let read: Read
    pool.send(GET, {
      onConnect: () => undefined,
      onHeaders: (status, headers, reason) => {
        read = { status, reason, headers: [...headers], body: '', trailers: [] }
      },
      onPart: (chunk) => {
        read!.body += chunk.toString('latin1')
        return true
      },
      onLull: () => undefined,
      onComplete: (trailers) => resolve({ ...read!, trailers: [...trailers] }),
      onError: () => resolve(undefined),
    })
  })

t.test('R2 what is taken for an answer is the very answer that node:http reads in the same bytes', async (t) => {
  let wire = ''
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end(wire, 'latin1'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const agent = new Agent({ keepAlive: false })
  const pool = new ClientPool((opened) => {
    const socket = connect({ host: '127.0.0.1', port, onread })
    socket.once('connect', () => opened(null, socket)).once('error', (error) => opened(error, null))
  })
  t.teardown(() => {
    pool.destroy()
    server.close()
  })
  /** Whether node:http reads it so; or what comes before bytes that nobody asked for, of which it thinks differently. */
  const isNodes = async (read: string, answer: string): Promise<boolean> => {
    for (let end = answer.length; end > 0; end--) {
      wire = answer.slice(0, end)
      if (JSON.stringify(await byNode(port, agent)) === read) return true
    }
    return false
  }
  let [taken, refused] = [0, 0]
  await fc.assert(
    fc.asyncProperty(answers, async (answer) => {
      wire = answer
      const ours = await byPool(pool)
      if (!ours) refused++
      else {
        taken++
        if (await isNodes(JSON.stringify(ours), answer)) return
        throw new Error(`read as ${JSON.stringify(ours)}, but node:http reads ${JSON.stringify(await byNode(port, agent))}`)
      }
    }),
    { numRuns: 1500 },
  )
  t.comment(`${taken} answers taken, ${refused} refused`)
  t.ok(taken > 100 && refused > 100, 'both kinds were there')
})
