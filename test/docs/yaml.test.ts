import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { check } from '../../core/check.ts'
import { formatProblem } from '../../core/problem.ts'
import { STANDARD_PLUGINS } from '../../schemas/standard-plugins.ts'
import { environmentFor, marked, SECRET } from '../helpers/editor.ts'
import { documents, type Fence, fencesOf } from '../helpers/markdown.ts'
import { sampleFile } from '../helpers/sample-code.ts'
import { completed, type KnownPlugins } from '../helpers/sample-config.ts'

const ALL = documents().flatMap(fencesOf)
const YAML = ALL.filter(({ lang }) => lang === 'yaml' || lang === 'yml')

/** What plugins want to be told at least. */
const OPTIONS: Readonly<Record<string, Record<string, unknown>>> = {
  semaphore: { base_url: 'http://192.168.1.8:3000', token: 'a-token', project: 1 },
}

async function knownPlugins(): Promise<KnownPlugins> {
  const { plugins } = await check('hestia_config.yml', {}, { shipped: true, text: 'services: {}' })
  const standard: ReadonlySet<string> = new Set(STANDARD_PLUGINS)
  const off = plugins.filter(({ name }) => !standard.has(name))
  const machineKeys = off.flatMap(({ name, machine }) =>
    Object.keys(machine?.properties ?? {}).map((key) => [key, name] as const),
  )
  return {
    sections: new Set(plugins.filter(({ service }) => service).map(({ name }) => name)),
    listed: Object.fromEntries(off.map(({ name }) => [name, OPTIONS[name] ?? {}])),
    machineKeys: new Map(machineKeys),
  }
}

/** Files of code that the same text shows before a sample. */
function codeBefore(sample: Fence): Map<string, string> {
  const before = ALL.slice(0, ALL.indexOf(sample)).filter(({ file, lang }) => file === sample.file && lang === 'ts')
  return new Map(before.flatMap(({ text }) => sampleFile(text) ?? []).map(({ path, text }) => [path, text]))
}

function textOf(sample: Fence, known: KnownPlugins): string | Error {
  try {
    return completed(sample.text, known)
  } catch (error) {
    return error as Error
  }
}

t.test('R17 every YAML block of the docs goes through loader and schema, as a configuration or a part of one', async (t) => {
  const known = await knownPlugins()
  const samples = YAML.filter(({ about }) => about === '')
  t.ok(samples.length >= 30, `${samples.length} found`)
  for (const [index, sample] of samples.entries()) {
    const completed = textOf(sample, known)
    if (completed instanceof Error) {
      t.fail(`${sample.place}: ${completed.message}`)
      continue
    }
    const dir = t.testdir()
    // Files with secrets, wherever the sample has them.
    const text = completed.replaceAll(/\$\{file:([^}]+)\}/g, (_all, path: string) => {
      const name = path.replaceAll(/[^\w.-]/g, '_')
      writeFileSync(join(dir, name), SECRET)
      return `\${file:${name}}`
    })
    const code = codeBefore(sample)
    for (const [path, lines] of code) {
      mkdirSync(join(dir, path, '..'), { recursive: true })
      writeFileSync(join(dir, path), lines)
    }
    const { problems } = await check(join(dir, `${index}.yml`), environmentFor(text), { text })
    t.strictSame(problems.map(formatProblem), [], sample.place)
    // The schema of the repository knows nothing of plugins and strategies that a text has just shown.
    if (code.size === 0) t.strictSame(marked(text), [], `${sample.place} in an editor`)
  }
})

function hasPromtool(): boolean {
  try {
    execFileSync('promtool', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** YAML for other programs says so behind its fence, and who reads it. */
const OTHERS: Readonly<Record<string, (t: Test, sample: Fence) => void>> = {
  'github-workflow': (t, { text, place }) => t.match(parse(text), [{ run: String }], place),
  'home-assistant': (t, { text, place }) => t.match(parse(text), { http: { trusted_proxies: Array } }, place),
  'prometheus-rules': (t, { text, place }) => {
    t.test(place, { skip: hasPromtool() ? false : 'promtool is not here' }, (t) => {
      const file = join(t.testdir({ 'rules.yml': text }), 'rules.yml')
      t.doesNotThrow(() => execFileSync('promtool', ['check', 'rules', file], { stdio: 'pipe' }))
      t.end()
    })
  },
}

t.test('YAML of the docs for other programs is what they take', (t) => {
  for (const sample of YAML.filter(({ about }) => about !== '')) {
    const test = Object.hasOwn(OTHERS, sample.about) ? OTHERS[sample.about] : undefined
    if (test) test(t, sample)
    else t.fail(`${sample.place}: nobody checks YAML of the kind "${sample.about}"`)
  }
  t.end()
})
