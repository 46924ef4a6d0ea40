import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import * as typebox from '@sinclair/typebox'
import * as fastifyPlugin from 'fastify-plugin'
import t, { type Test } from 'tap'
import { ModuleLoader } from '../../../core/files/loader.ts'
import * as problem from '../../../core/problem.ts'
import { ProblemError } from '../../../core/problem.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const shared = new Map<string, object>([
  ['hestia', problem],
  ['@sinclair/typebox', typebox],
  ['fastify-plugin', fastifyPlugin],
])

function setup(t: Test, files: Record<string, unknown>) {
  const dir = t.testdir(files as never)
  const loader = new ModuleLoader({ shared, root, displayPath: (file) => relative(dir, file) })
  t.teardown(() => loader.close())
  const save = (name: string, content: string) => {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), content)
  }
  const load = (name: string) => {
    loader.invalidate()
    return loader.load(join(dir, name))
  }
  const failure = (name: string) =>
    load(name).then(
      () => t.fail('should have been refused') as never,
      (error: unknown) => (error instanceof ProblemError ? error.problems : Promise.reject(error)),
    )
  return { dir, loader, save, load, failure }
}

interface Exported extends Record<string, unknown> {
  helper(x: number): number
  dynamic(): Promise<[typeof problem, { parse: unknown }, { cpus: unknown }, { lazy: boolean }]>
}

t.test('R14 a file is loaded with its helpers, the running core and npm packages', async (t) => {
  const { dir, load, failure } = setup(t, {
    'a.ts': `import { ProblemError, type Problem } from 'hestia'
import fp, { fastifyPlugin } from 'fastify-plugin'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { parse } from 'yaml'
import fastify from 'fastify'
import assert, { equal } from 'node:assert'
import * as path from 'path'
import data from './lib/data.json' with { type: 'json' }
import type { Config } from '${join(root, 'core/config/index.ts')}'
import { where, helper } from './lib/helper.ts'
export const config = undefined as Config | undefined
const problem: Problem = { file: 'x', message: 'y' }
enum Kind { A = 'a' }
export default {
  error: new ProblemError([problem]), fp, fastifyPlugin, Type, data, helper, where, kind: Kind.A,
  valid: Value.Check(Type.Object({ a: Type.Number() }), { a: 1 }), yaml: parse('a: 1'), app: typeof fastify,
  assert: assert.equal === equal, join: path.join,
  meta: [import.meta.url, import.meta.dirname, import.meta.filename],
  dynamic: () => Promise.all([import('hestia'), import('yaml'), import('node:os'), import('./lib/lazy.ts')]),
}
`,
    'package.json': '{ "type": "module" }',
    lib: {
      'data.json': '{ "answer": 42 }',
      'helper.ts': `export const where = [import.meta.url, import.meta.dirname, import.meta.filename]
export const helper = (x: number): number => x + 1`,
      'lazy.ts': 'export const lazy = true',
    },
  })
  const { exported, inputs, file } = await load('a.ts')
  const a = exported as Exported
  t.ok(a.error instanceof ProblemError, 'the very class of the running core')
  t.equal(a.fp, fastifyPlugin.default, 'a default import of a shared package')
  t.equal(a.fastifyPlugin, fastifyPlugin.fastifyPlugin)
  t.equal(a.Type, typebox.Type)
  t.same(
    [a.data, a.helper(1), a.kind, a.valid, a.yaml, a.app, a.assert],
    [{ answer: 42 }, 2, 'a', true, { a: 1 }, 'function', true],
  )
  t.equal(a.join, join)
  const meta = (name: string) => [pathToFileURL(join(dir, name)).href, dirname(join(dir, name)), join(dir, name)]
  t.same(a.meta, meta('a.ts'))
  t.same(a.where, meta('lib/helper.ts'), 'import.meta is that of each source file')
  const [hestia, yaml, os, lazy] = await a.dynamic()
  t.equal(hestia.ProblemError, ProblemError)
  t.type(yaml.parse, 'function')
  t.type(os.cpus, 'function')
  t.ok(lazy.lazy)
  t.equal(file, join(dir, 'a.ts'))
  t.same(
    inputs.map((input) => relative(dir, input)),
    ['a.ts', 'lib/data.json', 'lib/helper.ts', 'lib/lazy.ts'],
  )
  t.match(await failure('b.ts'), [{ file: 'b.ts', message: /ENOENT/ }])
})

