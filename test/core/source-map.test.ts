import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { join } from 'node:path'
import { build } from 'esbuild'
import t from 'tap'
import { CompactMap } from '../../core/source-map.ts'

t.test('a compact map finds what Node finds, at every place of the code', async (t) => {
  const out = t.testdir({})
  await build({
    entryPoints: [join(import.meta.dirname, '../../core/config/index.ts')],
    outfile: join(out, 'out.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    minifySyntax: true,
    sourcemap: 'external',
  })
  const text = readFileSync(join(out, 'out.mjs.map'), 'utf8')
  const [compact, known] = [new CompactMap(text), new SourceMap(JSON.parse(text))]
  const lines = readFileSync(join(out, 'out.mjs'), 'utf8').split('\n')
  let places = 0
  const differ: unknown[] = []
  for (const [line, { length }] of lines.entries()) {
    for (let column = 0; column < length; column++) {
      const entry = known.findEntry(line, column)
      const wanted =
        'originalSource' in entry && entry.originalSource !== undefined
          ? { source: entry.originalSource, line: entry.originalLine, column: entry.originalColumn }
          : undefined
      places++
      if (JSON.stringify(compact.find(line, column)) !== JSON.stringify(wanted)) differ.push([line, column, wanted])
    }
  }
  t.ok(places > 100_000, `${places} places`)
  t.strictSame(differ, [])
  t.equal(compact.find(0, 0), undefined, 'before the first entry')
})
