import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from 'yaml'
import { type Problem, ProblemError } from '../../core/problem.ts'

/** Anchors that nest may multiply; a file of a person uses fewer. */
const MAX_ALIASES = 2_000

export interface OldFile {
  readonly document: Document
  readonly lines: LineCounter
}

export type OldPair = Pair<Node, Node | null>

/** The text of a key. */
export const keyOf = ({ key }: OldPair): string => (isScalar(key) ? String(key.value) : '')

const isMerge = (pair: OldPair): boolean => isScalar(pair.key) && (pair.key.value === '<<' || typeof pair.key.value === 'symbol')

/**
 * Reads a file of the Python Hestia: YAML 1.1, in which `yes` and `on` are true. Anchors and merge keys are replaced by what they
 * stand for, as sections could not be merged key by key.
 * @throws {ProblemError} when it is no such file.
 */
export function readOldFile(file: string, text: string): OldFile {
  const lines = new LineCounter()
  const document: Document = parseDocument(text, { version: '1.1', merge: true, lineCounter: lines, prettyErrors: false })
  const problems = document.errors.map(({ pos, message }): Problem => {
    const { line, col } = lines.linePos(pos[0])
    return { file, line, column: col, message }
  })
  if (problems.length > 0) throw new ProblemError(problems)
  if (!isMap(document.contents)) throw new ProblemError([{ file, message: 'expected a mapping at the top, with "services:"' }])
  try {
    document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch (error) {
    throw new ProblemError([{ file, message: `its anchors cannot be resolved: ${(error as Error).message}` }], error)
  }
  visit(document, { Alias: (_key, alias) => alias.resolve(document)?.clone() as Node | undefined })
  visit(document, (_key, node) => {
    if (isNode(node) && !isAlias(node)) delete node.anchor
  })
  expandMerges(document.contents)
  return { document, lines }
}

function expandMerges(node: unknown): void {
  if (isSeq(node)) for (const item of node.items) expandMerges(item)
  if (!isMap(node)) return
  const pairs = node.items as OldPair[]
  for (const { value } of pairs) expandMerges(value)
  const own = pairs.filter((pair) => !isMerge(pair))
  const known = new Set(own.map(keyOf))
  const merged = pairs.filter(isMerge).flatMap(({ value }) => (isSeq(value) ? value.items : [value]))
  const added = merged.flatMap((source) => (isMap(source) ? (source.items as OldPair[]) : []))
  for (const pair of added) {
    if (known.has(keyOf(pair))) continue
    known.add(keyOf(pair))
    own.push(pair.clone())
  }
  node.items = own
}
