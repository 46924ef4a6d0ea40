import t from 'tap'
import { FOR_GOOD, FOR_NOW, giveBack, ReadBuffer, returnOf } from '../../../core/http1/read-buffer.ts'

const KIB = 1024
const areaOf = (part: Buffer): ArrayBufferLike => part.buffer

t.test('a buffer is used again when all of its parts were given back, and its reader is done with it', (t) => {
  const buffer = ReadBuffer.take()
  const [first, second] = [buffer.bytes.subarray(0, 20 * KIB), buffer.bytes.subarray(20 * KIB, 40 * KIB)]
  t.equal(buffer.keep(first), first, 'large parts are passed on')
  t.equal(buffer.keep(second), second)
  giveBack(first)
  giveBack(first)
  giveBack(second)
  t.not(ReadBuffer.take(), buffer, 'its reader still reads')
  buffer.release()
  t.equal(ReadBuffer.take(), buffer)
  t.end()
})

t.test('one whose parts are never given back is never used again', (t) => {
  const buffer = ReadBuffer.take()
  const part = buffer.keep(buffer.bytes.subarray(0, 20 * KIB))
  buffer.release()
  for (let i = 0; i < 40; i++) t.not(ReadBuffer.take(), buffer)
  t.equal(part.length, 20 * KIB)
  t.end()
})

t.test('only the very part that was passed on can be given back', (t) => {
  const buffer = ReadBuffer.take()
  const part = buffer.keep(buffer.bytes.subarray(0, 20 * KIB))
  buffer.release()
  const same = part.subarray(0)
  t.equal(returnOf(same), undefined)
  giveBack(same)
  t.not(ReadBuffer.take(), buffer)
  returnOf(part)!()
  t.equal(returnOf(part), undefined)
  t.equal(ReadBuffer.take(), buffer)
  t.end()
})

t.test('small parts are copied, and so is what lies where all read to', (t) => {
  const buffer = ReadBuffer.take()
  for (const [place, part] of [
    [buffer, buffer.bytes.subarray(0, 10)],
    [FOR_NOW, Buffer.alloc(40 * KIB)],
  ] as const) {
    const kept = place.keep(part)
    t.same(kept, part)
    t.not(areaOf(kept), areaOf(part))
    t.equal(returnOf(kept), undefined)
  }
  const own = Buffer.alloc(40 * KIB)
  t.equal(FOR_GOOD.keep(own), own)
  t.end()
})
