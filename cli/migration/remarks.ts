import { isNode, type LineCounter } from 'yaml'
import type { Problem } from '../../core/problem.ts'

/** What there is to say about an old file, each thing at its line. */
export class Remarks {
  readonly list: Problem[] = []
  readonly #file: string
  readonly #lines: LineCounter

  constructor(file: string, lines: LineCounter) {
    this.#file = file
    this.#lines = lines
  }

  add(node: unknown, path: readonly (string | number)[], message: string): void {
    const { line, col } = this.#lines.linePos((isNode(node) && node.range?.[0]) || 0)
    this.list.push({ file: this.#file, line, column: col, path: path.join('.'), message })
  }
}
