import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { check } from '../../core/check.ts'
import { formatProblem } from '../../core/problem.ts'
import { documents, type Fence, fencesOf, ROOT } from '../helpers/markdown.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { sampleFile } from '../helpers/sample-code.ts'

const ALL = documents().flatMap(fencesOf)
const CODE = ALL.filter(({ lang }) => lang === 'ts')

t.test('R14 R15 every plugin and strategy of the docs is loaded as any other', async (t) => {
  const files = CODE.flatMap(({ place, text }) => {
    const file = sampleFile(text)
    return file ? [{ place, ...file }] : []
  })
  t.ok(files.length >= 7, `${files.length} found`)
  for (const { place, path, text } of files) {
    const dir = t.testdir({ [dirname(path)]: { [path.split('/')[1]!]: text } })
    const name = /\bname: '([\w-]+)'/.exec(text)![1]!
    const isPlugin = path.startsWith('plugins/')
    const config = stringify({ plugins: isPlugin ? { [name]: {} } : {}, services: {} })
    const { problems, on, strategies } = await check(join(dir, 'hestia_config.yml'), {}, { text: config })
    t.strictSame(problems.map(formatProblem), [], place)
    t.ok(isPlugin ? on.includes(name) : strategies.some((strategy) => strategy.name === name), `${place} is ${path}`)
  }
})

/** What a piece of code finds around it: it stands in the set-up of a plugin, or in one of its handlers. */
const AROUND = `
declare const handler: () => Promise<{ tea: boolean }>
declare const url: string
declare const request: import('fastify').FastifyRequest & import('hestia').RequestView
`

const IMPORT = /^import .*\n/gm

/** A sample as a module of its own. */
function moduleOf({ text }: Fence): string {
  if (sampleFile(text)) return text
  if (/^interface /m.test(text)) return declarationsOf(text)
  const imports = (text.match(IMPORT) ?? []).join('')
  return `${imports}${AROUND}export const sample = async (app: import('fastify').FastifyInstance): Promise<void> => {\n${text.replaceAll(IMPORT, '')}}\n`
}

/** Types that are told must be those that there are: what Hestia hands out has all of it. */
function declarationsOf(text: string): string {
  const names = [...text.matchAll(/^interface (\w+)(<\w+>)?/gm)]
  const claims = names
    .filter(([, name]) => name !== 'Strategy')
    .map(
      ([, name, generic]) =>
        `export const ${name}Of = (real: hestia.${name}${generic ? '<never>' : ''}): ${name}${generic ? '<never>' : ''} => real\n`,
    )
  return `import type { IncomingHttpHeaders } from 'node:http'\nimport type * as hestia from 'hestia'\nimport type { TObject } from 'hestia'\n${text}${claims.join('')}export type { Strategy }\n`
}

t.test('the code of the docs has the right types', (t) => {
  const dir = t.testdir()
  const from = (path: string): string => relative(dir, join(ROOT, path))
  const compilerOptions = {
    target: 'ES2023',
    module: 'nodenext',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    typeRoots: [from('node_modules/@types')],
    types: ['node'],
    paths: { hestia: [from('core/index.ts')], fastify: [from('node_modules/fastify')] },
  }
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['**/*.ts'] }))
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
  for (const sample of CODE) {
    const folder = join(dir, sample.place.replaceAll(/[^\w]/g, '_'))
    mkdirSync(folder)
    writeFileSync(join(folder, 'sample.ts'), moduleOf(sample))
  }
  const [env, ...args] = plainNode(join(ROOT, 'node_modules', 'typescript-7', 'bin', 'tsc'), '-p', dir)
  try {
    execFileSync(env!, args, { stdio: 'pipe', encoding: 'utf8' })
  } catch (error) {
    t.fail((error as { stdout: string }).stdout.replaceAll(`${relative(process.cwd(), dir)}/`, ''))
  }
  t.end()
})

t.test('the JSON of the docs is JSON', (t) => {
  const samples = ALL.filter(({ lang }) => lang === 'json')
  t.ok(samples.length >= 3)
  for (const { place, text } of samples) {
    // One value, or one on each line.
    const values = text.trim().split(/\n(?=[{[])/)
    for (const value of values) t.doesNotThrow(() => JSON.parse(value) as unknown, place)
  }
  t.end()
})
