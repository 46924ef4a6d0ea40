import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { fieldNames } from '../../../core/http/field-names.ts'
import { multipartField, urlencodedField } from '../../../core/http/form-field.ts'
import { jsonField } from '../../../core/http/json-field.ts'
import { RequestView } from '../../../core/http/request-view.ts'

/** What `jsonField` must answer, by the one parser that counts. */
function expected(text: string, name: string): string | undefined {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return undefined
  const field: unknown = Reflect.get(value, name)
  if (typeof field === 'string') return field
  return typeof field === 'number' || typeof field === 'boolean' ? JSON.stringify(field) : undefined
}

const find = (text: string, name = 'model') => jsonField(Buffer.from(text), name)
const key = fc.oneof(
  fc.constantFrom('model', 'a', '', '__proto__', 'mödel', '模', '"', '\\', 'a/b', 'mo"del'),
  fc.string({ unit: 'binary' }),
)
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('model', '"model":1', '\\', '\\"', '{', '}]', '",'),
  fc.string({ minLength: 20 }),
)
const value = fc.oneof(text, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null))
const nested = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    value,
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(key, tie('any'), { maxKeys: 4 }),
  ),
})).any

/** JSON text with white space, spellings and repeated keys of all kinds. */
const space = fc.constantFrom('', ' ', '\n\t', '\r\n  ')
const spelt = (plain: string, how: number): string => {
  const quoted = JSON.stringify(plain)
  if (how === 0) return quoted
  const units = plain.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return how === 1 ? `"${units.join('')}"` : quoted.replaceAll('/', '\\/')
}
const member = fc
  .tuple(key, fc.integer({ min: 0, max: 2 }), nested, fc.boolean(), space)
  .map(([name, how, value, pretty, gap]) => ({
    name,
    text: `${gap}${spelt(name, how)}${gap}:${gap}${pretty ? JSON.stringify(value, undefined, 2) : JSON.stringify(value)}${gap}`,
  }))
const object = fc.tuple(fc.array(member, { maxLength: 6 }), space).map(([members, gap]) => ({
  names: members.map(({ name }) => name),
  text: `${gap}{${members.map(({ text }) => text).join(',') || gap}}${gap}`,
}))

t.test('R12 field agrees with JSON.parse on every object, however it is spelt', async () => {
  fc.assert(
    fc.property(object, key, ({ text, names }, other) =>
      [...names, other, 'model'].every((name) => Object.is(find(text, name), expected(text, name))),
    ),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(nested, key, (value, name) => find(JSON.stringify(value), name) === expected(JSON.stringify(value), name)),
    { numRuns: 2000 },
  )
})

t.test('R12 field never crashes, whatever the bytes are', async (t) => {
  fc.assert(
    fc.property(object, fc.nat(), fc.nat(), fc.integer({ min: 0, max: 255 }), ({ text, names }, at, cut, byte) => {
      const bytes = Buffer.from(text)
      bytes[at % bytes.length] = byte
      for (const name of [...names, 'model']) {
        for (const part of [bytes, bytes.subarray(cut % bytes.length), bytes.subarray(0, cut % bytes.length)]) {
          const found = jsonField(part, name)
          if (found !== undefined && typeof found !== 'string') return false
        }
      }
      return true
    }),
    { numRuns: 1000 },
  )
  fc.assert(fc.property(fc.uint8Array(), key, (bytes, name) => typeof jsonField(Buffer.from(bytes), name) !== 'object'))
  for (const broken of [
    '',
    ' ',
    '{',
    '}',
    '{}',
    '[]',
    'null',
    '"model"',
    '{"model"}',
    '{"model":}',
    '{"model" "x"}',
    '{"model":"x"',
    '"model":"x"}',
  ])
    t.equal(find(broken), undefined, broken)
  for (const broken of ['{,"model":tru}', '{"model":01}', '{"model":"a\nb"}', '{"model":"\\x"}', '{"model":NaN}', '{"model":+1}'])
    t.equal(find(broken), undefined, broken)
  for (const broken of [
    '{"a":[,"model":"x"}x',
    '[{"model":"x"}]',
    '{"model":"x"}{}x',
    '{"model":"x}',
    '{"model": "x" "y"}',
    '{model:"x"}',
  ])
    t.equal(find(broken), undefined, broken)
})