t.test('R14 packages: those beside the file first, then those of Hestia, ESM and CJS', async (t) => {
  const { loader, load, failure } = setup(t, {
    'a.ts': `import esm, { named } from 'esm-only'
import cjs from 'cjs'
import { version } from 'yaml'
export default { esm, named, cjs, version, late: () => import('esm-only') }`,
    'typo.ts': "import { Typo } from 'hestia'\nexport default Typo",
    'broken.ts': "\n import 'throws'",
    'old.cjs': "const { named } = require('cjs')\nmodule.exports = { named, hestia: require('hestia'), os: require('node:os') }",
    'optional.ts': "export default async () => { try { return await import('not-there') } catch { return 'absent' } }",
    node_modules: {
      'esm-only': {
        'package.json': '{ "type": "module", "exports": { "import": "./i.js" } }',
        'i.js': 'export default "d"; export const named = await Promise.resolve("n")',
      },
      cjs: { 'index.js': 'exports.named = 2' },
      throws: { 'index.js': 'throw new Error("broken package")' },
      yaml: { 'index.js': 'exports.version = "mine"' },
    },
  })
  const a = (await load('a.ts')).exported as { late: () => Promise<object> }
  t.match(a, { esm: 'd', named: 'n', cjs: { named: 2 }, version: 'mine' })
  t.match(await a.late(), { default: 'd' })
  t.match(await failure('typo.ts'), [{ file: 'typo.ts', line: 1, column: 10, message: /Typo/ }])
  t.match(await failure('broken.ts'), [
    { file: 'broken.ts', line: 2, column: 9, message: /could not load "throws": broken package/ },
  ])
  t.match((await load('old.cjs')).exported, { named: 2, hestia: problem, os: { cpus: Function } })
  const far = mkdtempSync(join(tmpdir(), 'hestia-'))
  t.teardown(() => rmSync(far, { recursive: true }))
  writeFileSync(
    join(far, 'a.ts'),
    "import { ProblemError } from 'hestia'\nimport { parse } from 'yaml'\nexport default { ProblemError, parse }",
  )
  t.match((await loader.load(join(far, 'a.ts'))).exported, { ProblemError, parse: Function }, 'a folder with nothing installed')
  t.equal(await ((await load('optional.ts')).exported as () => Promise<string>)(), 'absent')
})

