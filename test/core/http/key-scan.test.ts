import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { jsonField } from '../../../core/http/json-field.ts'
import { mayHoldKey } from '../../../core/http/key-scan.ts'
import { cleanEnv } from '../../helpers/child-gateway.ts'
import { ROOT } from '../../helpers/markdown.ts'

const PIECE = 48 * 1024
const MIB = 1024 * 1024

/** What is certain of text of ASCII: a key is written as it is, or at least one of its letters is an escape. */
function isIn(text: string, name: string): boolean {
  const escapes = [...text.matchAll(/\\u00([0-9a-f]{2})/gi)].map(([, code]) => String.fromCharCode(Number.parseInt(code!, 16)))
  return text.includes(`"${name}"`) || escapes.some((letter) => name.includes(letter))
}

const escaped = (letter: string): string => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`

/** `text` in a buffer of its own, so many bytes behind where an array begins. */
function aligned(text: string, by: number): Buffer {
  const bytes = Buffer.from(new ArrayBuffer(text.length + by + 16), by, text.length)
  bytes.write(text, 'latin1')
  return bytes
}

t.test('R12 a key is found at every place and alignment, and nothing that is only like it', async (t) => {
  const spellings = ['"model"', '\\u006dodel"', 'm\\u006Fdel"', 'mode\\u006c"']
  const others = ['"mode"', '"models"', '"Model"', '\\u006emode', ' u006d', '\\u06d0', '\\u00e9', '\\u001b', '\\u003c', '"mod']
  let wrong = 0
  for (let by = 0; by < 16; by++) {
    for (let before = 0; before < 200; before++) {
      const filler = 'x"m\\u0'.repeat(40).slice(0, before)
      const [hits, misses] = [spellings, others].map((all) => all.map((one) => aligned(`${filler}${one}`, by)))
      wrong += hits!.filter((bytes) => !mayHoldKey(bytes, 0, 'model')).length
      wrong += misses!.filter((bytes) => mayHoldKey(bytes, 0, 'model')).length
    }
  }
  t.equal(wrong, 0, 'in short texts')
  const bytes = Buffer.alloc(PIECE * 2 + 200, 'x')
  for (const from of [0, 1, 7, 63]) {
    for (const boundary of [PIECE, PIECE * 2]) {
      for (let at = boundary - 80; at < boundary + 80; at++) {
        for (const spelling of spellings) {
          bytes.write(spelling, at)
          if (!mayHoldKey(bytes, from, 'model')) wrong++
          bytes.fill('x', at, at + spelling.length)
          if (mayHoldKey(bytes, from, 'model')) wrong++
        }
      }
    }
  }
  t.equal(wrong, 0, 'across the pieces that it is searched in')
})

t.test('R12 it is found in random text exactly when it is there', async () => {
  const name = fc.oneof(
    fc.constantFrom('model', 'id', 'user_id', 'x-model.name', '{}', 'A~'),
    fc.string({ minLength: 2, maxLength: 80, unit: fc.constantFrom(...' !#$&-.09:@AZ[]_az{}~'.split('')) }),
  )
  fc.assert(
    fc.property(name, fc.nat(15), fc.func(fc.nat()), fc.nat(300), (name, by, pick, length) => {
      const letter = (at: number) => name[pick(at) % name.length]!
      const parts = ['"', '\\', '\\u', '\\u00', 'u0', name, `"${name}`, `${name}"`, `"${name.slice(0, 3)}`, 'x'.repeat(20)]
      const part = (at: number) => {
        const kind = pick(at, 'kind') % 40
        if (kind === 0) return `"${name}"`
        if (kind === 1) return escaped(letter(at))
        return kind < 12 ? parts[kind - 2]! : `${letter(at)}${String(kind)}`
      }
      const text = Array.from({ length: length / 4 }, (_, at) => part(at)).join('')
      return mayHoldKey(aligned(text, by), 0, name) || !isIn(text, name)
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(name, fc.string({ unit: 'binary-ascii', maxLength: 300 }), fc.nat(300), (name, text, from) => {
      const body = JSON.stringify({ [name]: text })
      return mayHoldKey(Buffer.from(body), Math.min(from, 300), name) === isIn(body.slice(Math.min(from, 300)), name)
    }),
    { numRuns: 2000 },
  )
})

