import { type Alias, isAlias, isCollection, isMap, isPair, isScalar, isSeq, type LineCounter, type Node, type Pair } from 'yaml'
import type { Problem } from '../problem.ts'
import type { Path } from './check.ts'
import { listPlugins, type PluginEntry } from './plugin-list.ts'

/** Where to point at: the key, or what stands behind it. */
export type Spot = 'key' | 'value'

interface Found {
  readonly key: Node | undefined
  readonly value: Node | undefined
}

/** What was found wrong at one place when the file was read. */
export interface Noted {
  readonly path: Path
  readonly problem: Problem
}

interface Parts {
  readonly file: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly value: Readonly<Record<string, unknown>>
  readonly root: Node
  readonly targets: ReadonlyMap<Alias, Node>
  readonly lines: LineCounter
  readonly noted: readonly Noted[]
}

/** The text of a key as it appears in paths. */
export const keyText = (key: unknown): string =>
  isScalar<string | number | boolean | symbol | null>(key) ? String(key.value ?? '') : ''

/** A block begins lines below its key, at its first item; the key says better where it is. */
const isBlock = (node: unknown): boolean => isCollection(node) && !node.flow

export const isMergeKey = (key: unknown): boolean => isScalar(key) && (key.value === '<<' || typeof key.value === 'symbol')

/** A file that is well-formed YAML with every `${...}` replaced; it knows at which line each of its values stands. */
export class ConfigDocument {
  readonly file: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** What the file says. Values that came from `${...}` are `Substituted`; parts may be shared, so never change it. */
  readonly value: Readonly<Record<string, unknown>>
  /** False when `plugins.defaults: false` asks for nothing but what is listed. */
  readonly defaults: boolean
  /** What `plugins` lists, in the order of the file; names as written. */
  readonly pluginList: readonly PluginEntry[]
  readonly noted: readonly Noted[]
  readonly #root: Node
  readonly #targets: ReadonlyMap<Alias, Node>
  readonly #lines: LineCounter

  constructor({ file, env, value, root, targets, lines, noted }: Parts) {
    this.file = file
    this.env = env
    this.value = value
    const { defaults, list } = listPlugins(value.plugins)
    this.defaults = defaults
    this.pluginList = list
    this.noted = noted
    this.#root = root
    this.#targets = targets
    this.#lines = lines
  }

  /** A problem at a path of the file, or at the nearest thing around it that the file has. */
  problem(path: Path, message: string, spot: Spot = 'value'): Problem {
    return { file: this.file, ...this.#position(path, spot), path: path.join('.'), message }
  }

  #position(path: Path, spot: Spot): { line: number; column: number } | undefined {
    for (let length = path.length; length >= 0; length--) {
      const found = this.#find(path.slice(0, length))
      // What is missing is reported at the key of what should hold it.
      const atKey = spot === 'key' || length < path.length || isBlock(found?.value)
      const node = atKey ? (found?.key ?? found?.value) : (found?.value ?? found?.key)
      if (node?.range) {
        const { line, col } = this.#lines.linePos(node.range[0])
        return { line, column: col }
      }
    }
    return undefined
  }

  #find(path: Path): Found | undefined {
    let found: Found | undefined = { key: undefined, value: this.#root }
    for (const step of path) {
      found = found && this.#step(this.#target(found.value), String(step))
    }
    return found
  }

  #target(node: Node | undefined): Node | undefined {
    return isAlias(node) ? this.#targets.get(node) : node
  }

  #step(node: Node | undefined, step: string): Found | undefined {
    if (isSeq(node)) {
      const item = node.items[Number(step)]
      return item === undefined ? undefined : { key: undefined, value: item as Node }
    }
    if (!isMap(node)) return undefined
    const pairs = node.items as Pair<Node, Node | null>[]
    // Of two with one key the later one counts.
    const pair = pairs.findLast(({ key }) => keyText(key) === step)
    if (pair) return { key: pair.key, value: pair.value ?? undefined }
    for (const { key, value } of pairs) {
      const found = isMergeKey(key) ? this.#merged(value ?? undefined, step) : undefined
      if (found) return found
    }
    return undefined
  }

  #merged(node: Node | undefined, step: string): Found | undefined {
    const source = this.#target(node)
    const maps = isSeq(source) ? source.items : [source]
    for (const map of maps) {
      const found = this.#step(this.#target(map as Node), step)
      if (found) return found
    }
    return undefined
  }
}

/** The path of a node, from what encloses it. */
export function pathOf(ancestors: readonly unknown[], node: unknown): Path {
  const chain = [...ancestors, node]
  return chain.flatMap((item, index): Path => {
    if (isPair(item)) return [keyText(item.key)]
    const next = chain[index + 1]
    return isSeq(item) && next !== undefined ? [item.items.indexOf(next)] : []
  })
}

/** True when a mapping or list stands where only a plain word can be a key. */
export const isComplexKey = (key: unknown): boolean => isCollection(key) || isAlias(key)
