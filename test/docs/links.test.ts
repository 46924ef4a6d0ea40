import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { ERRORS } from '../../core/errors.ts'
import { documents, proseOf, ROOT } from '../helpers/markdown.ts'

/** The anchors of a text, as GitHub makes them of its headings. */
function anchorsOf(file: string): Set<string> {
  const headings = [...proseOf(file).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => heading)
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  )
}

t.test('every link of the docs leads to a file and a heading that there are', (t) => {
  for (const file of documents()) {
    for (const [, target = ''] of proseOf(file).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [path = '', anchor] = target.split('#')
      const full = path === '' ? file : join(dirname(file), path)
      t.ok(existsSync(join(ROOT, full)), `${file}: ${target}`)
      if (anchor !== undefined && full.endsWith('.md')) t.ok(anchorsOf(full).has(anchor), `${file}: ${target}`)
    }
  }
  t.end()
})

t.test('every page of docs/ is found from the README', (t) => {
  const reached = new Set(['README.md'])
  for (const file of reached) {
    for (const [, target = ''] of proseOf(file).matchAll(/\]\((?!https?:)([^)\s#]+)[^)]*\)/g)) {
      const full = join(dirname(file), target)
      if (full.endsWith('.md') && existsSync(join(ROOT, full))) reached.add(full)
    }
  }
  for (const file of documents().filter((each) => each.startsWith('docs/'))) t.ok(reached.has(file), file)
  t.end()
})

t.test('R5 R13 every error that a client may get has its line in the troubleshooting', (t) => {
  const text = proseOf('docs/troubleshooting.md')
  for (const code of Object.keys(ERRORS)) t.ok(text.includes(`\`${code}\``), code)
  t.end()
})
