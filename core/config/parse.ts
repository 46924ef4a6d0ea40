import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from 'yaml'
import { messageOf } from '../errors.ts'
import { type Problem, ProblemError } from '../problem.ts'
import type { Path } from './check.ts'
import { ConfigDocument, isComplexKey, isMergeKey, keyText, type Noted, pathOf } from './document.ts'
import { type Lookup, Substituted, substitute } from './substitute.ts'

/** More uses of anchors than this (multiplied where they nest) are taken for an attack on memory. */
const MAX_ALIASES = 2_000

/** Takes what is found while the document is walked. */
interface Findings {
  /** What makes the rest unreadable. */
  readonly refuse: (offset: number, message: string) => void
  /** What is wrong at one place only, so that the rest can be checked all the same. */
  readonly note: (offset: number, message: string, path: Path) => void
  readonly lineOf: (offset: number) => number
}

const offsetOf = (node: unknown): number => (isNode(node) ? (node.range?.[0] ?? 0) : 0)

function resolveText(text: string, lookup: Lookup, refuse: (message: string) => void): string | Substituted {
  const { text: replaced, variables, files, problems } = substitute(text, lookup)
  for (const problem of problems) refuse(problem)
  const literal = variables.length === 0 && files.length === 0
  return literal ? replaced : new Substituted(replaced, { override: false, variables, files })
}

/** The pair above one that has the same key. */
function twinOf(pair: Pair, map: unknown): Pair | undefined {
  if (!isMap(map) || isMergeKey(pair.key)) return undefined
  const twin = map.items.find(({ key }) => keyText(key) === keyText(pair.key))
  return twin === pair ? undefined : twin
}

/**
 * Replaces every `${...}` in the values of a document, in place, and returns where its aliases lead. The walk is in
 * document order, so that an anchor means what it means at that place.
 */
function prepare(document: Document, lookup: Lookup, { refuse, note, lineOf }: Findings): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>()
  const targets = new Map<Alias, Node>()
  const follow = (alias: Alias, ancestors: readonly unknown[]): void => {
    const target = anchors.get(alias.source)
    if (target === undefined) refuse(offsetOf(alias), `there is no anchor "&${alias.source}" above this`)
    else if (ancestors.includes(target)) refuse(offsetOf(alias), `the anchor "&${alias.source}" contains itself`)
    else targets.set(alias, target)
  }
  visit(document, (key, node, ancestors) => {
    if (isPair(node) && isComplexKey(node.key)) {
      refuse(offsetOf(node.key), 'a key must be a plain word; put what holds braces or brackets in quotes')
      return visit.SKIP
    }
    const twin = isPair(node) ? twinOf(node, ancestors.at(-1)) : undefined
    if (isPair(node) && twin) {
      const message = `this key stands in line ${lineOf(offsetOf(twin.key))} already; rename one of the two, or take it out`
      note(offsetOf(node.key), message, pathOf(ancestors, node))
    }
    if (isPair(node) && keyText(node.key) === '__proto__') refuse(offsetOf(node.key), 'a key cannot be called "__proto__"')
    if (isAlias(node)) follow(node, ancestors)
    else if (isNode(node) && node.anchor) anchors.set(node.anchor, node)
    if (isScalar(node) && key !== 'key' && typeof node.value === 'string' && node.value.includes('${'))
      node.value = resolveText(node.value, lookup, (message) => note(offsetOf(node), message, pathOf(ancestors, node)))
    return undefined
  })
  return targets
}

function findShapeProblem(root: unknown): string | undefined {
  const empty = root === null || root === undefined || (isScalar(root) && root.value === null)
  if (empty) return 'the file is empty; one without services says "services: {}"'
  return isMap(root) ? undefined : 'expected a mapping at the top: "server:", "plugins:", "services:" and so on'
}

/** What follows a syntax error on its line are mostly its echoes. */
function firstOfEachLine<E extends { readonly pos: readonly [number, number] }>(errors: readonly E[], lines: LineCounter): E[] {
  const seen = new Set<number>()
  return errors.filter(({ pos }) => {
    const { line } = lines.linePos(pos[0])
    return !seen.has(line) && seen.add(line)
  })
}

function hintAt(text: string, offset: number): string {
  const [line = ''] = text.slice(text.lastIndexOf('\n', offset - 1) + 1).split('\n', 1)
  return line.includes('${') ? '; inside of { } and [ ] put references with "${" in quotes' : ''
}

/**
 * Reads a file's text: YAML 1.2 with merge keys (`<<`), every `${...}` replaced; knows nothing of what the keys mean.
 * What is wrong at one place only (`${...}` of what isn't there, a key twice) the document keeps, to be told with the rest.
 * @param file as it is to appear in messages; `${file:...}` is relative to its folder.
 * @throws {ProblemError} with everything that was found, when it cannot be read. An empty file is refused, so that one which is
 *   just being written doesn't take all services away.
 */
export function parseConfig(file: string, text: string, env: Readonly<Record<string, string | undefined>>): ConfigDocument {
  const lines = new LineCounter()
  const problems: Problem[] = []
  const noted: Noted[] = []
  const place = (offset: number) => {
    const { line, col: column } = lines.linePos(offset)
    return { file, line, column }
  }
  const refuse: Findings['refuse'] = (offset, message) => problems.push({ ...place(offset), message })
  const note: Findings['note'] = (offset, message, path) =>
    noted.push({ path, problem: { ...place(offset), path: path.join('.'), message } })
  const end = (): void => {
    if (problems.length > 0) throw new ProblemError([...problems, ...noted.map(({ problem }) => problem)])
  }
  const options = { lineCounter: lines, uniqueKeys: false, prettyErrors: false, merge: true, resolveKnownTags: false }
  const document = parseDocument(text, options)
  for (const { pos, message } of firstOfEachLine([...document.errors, ...document.warnings], lines)) {
    refuse(pos[0], `${message}${hintAt(text, pos[0])}`)
  }
  end()
  const shape = findShapeProblem(document.contents)
  if (shape !== undefined) refuse(0, shape)
  end()
  const lookup = {
    variable: (name: string) => env[name],
    file: (path: string) => readFileSync(resolve(dirname(file), path), 'utf8'),
  }
  const targets = prepare(document, lookup, { refuse, note, lineOf: (offset) => lines.linePos(offset).line })
  end()
  try {
    const value = document.toJS({ maxAliasCount: MAX_ALIASES }) as Record<string, unknown>
    return new ConfigDocument({ file, env, value, root: document.contents as Node, targets, lines, noted })
  } catch (error) {
    throw new ProblemError([{ file, message: `the anchors of the file cannot be resolved: ${messageOf(error)}` }], error)
  }
}