t.test('R12 field: places, spellings, values', async (t) => {
  const big = 'x'.repeat(100_000)
  t.equal(find(`{"a":"${big}","model":"x"}`), 'x', 'at the end')
  t.equal(find(`{"model":"x","a":"${big}"}`), 'x', 'at the start')
  t.equal(find(`{"a":"${big}","model":"x","b":"${big}"}`), 'x', 'in the middle')
  t.equal(find('{"model":"x","model":"y"}'), 'y', 'the last one wins')
  t.equal(find(`{"model":"x","a":"${big}","mod\\u0065l":"y"}`), 'y', 'also when it is spelt otherwise')
  t.equal(find('{"model":"x","a":{"model":"y"},"b":[{"model":"z"}]}'), 'x', 'nested ones are others')
  t.equal(find('{"a":{"model":"y"}}'), undefined)
  t.equal(find('{"a":"\\"model\\":\\"y\\""}'), undefined, 'text is no field')
  t.equal(find('\ufeff{"model":"x"}'), 'x', 'behind a byte order mark')
  t.equal(find('{"model":"\\ud83d\\ude00 \\u00e9"}'), '\u{1f600} é')
  t.equal(find('{"model":1.50,"a":1}'), '1.50', 'a number as it is written')
  t.equal(find('{"model":-1e3}'), '-1e3')
  t.equal(find('{"model":false}'), 'false')
  for (const other of ['null', '{}', '["x"]', '{"a":"x"}']) t.equal(find(`{"model":${other}}`), undefined, other)
  for (const depth of [1e5, 1e6]) {
    const deep = `${'['.repeat(depth)}${']'.repeat(depth)}`
    t.equal(find(`{"model":"x","deep":${deep},"a/b":1}`), 'x', `${depth} levels`)
    t.equal(find(`{"model":"x","deep":${deep},"a/b":1}`, 'a/b'), '1')
    t.equal(find(`{"deep":${deep},"other":"x"}`), undefined)
  }
})

const query = fc.array(fc.tuple(key, text), { maxLength: 5 })

t.test('R12 field of a form agrees with URLSearchParams; of several the last', async (t) => {
  fc.assert(
    fc.property(query, key, (pairs, other) => {
      const form = new URLSearchParams(pairs)
      return [...form.keys(), other].every(
        (name) => urlencodedField(Buffer.from(form.toString()), name) === form.getAll(name).at(-1),
      )
    }),
  )
  const form = (text: string, name = 'model') => urlencodedField(Buffer.from(text), name)
  t.equal(form('a=1&model=llama+3%2E1&b'), 'llama 3.1')
  t.equal(form('model'), '')
  t.equal(form('&&=x&model=%zz&'), '%zz', 'what is badly encoded stays')
  t.equal(form('=x', ''), 'x')
  for (const none of ['', '&', '=', 'mode=l', 'amodel=x']) t.equal(form(none), undefined, none)
})

