import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Draft, forgetDrafts } from '../../../core/http1/draft.ts'
import { IN_TOKEN } from '../../../core/http1/syntax.ts'
import { flushAtEndOfTurn } from '../../../core/http1/turn.ts'
import { until } from '../../helpers/until.ts'

/** Two ends of a connection, and what has come to the other one. */
async function ends(t: Test): Promise<{ near: Socket; far: Socket; came(): string }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = connect((server.address() as { port: number }).port, '127.0.0.1')
  const [far] = (await once(server, 'connection')) as [Socket]
  let came = ''
  far.setEncoding('latin1').on('data', (text: string) => {
    came += text
  })
  t.teardown(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  if (near.connecting) await once(near, 'connect')
  return { near, far, came: () => came }
}

t.test('drafts that grow in turns are each whole', async (t) => {
  const { near, came } = await ends(t)
  const drafts = [new Draft(), new Draft(), new Draft()]
  for (let i = 0; i < 100; i++) {
    for (const [n, draft] of drafts.entries()) {
      draft.text(`<${n}.${i}>`)
      draft.add(Buffer.from('é', 'latin1'))
      draft.text('-'.repeat(i))
    }
  }
  const expected = [0, 1, 2].map((n) => Array.from({ length: 100 }, (_, i) => `<${n}.${i}>é${'-'.repeat(i)}`).join(''))
  t.same(
    drafts.map((draft) => draft.length),
    expected.map((text) => text.length),
  )
  for (const draft of drafts) draft.send(near)
  await until(() => came().length === expected.join('').length, 'all of it')
  t.equal(came(), expected.join(''))
})

t.test('more than there is room for in a turn', async (t) => {
  const { near, came } = await ends(t)
  const many = Array.from({ length: 40 }, (_, i) => {
    const draft = new Draft()
    draft.text(`${i} `)
    draft.add(Buffer.alloc(15_000, 0x61 + (i % 26)))
    return draft
  })
  for (const draft of many) draft.send(near)
  const expected = many.map((_, i) => `${i} ${String.fromCharCode(0x61 + (i % 26)).repeat(15_000)}`).join('')
  await until(() => came().length === expected.length, 'all of it')
  t.ok(came() === expected, 'all of it came, in order')
  const large = new Draft()
  large.text('x'.repeat(300_000))
  large.text('!')
  t.equal(large.length, 300_001)
  large.send(near)
  await until(() => came().length === expected.length + 300_001, 'the large one')
  t.ok(came().endsWith('x!'))
})

t.test('what a socket does not take at once is still the same when it does', async (t) => {
  const { near, far, came } = await ends(t)
  far.pause()
  let sent = ''
  for (let i = 0; near.writableLength < 1_000_000; i++) {
    const draft = new Draft()
    draft.text(`${i}:`)
    draft.add(Buffer.alloc(60_000, 0x41 + (i % 26)))
    draft.send(near)
    sent += `${i}:${String.fromCharCode(0x41 + (i % 26)).repeat(60_000)}`
    forgetDrafts()
    // Whatever is written now lies where that one did.
    const other = new Draft()
    other.text('#'.repeat(70_000))
    forgetDrafts()
  }
  t.ok(near.writableLength > 0, 'the socket is full')
  far.resume()
  await until(() => came().length === sent.length, 'all of it')
  t.ok(came() === sent, 'nothing else came')
})

t.test('a draft that is kept outlasts its turn, and grows in a later one; any other is refused then', async (t) => {
  const { near, came } = await ends(t)
  const [kept, lost] = [new Draft(), new Draft()]
  kept.text('kept')
  lost.text('lost')
  kept.keep()
  flushAtEndOfTurn({ flush: () => undefined })
  await turn()
  new Draft().text('something else')
  t.throws(() => lost.text('!'), /after its turn/)
  t.throws(() => lost.keep(), /after its turn/)
  t.throws(() => lost.send(near), /after its turn/)
  kept.text(' and more')
  kept.send(near)
  await until(() => came().length === 13, 'all of it')
  t.equal(came(), 'kept and more')
})

t.test('what is no header line is refused, and nothing else of the turn suffers', async (t) => {
  const { near, came } = await ends(t)
  const before = new Draft()
  before.text('before ')
  const bad: [name: unknown, value: unknown][] = [
    ['', 'x'],
    ['a b', 'x'],
    ['a:', 'x'],
    ['\u0141', 'x'],
    ['a', 'x\r\nb: y'],
    ['a', 'x\0'],
    ['a', '\u010d'],
    ['a', 1],
    ['a', null],
    ['a', undefined],
    ['a', ['x']],
  ]
  for (const [name, value] of bad)
    t.equal(new Draft().field(name as string, value as string), false, JSON.stringify([name, value]))
  for (const text of ['', 'a b', '\u0141', 1, null]) t.equal(new Draft().only(text as string, IN_TOKEN), false, String(text))
  const draft = new Draft()
  t.ok(draft.only('GET', IN_TOKEN) && draft.field('X-Long', 'h\u00e9'.repeat(50)) && draft.field('empty', ''))
  before.text('after')
  before.send(near)
  draft.send(near)
  const expected = `before afterGETX-Long: ${'h\u00e9'.repeat(50)}\r\nempty: \r\n`
  await until(() => came().length >= expected.length, 'all of it')
  t.equal(came(), expected)
})

t.test('who puts himself before the write of a socket may keep what passes', async (t) => {
  const { near, came } = await ends(t)
  const kept: Buffer[] = []
  const write = near.write.bind(near)
  near.write = (bytes: unknown) => {
    kept.push(bytes as Buffer)
    return write(bytes as Buffer)
  }
  for (const text of ['first', 'second']) {
    const draft = new Draft()
    draft.text(text)
    draft.send(near)
    forgetDrafts()
  }
  await until(() => came() === 'firstsecond', 'both')
  t.same(kept.map(String), ['first', 'second'])
})
