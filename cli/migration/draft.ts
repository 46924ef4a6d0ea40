import { Document, isMap, isNode, type Node, Pair, Scalar, YAMLMap } from 'yaml'
import { keyOf, type OldPair } from './old-file.ts'
import type { Remarks } from './remarks.ts'

const SECRET = /password|secret|token|api_?key|^key$/i

const joined = (...parts: readonly (string | null | undefined)[]): string | null => parts.filter(Boolean).join('\n') || null

const nodeOf = (value: unknown): Node => (isNode(value) ? value : (new Document(value).contents as Node))

/** A mapping of the new file, put together from pairs of the old one, with the comments that stood there. */
export class Draft {
  readonly #map: YAMLMap
  readonly #path: readonly (string | number)[]
  readonly #remarks: Remarks
  /** Lines for the next key. */
  #waiting: string[] = []

  /**
   * @param old whose place it takes
   * @param map to go on with
   */
  constructor(path: readonly (string | number)[], remarks: Remarks, old?: Node | null, map = new YAMLMap()) {
    this.#map = map
    this.#path = path
    this.#remarks = remarks
    if (old?.commentBefore) map.commentBefore = old.commentBefore
    if (old?.comment) map.comment = old.comment
  }

  get isEmpty(): boolean {
    return this.#map.items.length === 0
  }

  has(target: readonly string[]): boolean {
    return this.#map.hasIn(target)
  }

  /** Sets a value, and makes the sections on the way; comments of the pair that it comes from go with it. */
  put(target: readonly string[], value: unknown, from?: OldPair): void {
    if (this.has(target)) {
      if (from) this.leave(from, `"${target.join('.')}" is set already`)
      return
    }
    const [first, ...inner] = target
    const own = from?.key.commentBefore
    const section = this.#map.get(first)
    if (inner.length > 0 && isMap(section)) {
      new Draft([], this.#remarks, null, section).put(inner, value, from)
      return
    }
    const key = new Scalar(first)
    if (from?.key.spaceBefore) key.spaceBefore = true
    key.commentBefore = joined(...this.#waiting, inner.length === 0 ? own : undefined)
    this.#waiting = []
    this.#map.delete(first)
    this.#map.add(new Pair(key, inner.length === 0 ? nodeOf(value) : this.#section(inner, value, own)))
  }

  #section(inner: readonly string[], value: unknown, comment: string | null | undefined): YAMLMap {
    const section = new Draft([], this.#remarks)
    if (comment) section.#waiting.push(comment)
    section.put(inner, value)
    return section.finish()
  }

  /** Says something about a pair, whatever becomes of it. */
  remark(pair: OldPair, message: string, within: readonly string[] = []): void {
    this.#remarks.add(pair.key, [...this.#path, ...within, keyOf(pair)], message)
  }

  /**
   * Keeps a pair as a comment, with the reason; what may be a secret is not copied.
   * @param within where the pair stood, below the mapping that this takes the place of
   */
  leave(pair: OldPair, why: string, within: readonly string[] = []): void {
    const { key } = pair
    const isSecret = SECRET.test(keyOf(pair))
    this.remark(pair, `${why}; ${isSecret ? 'its value is not copied' : 'it is kept as a comment'}`, within)
    if (key.commentBefore) this.#waiting.push(key.commentBefore)
    const kept = new YAMLMap()
    kept.add(new Pair(new Scalar(keyOf(pair)), isSecret ? new Scalar('***') : (pair.value ?? null)))
    const lines = new Document(kept).toString({ lineWidth: 0 }).trimEnd().split('\n')
    this.#waiting.push([why, ...lines].map((line) => ` ${line}`).join('\n'))
  }

  /** Lets a pair go that says nothing any more, but not what was written about it. */
  drop({ key, value }: OldPair): void {
    for (const comment of [key.commentBefore, value?.commentBefore, value?.comment]) if (comment) this.#waiting.push(comment)
  }

  /** Takes over what another one has for its next key. */
  takeComments(other: Draft): void {
    this.#waiting.push(...other.#waiting)
    other.#waiting = []
  }

  /** The mapping; nothing more is put into it. */
  finish(): YAMLMap {
    this.#map.comment = joined(...this.#waiting, this.#map.comment)
    this.#waiting = []
    return this.#map
  }
}