t.test('R16 mistakes are refused with file, line and column', async (t) => {
  const { failure, load, save } = setup(t, {
    'syntax.ts': 'const a = 1\nconst b = { c: (1 }\nexport default b',
    'unicode.ts': "const é = 'ééé'; const b = )",
    'relative.ts': "\nimport { x } from './lib/none.ts'\nexport default x",
    'package.ts': "import x from 'no-such-package-here'\nexport default x",
    'core.ts': `import { formatProblem } from '${join(root, 'core/problem.ts')}'\nexport default formatProblem`,
    'await.ts': 'const a = await Promise.resolve(1)\nexport default a',
    'throws.ts': "import { f } from './lib/thrower.ts'\nexport default f(1)",
    'throws-here.ts': '\nexport default null.x',
    'throws-text.ts': "throw 'text'",
    'imports-broken.ts': "import './lib/broken.ts'",
    'text.ts': "import x from './lib/x.txt'\nexport default x",
    'two.ts': "import './lib/none.ts'\nimport './lib/nine.ts'",
    lib: {
      'thrower.ts':
        'interface Gone {\n  a: string\n}\nexport const f = (x: number): Gone => {\n  throw new RangeError("no " + x)\n}',
      'broken.ts': '\n\nexport const = 1',
      'x.txt': 'text',
    },
  })
  t.match(await failure('syntax.ts'), [{ file: 'syntax.ts', line: 2, column: 19, message: 'Expected ")" but found "}"' }])
  t.match(await failure('unicode.ts'), [{ line: 1, column: 28 }])
  t.match(await failure('relative.ts'), [
    { file: 'relative.ts', line: 2, column: 19, message: /could not resolve "\.\/lib\/none\.ts"/ },
  ])
  t.match(await failure('package.ts'), [{ line: 1, column: 15, message: /could not resolve "no-such-package-here": install/ }])
  t.match(await failure('core.ts'), [{ line: 1, column: 31, message: /import from 'hestia' instead/ }])
  t.match(await failure('await.ts'), [{ file: 'await.ts', line: 1, column: 11, message: /top-level await/ }])
  t.match(await failure('throws.ts'), [{ file: 'lib/thrower.ts', line: 5, column: 9, message: /RangeError: no 1/ }])
  t.match(await failure('throws-here.ts'), [{ file: 'throws-here.ts', line: 2, column: 21, message: /TypeError/ }])
  t.match(await failure('throws-text.ts'), [{ file: 'throws-text.ts', message: /text/ }])
  t.match(await failure('imports-broken.ts'), [{ file: 'lib/broken.ts', line: 3, column: 14 }])
  t.match(await failure('text.ts'), [{ file: 'text.ts', line: 1, message: /only .ts .* files can be imported/ }])
  t.equal((await failure('two.ts')).length, 2, 'all at once')
  save('lib/none.ts', 'export const x = 5')
  t.equal((await load('relative.ts')).exported, 5, 'a helper that appears is found')
})

t.test('an unchanged closure is the same object and is not evaluated again', async (t) => {
  const { dir, loader, load, save, failure } = setup(t, {
    'a.ts': "import { x } from './lib/x.ts'\nglobalThis.loads = (globalThis.loads ?? 0) + 1\nexport default { x }",
    lib: { 'x.ts': 'export const x = 1' },
  })
  const state = globalThis as { loads?: number }
  t.teardown(() => delete state.loads)
  const [first, same, again] = await Promise.all([load('a.ts'), load('a.ts'), load('a.ts')])
  t.equal(first, same)
  t.equal(first, again)
  t.equal(await load('a.ts'), first)
  t.equal(state.loads, 1)

  save('lib/x.ts', 'export const x = 2')
  const second = await load('a.ts')
  t.same(second.exported, { x: 2 }, 'a helper is refreshed')
  t.not(second.version, first.version)
  t.equal(state.loads, 2)

  save('lib/x.ts', 'export const x = ')
  await failure('a.ts')
  t.same(
    [...loader.read(join(dir, 'a.ts')).keys()].toSorted(),
    [join(dir, 'a.ts'), join(dir, 'lib/x.ts')],
    'what a failure read is known',
  )
  save('lib/x.ts', 'export const x = 2')
  t.equal(await load('a.ts'), second, 'broken and repaired to what it was: the former object')

  rmSync(join(dir, 'lib/x.ts'))
  await failure('a.ts')
  t.match(loader.read(join(dir, 'a.ts')), new Map([[join(dir, 'lib/x.ts'), undefined]]), 'what is missing is known, too')
  save('lib/x.ts', 'export const x = 1')
  const third = await load('a.ts')
  t.equal(third.version, first.version, 'the same content is the same version')
  t.same(third.exported, { x: 1 })
})

t.test('R16 a load never answers with less than what was saved before it was called', async (t) => {
  const { load, save } = setup(t, { 'a.ts': 'export default 0' })
  const loads: Promise<unknown>[] = []
  const delays = [0, 1, 2, 3, 5, 8]
  for (let version = 1; version <= 60; version++) {
    save('a.ts', `export default ${version}`)
    loads.push(load('a.ts').then(({ exported }) => t.ok((exported as number) >= version, `${version}: ${String(exported)}`)))
    await new Promise((resolve) => setTimeout(resolve, delays[version % delays.length]))
  }
  await Promise.all(loads)
  t.equal((await load('a.ts')).exported, 60)
})