t.test('R12 what an earlier body left behind is not found, and what cannot be searched for is never ruled out', async (t) => {
  const long = Buffer.from(`${'x'.repeat(100)}"model"${'\\u006d'.repeat(1000)}`)
  for (let length = 90; length < 107; length++) {
    t.equal(mayHoldKey(long, 0, 'model'), true)
    t.equal(mayHoldKey(long.subarray(0, length), 0, 'model'), false, `${length}`)
  }
  t.equal(mayHoldKey(long, 90, 'model'), true)
  t.equal(mayHoldKey(long, long.length - 6, 'model'), true, 'an escape at the very end')
  t.equal(mayHoldKey(long, long.length, 'model'), false)
  for (const name of ['', 'a', 'mödel', '模型', 'a/b', 'a"b', 'a\\b', 'a\nb', 'a\x7fb'])
    t.equal(mayHoldKey(Buffer.from('xxxx'), 0, name), true, JSON.stringify(name))
})

t.test('R12 the last of two keys wins in large bodies, wherever and however it is spelt', async (t) => {
  const fillers = [
    'x',
    'a \\"word\\" and \\\\ ',
    '\\u00e9t\\u00e9 \\u4e2d \\u0430 ',
    '\\\\u006d',
    '<\\u003c\\u001b[1m',
    '","mode":"x","models":"',
  ]
  const spellings = ['"model"', '"mod\\u0065l"', '"\\u006D\\u006f\\u0064\\u0065\\u006c"', '"mode\\u006c" \n']
  for (const filler of fillers) {
    const text = filler.repeat(MIB / filler.length)
    const head = '{"model":"x","a":"'
    t.equal(jsonField(Buffer.from(`${head}${text}"}`), 'model'), 'x', filler)
    for (const spelling of spellings) {
      for (const cut of [0, PIECE - head.length - 5, PIECE, 5 * PIECE + 7, MIB]) {
        // Not within an escape.
        const at = cut - (cut % filler.length)
        const bytes = Buffer.from(`${head}${text.slice(0, at)}",${spelling}:"y","b":"${text.slice(at)}"}`)
        t.equal(jsonField(bytes, 'model'), 'y', `${spelling} at ${at} of ${filler}`)
      }
    }
    for (const nested of ['{"model":"y"}', '["model"]', '"\\"model\\""', '"\\u006dodel"'])
      t.equal(jsonField(Buffer.from(`${head}${text}","b":${nested}}`), 'model'), 'x', `${nested} behind ${filler}`)
  }
})

t.test('R12 it does without WebAssembly', async (t) => {
  const program = `
    const { mayHoldKey } = await import('./core/http/key-scan.ts')
    const { jsonField } = await import('./core/http/json-field.ts')
    const field = (text) => jsonField(Buffer.from(text), 'model')
    console.log(typeof WebAssembly, mayHoldKey(Buffer.from('xxxx'), 0, 'model'))
    console.log(field('{"model":"x","a":1}'), field('{"model":"x","mod\\\\u0065l":"y"}'))`
  const args = ['--jitless', '--no-warnings', '--import', 'tsx', '--input-type=module', '--eval', program]
  const printed = execFileSync(process.execPath, args, { cwd: ROOT, env: cleanEnv(), encoding: 'utf8', stdio: 'pipe' })
  t.equal(printed, 'undefined true\nx y\n')
})

t.test('the bytes of the search are those of its source', async (t) => {
  const run = () =>
    execFileSync(process.execPath, ['--import', 'tsx', 'scripts/generate-wasm.ts', '--check'], {
      cwd: ROOT,
      env: cleanEnv(),
      stdio: 'pipe',
    })
  t.doesNotThrow(run)
})
