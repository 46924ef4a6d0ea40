import t from 'tap'
import { parseResponseHead } from '../../../core/http1/response-head.ts'

const head = (lines: string[], method = 'GET') => parseResponseHead(`${lines.join('\r\n')}\r\n`, method)
const OK = 'HTTP/1.1 200 OK'

t.test('R2 the head of an answer: status, reason and headers as they came', async (t) => {
  const { status, reason, headers } = head([
    OK,
    'A: b',
    'a:\tc  ',
    'Empty:',
    'Set-Cookie: x=1',
    'set-cookie: y=2',
    'B: \xa0\xe4 ',
  ])
  t.same([status, reason], [200, 'OK'])
  t.same(headers, ['A', 'b', 'a', 'c', 'Empty', '', 'Set-Cookie', 'x=1', 'set-cookie', 'y=2', 'B', '\xa0\xe4'])
  t.match(head(['HTTP/1.1 404']), { status: 404, reason: '' })
  t.match(head(['HTTP/1.0 599 a  b']), { status: 599, reason: 'a  b' })
})

t.test('R2 the head of an answer: where its body ends, and whether another answer may follow', async (t) => {
  const none = { framing: 'none', length: 0 }
  t.match(head([OK]), { framing: 'close', keepAlive: false })
  t.match(head([OK, 'Content-Length: 0']), { framing: 'length', length: 0, keepAlive: true })
  t.match(head([OK, 'content-length:12']), { framing: 'length', length: 12 })
  t.match(head([OK, 'Transfer-Encoding: Chunked']), { framing: 'chunked', keepAlive: true })
  t.match(head([OK, 'Content-Length: 5'], 'HEAD'), { ...none, keepAlive: true })
  t.match(head(['HTTP/1.1 304 Not Modified', 'Content-Length: 5']), none)
  t.match(head(['HTTP/1.1 204 No Content', 'Transfer-Encoding: chunked']), none)
  t.match(head(['HTTP/1.1 103 Early Hints', 'Link: x']), none)
  t.match(head([OK, 'Content-Length: 5', 'Connection: Close']), { keepAlive: false })
  t.match(head([OK, 'Content-Length: 5', 'Connection: foo, close']), { keepAlive: false })
  t.match(head([OK, 'Content-Length: 5', 'Connection: closed']), { keepAlive: true })
  t.match(head(['HTTP/1.0 200 OK', 'Content-Length: 5']), { keepAlive: false })
  t.match(head(['HTTP/1.0 200 OK', 'Content-Length: 5', 'Connection: keep-alive']), { keepAlive: true })
  t.match(head([OK, 'Content-Length: 5', 'Keep-Alive: timeout=7, max=100']), { idleMs: 7000 })
})

t.test('R2 the head of an answer: nonsense, and what two readers could read differently, is refused', async (t) => {
  const wrong: Record<string, string[]> = {
    'another protocol': ['HTTP/2 200 OK'],
    'another version': ['HTTP/1.2 200 OK'],
    'no status': ['HTTP/1.1 OK'],
    'a status of two digits': ['HTTP/1.1 20 OK'],
    'a status below 100': ['HTTP/1.1 099 OK'],
    'white space before it': [' HTTP/1.1 200 OK'],
    'two spaces': ['HTTP/1.1  200 OK'],
    'a control character in the reason': ['HTTP/1.1 200 O\0K'],
    'a header without a colon': [OK, 'what'],
    'white space before the colon': [OK, 'What : x'],
    'a folded line': [OK, 'What: x', ' y'],
    'no name': [OK, ': x'],
    'a bare CR': [OK, 'What: x\rA: b'],
    'a bare LF': [OK, 'What: x\nA: b'],
    'a zero byte': [OK, 'What: x\0'],
    'two lengths': [OK, 'Content-Length: 5', 'Content-Length: 6'],
    'two lengths that agree': [OK, 'content-length: 12', 'Content-Length: 12'],
    'two lengths in one': [OK, 'Content-Length: 5, 5'],
    'a negative length': [OK, 'Content-Length: -1'],
    'a length with a sign': [OK, 'Content-Length: +1'],
    'a hexadecimal length': [OK, 'Content-Length: 0x1'],
    'no length': [OK, 'Content-Length:'],
    'a length beyond all numbers': [OK, `Content-Length: ${'9'.repeat(30)}`],
    'length and chunks': [OK, 'Content-Length: 5', 'Transfer-Encoding: chunked'],
    'an unknown coding': [OK, 'Transfer-Encoding: gzip, chunked'],
    'chunked twice': [OK, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
  }
  for (const [name, lines] of Object.entries(wrong)) t.throws(() => head(lines), { code: 'BAD_ANSWER' }, name)
})
