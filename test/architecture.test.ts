import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { cleanEnv } from './helpers/child-gateway.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.ts') && statSync(join(ROOT, path)).isFile())
}

/** What a file imports: paths from the project's root, or ids of packages. */
function imports(path: string): string[] {
  const text = readFileSync(join(ROOT, path), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  const ids = [...text.matchAll(/^(?:import|export)\b[^'"]*?from\s+'([^']+)'|\bimport\('([^']+)'\)/gm)].map(
    ([, a, b]) => (a ?? b)!,
  )
  return ids.map((id) => (id.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(path), id)) : id))
}

t.test('the core imports neither plugins nor strategies, and no file of it has more than 300 lines', async (t) => {
  for (const path of sources('core')) {
    for (const id of imports(path)) t.notMatch(id, /^(plugins|strategies|test|scripts|examples)\//, `${path} imports ${id}`)
    const lines = readFileSync(join(ROOT, path), 'utf8').trimEnd().split('\n').length
    t.ok(lines <= 300, `${path} has ${lines} lines`)
  }
})

t.test('a plugin imports from hestia, schemas, packages and its own folder only', async (t) => {
  for (const path of sources('plugins')) {
    const [, folder] = path.split('/')
    for (const id of imports(path)) {
      const isOwn = id.startsWith(`plugins/${folder}/`) && !folder!.endsWith('.ts')
      const isPackage = !/^(core|plugins|strategies|schemas|test|scripts)\//.test(id)
      t.ok(isOwn || isPackage || id.startsWith('schemas/'), `${path} imports ${id}`)
    }
  }
})

t.test('schemas import nothing but schemas, strategies nothing but hestia', async (t) => {
  for (const path of sources('schemas'))
    for (const id of imports(path)) t.match(id, /^(schemas\/|@sinclair\/typebox)/, `${path} imports ${id}`)
  for (const path of sources('strategies'))
    for (const id of imports(path)) t.match(id, /^(hestia$|node:)/, `${path} imports ${id}`)
})

t.test('the command imports the core, schemas and packages, never a plugin', async (t) => {
  for (const path of sources('cli'))
    for (const id of imports(path)) t.notMatch(id, /^(plugins|strategies|test|scripts|bench)\//, `${path} imports ${id}`)
  for (const path of sources('core')) for (const id of imports(path)) t.notMatch(id, /^cli\//, `${path} imports ${id}`)
})

t.test('nothing in the core imports in a circle', async (t) => {
  const graph = new Map(sources('core').map((path) => [path, imports(path).filter((id) => id.startsWith('core/'))]))
  const done = new Set<string>()
  const visit = (path: string, above: readonly string[]): void => {
    if (above.includes(path)) t.fail(`a circle: ${[...above.slice(above.indexOf(path)), path].join(' -> ')}`)
    if (done.has(path) || above.includes(path)) return
    for (const next of graph.get(path) ?? []) visit(next, [...above, path])
    done.add(path)
  }
  for (const path of graph.keys()) visit(path, [])
  t.equal(done.size, graph.size)
})

t.test('the generated tables of docs/ are those of the schemas', async (t) => {
  const run = () =>
    execFileSync(process.execPath, ['--import', 'tsx', 'scripts/generate-docs.ts', '--check'], {
      cwd: ROOT,
      env: cleanEnv(),
      stdio: 'pipe',
    })
  t.doesNotThrow(run)
})