t.test('links: a ConfigMap-like folder keeps its names', async (t) => {
  const { dir, load } = setup(t, {
    '..one': { 'a.ts': "import { x } from './x.ts'\nexport default x", 'x.ts': 'export const x = 1' },
    '..two': { 'a.ts': "import { x } from './x.ts'\nexport default x", 'x.ts': 'export const x = 2' },
  })
  symlinkSync('..one', join(dir, '..data'))
  for (const name of ['a.ts', 'x.ts']) symlinkSync(`..data/${name}`, join(dir, name))
  const one = await load('a.ts')
  t.same(
    one.inputs.map((input) => relative(dir, input)),
    ['a.ts', 'x.ts'],
  )
  symlinkSync('..two', join(dir, '..tmp'))
  renameSync(join(dir, '..tmp'), join(dir, '..data'))
  t.equal((await load('a.ts')).exported, 2)
})

t.test('errors thrown later have the lines of the source', async (t) => {
  const { load } = setup(t, {
    'a.ts': 'interface A {\n  b: string\n}\nexport default (a?: A) => {\n  throw new Error("later " + a?.b)\n}',
  })
  const { exported } = await load('a.ts')
  try {
    ;(exported as () => void)()
    t.fail('it throws')
  } catch (error) {
    t.match((error as Error).stack, /a\.ts:5:9/)
  }
})

const inChild = promisify(execFile)
const loaderUrl = pathToFileURL(join(root, 'core/files/loader.ts')).href
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

t.test('R16 replaced code is forgotten, and nothing keeps the process alive', async (t) => {
  const dir = t.testdir({
    'run.mjs': `import { writeFileSync } from 'node:fs'
import { ModuleLoader } from '${loaderUrl}'
const loader = new ModuleLoader({ shared: new Map(), root: ${JSON.stringify(root)} })
const loads = Number(process.argv[2])
const size = () => { gc(); gc(); return process.memoryUsage().heapUsed }
let start
for (let n = 0; n < loads; n++) {
  if (n === Math.floor(loads / 3)) start = size()
  writeFileSync('helper.ts', 'export const table = ' + JSON.stringify(Array.from({ length: 500 }, (_, i) => 'row ' + n + ' ' + i)))
  writeFileSync('a.ts', 'import { table } from "./helper.ts"\\nexport default () => table[' + n + ' % 500]')
  loader.invalidate()
  const { exported } = await loader.load('a.ts')
  if (exported() !== 'row ' + n + ' ' + (n % 500)) throw new Error('stale')
}
console.log((size() - start) / (loads - Math.floor(loads / 3)))
if (process.argv[3] !== 'open') await loader.close()
`,
  })
  const run = async (...args: string[]) =>
    (
      await inChild(process.execPath, ['--expose-gc', '--import', tsx, 'run.mjs', ...args], {
        cwd: dir,
        env: { PATH: process.env.PATH },
        timeout: 60_000,
      })
    ).stdout
  const growth = Number(await run('300'))
  t.comment(`heap per load: ${Math.round(growth)} bytes`)
  t.ok(growth < 4_000, `a version has 10 kB; ${growth} bytes were kept of each`)
  await run('1', 'open')
  t.pass('a loader that was never closed does not keep the process alive either')
})

t.test('R16: without being told of a change a module is not looked at again; told of one, only what it concerns', async (t) => {
  const { dir, loader, save } = setup(t, {
    'a.ts': `import { word } from './word.ts'\nexport default { word }`,
    'b.ts': 'export default { word: 0 }',
    'word.ts': 'export const word = 1',
  })
  const load = async (name: string) => (await loader.load(join(dir, name))).exported as { word: number }
  const [a, b] = [await load('a.ts'), await load('b.ts')]
  save('word.ts', 'export const word = 2')
  save('b.ts', 'export default { word: 3 }')
  t.equal(await load('a.ts'), a)
  loader.invalidate(new Set([join(dir, 'word.ts')]))
  t.equal((await load('a.ts')).word, 2)
  t.equal(await load('b.ts'), b)
  loader.invalidate()
  t.equal((await load('b.ts')).word, 3)
})
