import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import t from 'tap'
import { words } from '../../cli/config-text.ts'
import { makeProgram } from '../../cli/program.ts'
import { documents, fencesOf, proseOf, ROOT } from '../helpers/markdown.ts'

interface Line {
  readonly place: string
  readonly text: string
}

/** Lines that are typed, in blocks and in sentences. */
function typedIn(file: string): Line[] {
  const shells = fencesOf(file).filter(({ lang }) => ['sh', 'console', 'bash'].includes(lang))
  const blocks = shells.flatMap(({ place, lang, text }) => {
    const lines = text.replaceAll('\\\n', ' ').split('\n')
    // In a session only what follows the prompt is typed.
    const typed = lang === 'console' ? lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2)) : lines
    return typed.map((line) => ({ place, text: line }))
  })
  const sentences = [...proseOf(file).matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => ({ place: file, text }))
  const helps = fencesOf(file)
    .filter(({ lang }) => lang === 'text')
    .flatMap(({ place, text }) => text.split('\n').map((line) => ({ place, text: line.trim() })))
    .filter(({ text }) => /^hestia [a-z]+ (?:-|<|[a-z]+ -)/.test(text) && !/ {2}/.test(text))
  return [...blocks, ...sentences, ...helps]
}

const HESTIA = /(?:^|[\s(;&|])(?:npx hestia|hestia|node (?:bin\/hestia\.js|dist\/hestia\.mjs))(?=$|[\s)])([^;&|)>\n]*)/g

/** The arguments of each `hestia` of a line. */
function hestiasOf(text: string): string[][] {
  // An image, or a container, of that name.
  if (text.startsWith('docker ')) return []
  const line = text.replace(/(?:^|\s)#.*$/, '').replaceAll(/<(\w+)>/g, '$1')
  return [...line.matchAll(HESTIA)].map(([, rest = '']) => words(rest))
}

/** Commands that only look at what they are told. */
function harmless(program: Command, seen: string[]): Command {
  program.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: () => undefined })
  if (program.commands.length > 0) for (const each of program.commands) harmless(each, seen)
  else
    program.action(() => {
      // As the default command it gets whatever is no command.
      if (program.name() === 'serve' && program.args.length > 0) throw new Error('there is no such command')
      seen.push(program.name())
    })
  return program
}

t.test('R30 every hestia command of the docs names a command and options that there are', async (t) => {
  const lines = documents().flatMap(typedIn)
  const found = lines.flatMap(({ place, text }) => hestiasOf(text).map((args) => ({ place, text, args })))
  t.ok(found.length >= 40, `${found.length} found`)
  for (const { place, text, args } of found) {
    const seen: string[] = []
    try {
      await harmless(makeProgram(), seen).parseAsync(args, { from: 'user' })
      t.equal(seen.length, 1, `${place}: ${text}`)
    } catch (error) {
      t.fail(`${place}: ${text}: ${(error as Error).message}`)
    }
  }
})

t.test('a command that is not there would be noticed', async (t) => {
  for (const line of [
    'hestia migrat x.yml',
    'npx hestia logs demo --fast',
    'X=$(hestia keys create --scope admin)',
    'hestia && hestia new thing x',
  ]) {
    const failures = hestiasOf(line).map((args) =>
      harmless(makeProgram(), [])
        .parseAsync(args, { from: 'user' })
        .then(
          () => false,
          () => true,
        ),
    )
    t.ok(failures.length > 0 && (await Promise.all(failures)).some(Boolean), line)
  }
})

t.test('every npm script of the docs is one', (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  for (const { place, text } of documents().flatMap(typedIn))
    for (const [, name] of text.matchAll(/\bnpm run ([\w:-]+)/g)) t.ok(Object.hasOwn(scripts, name!), `${place}: npm run ${name}`)
  t.end()
})
