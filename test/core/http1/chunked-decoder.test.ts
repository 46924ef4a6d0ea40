import fc from 'fast-check'
import t from 'tap'
import { ChunkedDecoder } from '../../../core/http1/chunked-decoder.ts'

/** Decodes bytes that come in the given pieces. */
function decode(pieces: readonly Buffer[]): { body: Buffer; taken: number; decoder: ChunkedDecoder } {
  const decoder = new ChunkedDecoder()
  const parts: Buffer[] = []
  let taken = 0
  for (const piece of pieces) taken += decoder.decode(piece, { take: (part) => parts.push(Buffer.from(part)) })
  return { body: Buffer.concat(parts), taken, decoder }
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

t.test('R2 the chunked coding: the body is the same, however it is cut into chunks and however these arrive', async () => {
  const piece = fc.uint8Array({ minLength: 1, maxLength: 300 })
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 8 }),
      fc.array(fc.nat(400), { maxLength: 20 }),
      fc.constantFrom('', ';a=b', ' ; name="value"'),
      fc.constantFrom('', 'X-Sum: 1\r\n', 'A: b\r\nC:  d \r\n'),
      (chunks, cuts, extension, trailers) => {
        const whole = Buffer.concat([
          ...chunks.flatMap((chunk) => [
            bytes(`${chunk.length.toString(16)}${extension}\r\n`),
            Buffer.from(chunk),
            bytes('\r\n'),
          ]),
          bytes(`0\r\n${trailers}\r\n`),
          bytes('HTTP/1.1'),
        ])
        const pieces: Buffer[] = []
        let at = 0
        for (const cut of cuts) {
          pieces.push(whole.subarray(at, at + cut))
          at = Math.min(whole.length, at + cut)
        }
        pieces.push(whole.subarray(at))
        const { body, taken, decoder } = decode(pieces)
        return (
          decoder.done &&
          body.equals(Buffer.concat(chunks)) &&
          taken === whole.length - 'HTTP/1.1'.length &&
          decoder.trailers.length === 2 * (trailers.split('\r\n').length - 1)
        )
      },
    ),
    { numRuns: 500 },
  )
})

t.test('R2 the chunked coding: what two readers could read differently is refused', async (t) => {
  const wrong = {
    'no size': '\r\n',
    'not hexadecimal': 'xyz\r\n',
    'a sign': '+5\r\nhello\r\n',
    'a prefix': '0x5\r\nhello\r\n',
    'white space before it': ' 5\r\nhello\r\n',
    'a bare LF behind the size': '5\nhello\r\n',
    'a bare CR in the extension': '5;a\rb\r\nhello\r\n',
    'longer than it says': '5\r\nhello!\r\n',
    'a bare LF behind the data': '5\r\nhello\n',
    'larger than a number can be': 'fffffffffffffffff\r\n',
    'a trailer without a colon': '0\r\nwhat\r\n\r\n',
    'a trailer with white space before its colon': '0\r\nwhat : x\r\n\r\n',
    'a size line without an end': `5;${'a'.repeat(2000)}`,
    'trailers without an end': `0\r\n${'a: b\r\n'.repeat(5000)}`,
  }
  for (const [name, text] of Object.entries(wrong)) t.throws(() => decode([bytes(text)]), { code: 'BAD_ANSWER' }, name)
  t.same(decode([bytes('0\r\n'), bytes('A: b\r\n'), bytes('\r'), bytes('\n')]).decoder.trailers, ['A', 'b'])
})