t.test('R12 field of a multipart form agrees with what fetch reads', async (t) => {
  const part = fc.oneof(
    fc.record({ name: fc.constantFrom('model', 'file', 'a"b', 'mödel'), text: fc.string() }),
    fc.record({ name: fc.constantFrom('model', 'file'), file: fc.uint8Array() }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
      const form = new FormData()
      for (const part of parts) {
        if ('file' in part) form.append(part.name, new Blob([new Uint8Array(part.file)]), 'name="model".bin')
        else form.append(part.name, part.text)
      }
      const request = new Request('http://x', { method: 'POST', body: form })
      const boundary = /boundary=(.+)/.exec(request.headers.get('content-type')!)![1]!
      const bytes = Buffer.from(await request.clone().arrayBuffer())
      const read = await request.formData()
      for (const name of ['model', 'file', 'a"b', 'mödel', 'none']) {
        const texts = read.getAll(name).filter((value) => typeof value === 'string')
        if (multipartField(bytes, boundary, name) !== texts.at(-1)) return false
      }
      return true
    }),
  )
  const lines = (...all: string[]) => Buffer.from(all.join('\r\n'))
  t.equal(
    multipartField(
      lines('preamble', '--b', 'content-type: text/plain', 'Content-Disposition: form-data; name=model', '', 'x', '--b--'),
      'b',
      'model',
    ),
    'x',
    'without quotes, behind a preamble',
  )
  t.equal(
    multipartField(lines('--b', 'content-disposition: form-data; name="model"', '', 'x', 'y'), 'b', 'model'),
    undefined,
    'no end',
  )
  t.equal(multipartField(lines('--b', 'content-disposition: form-data; name="model"', '', '', '--b--'), 'b', 'model'), '')
  t.equal(multipartField(lines('--b--'), 'b', 'model'), undefined)
  t.equal(multipartField(Buffer.alloc(0), 'b', 'model'), undefined)
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.string(),
      (bytes, boundary) => multipartField(Buffer.from(bytes), boundary, 'a') === undefined,
    ),
  )
})

const view = (headers: Record<string, string>, body: string | Buffer | undefined): RequestView =>
  new RequestView({
    id: 'r',
    method: 'POST',
    target: '/',
    headers,
    clientAddress: undefined,
    body: body === undefined ? undefined : Buffer.from(body),
    signal: () => new AbortController().signal,
  })

t.test('R12 a request view reads what its headers say', async (t) => {
  const field = (type: string | undefined, body: string | undefined, more: Record<string, string> = {}) => {
    const request = view(type === undefined ? more : { 'content-type': type, ...more }, body)
    return request.hasReadableBody ? request.field('model') : 'unread'
  }
  t.equal(field('application/json; charset=utf-8', '{"model":"x"}'), 'x')
  t.equal(field('application/vnd.api+json', '{"model":"x"}'), 'x')
  t.equal(field('application/x-www-form-urlencoded', 'model=x'), 'x')
  t.equal(field('application/x-www-form-urlencoded', ' {"model":"x"}'), 'x', 'as curl -d sends it')
  const multipart = '--a b\r\ncontent-disposition: form-data; name="model"\r\n\r\nx\r\n--a b--'
  t.equal(field('multipart/form-data; boundary="a b"', multipart), 'x')
  t.equal(field('Multipart/Form-Data; charset=x; boundary=b', multipart.replaceAll('a b', 'b')), 'x')
  t.equal(field('multipart/form-data', multipart), 'unread', 'no boundary')
  t.equal(field('multipart/mixed; boundary="a b"', multipart), 'unread')
  t.equal(field('text/plain', '{"model":"x"}'), 'unread')
  t.equal(field(undefined, '{"model":"x"}'), 'unread')
  t.equal(field('application/json', '{"model":"x"}', { 'content-encoding': 'gzip' }), 'unread')
  t.equal(field('application/json', '{"model":"x"}', { 'content-encoding': 'identity' }), 'x')
  t.equal(field('application/json', undefined), 'unread')
  t.same(view({ 'content-type': 'application/json' }, '\ufeff{"a":[1]}').body, { a: [1] })
  t.same(view({ 'content-type': 'application/x-www-form-urlencoded' }, '{"a":[1]}').body, { a: [1] })
  t.equal(view({ 'content-type': 'application/x-www-form-urlencoded' }, 'a=1').body, undefined)
  t.equal(view({ 'content-type': 'application/json' }, '{').body, undefined)
})

t.test('R12 another text in place of a field', async (t) => {
  const json = (body: string | Buffer) => view({ 'content-type': 'application/json' }, body)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(key, nested), { maxLength: 4 }),
      fc.array(fc.tuple(key, nested), { maxLength: 4 }),
      text,
      fc.nat(3),
      (before, after, model, indent) => {
        const object = Object.fromEntries([...before, ['model', model], ...after.filter(([name]) => name !== 'model')])
        const changed = json(JSON.stringify(object, null, indent)).withField('model', 'öther')!
        deepStrictEqual(JSON.parse(changed.toString()), JSON.parse(JSON.stringify({ ...object, model: 'öther' })))
      },
    ),
    { numRuns: 300 },
  )
  t.same(json('{"model":1, "a":2}').withField('model', 'x')?.toString(), '{"model":"x", "a":2}')
  for (const none of [
    '',
    '[]',
    '"model"',
    '{"a":{"model":"x"}}',
    '{"a":["model","x"]}',
    '["model",{"model":"x"}]',
    '{"model":[]}',
  ])
    t.equal(json(none).withField('model', 'y'), undefined, none)

  const part = (head: string, body: string) => `--b\r\nContent-Disposition: form-data; ${head}\r\n\r\n${body}\r\n`
  const form = `${part('name="file"; filename="model"', 'name="model"\r\n\r\nno')}${part('name="model"', 'yes')}--b--\r\n`
  const multipart = (body: string) => view({ 'content-type': 'multipart/form-data; boundary=b' }, body)
  t.equal(multipart(form).withField('model', 'öther')?.toString(), form.replace('yes', 'öther'))
  t.equal(multipart(part('name="model"; filename="x"', 'no')).withField('model', 'x'), undefined)
  t.equal(view({ 'content-type': 'application/x-www-form-urlencoded' }, 'model=x').withField('model', 'y'), undefined)
})

t.test('R22 names of fields, as every reader sees them', async (t) => {
  const json = (body: string) => fieldNames(Buffer.from(body), { type: 'json' })
  t.same(json('{"a":{"b":1},"c":["d","e"],"f":"\\","g":1","a":2}'), ['a', 'c', 'f', 'a'])
  t.same(json('{"a":1}{"b":1}'), ['a', 'b'], 'of a second object, too')
  t.equal(json('{"a\\x":1}'), undefined)
  const part = (head: string) => `--b\r\n${head}\r\n\r\nx\r\n`
  const disposition = (rest: string) => `content-disposition: form-data; ${rest}`
  const form = (...parts: string[]) => fieldNames(Buffer.from(`${parts.join('')}--b--`), { type: 'multipart', boundary: 'b' })
  t.same(form(), [])
  t.same(form(part(disposition('name="a"')), part(`Content-Type: text/plain\r\n${disposition('name="ö"; filename="f %22"')}`)), [
    'a',
    'ö',
  ])
  for (const odd of [
    'name=a',
    'name="a"; name="b"',
    `name="a"; name*=utf-8''b`,
    'name="a%22"',
    'name="a\\""',
    'name="a"\r\n x: y',
  ])
    t.equal(form(part(disposition(odd))), undefined, odd)
  t.equal(form(part(`${disposition('name="a"')}\r\n${disposition('name="b"')}`)), undefined)
  t.equal(form(part(disposition('name="a"')), part(disposition('name="b"')).replaceAll('\r\n', '\n')), undefined)
  t.equal(form('a preamble with --b in it\r\n', part(disposition('name="a"'))), undefined)
  t.equal(fieldNames(Buffer.from('a=1'), { type: 'urlencoded' }), undefined)
  t.equal(fieldNames(Buffer.from('{"a":1}'), undefined), undefined)
})

t.test('R11 a request view knows the cookies', async (t) => {
  const request = view({ cookie: 'a=1; session=x=y ; empty=; odd; b=2' }, undefined)
  t.equal(request.cookie('session'), 'x=y')
  t.equal(request.cookie('a'), '1')
  t.equal(request.cookie('b'), '2')
  t.equal(request.cookie('empty'), '')
  for (const none of ['odd', 'c', '']) t.equal(request.cookie(none), undefined)
  t.equal(view({}, undefined).cookie('a'), undefined)
})
