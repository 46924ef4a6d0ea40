/** A place in a source; counted from 0, as source maps do. */
export interface Origin {
  readonly source: string
  readonly line: number
  readonly column: number
}

/** What one entry takes up: line and column in the code, index of the source, line and column there. */
const FIELDS = 5

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const DIGITS = new Uint8Array(128)
for (let i = 0; i < ALPHABET.length; i++) DIGITS[ALPHABET.charCodeAt(i)] = i

/**
 * A source map (ECMA-426) in 20 bytes an entry, where Node's `SourceMap` has an array and strings for each. */
export class CompactMap {
  readonly #sources: readonly string[]
  readonly #entries: Int32Array

  /** @param text the map, without sections */
  constructor(text: string) {
    const { sources, mappings } = JSON.parse(text) as { sources: string[]; mappings: string }
    this.#sources = sources
    this.#entries = decode(mappings)
  }

  /** Where the code at a line and column comes from; undefined where that is not known. */
  find(line: number, column: number): Origin | undefined {
    const entries = this.#entries
    let [low, high] = [0, entries.length / FIELDS]
    while (low < high) {
      const middle = (low + high) >> 1
      const at = middle * FIELDS
      if (entries[at]! < line || (entries[at] === line && entries[at + 1]! <= column)) low = middle + 1
      else high = middle
    }
    const [, , source = -1, fromLine = 0, fromColumn = 0] = entries.subarray((low - 1) * FIELDS, low * FIELDS)
    return low === 0 || source < 0 ? undefined : { source: this.#sources[source]!, line: fromLine, column: fromColumn }
  }
}

/** Entries in the order of the code; what comes from nowhere has -1 in the place of the source. */
function decode(mappings: string): Int32Array {
  let entries = new Int32Array(1024 * FIELDS)
  let length = 0
  let [line, column, source, fromLine, fromColumn] = [0, 0, 0, 0, 0]
  let at = 0
  const number = (): number => {
    let [value, shift] = [0, 0]
    for (;;) {
      const digit = DIGITS[mappings.charCodeAt(at++)]!
      value |= (digit & 31) << shift
      if (digit < 32) return value & 1 ? -(value >> 1) : value >> 1
      shift += 5
    }
  }
  const isOver = (): boolean => at >= mappings.length || mappings[at] === ',' || mappings[at] === ';'
  while (at < mappings.length) {
    if (mappings[at] === ';') [line, column] = [line + 1, 0]
    if (isOver()) {
      at++
      continue
    }
    column += number()
    let found = -1
    if (!isOver()) {
      source += number()
      fromLine += number()
      fromColumn += number()
      if (!isOver()) number() // a name
      found = source
    }
    if (length === entries.length) {
      const larger = new Int32Array(length * 2)
      larger.set(entries)
      entries = larger
    }
    entries.set([line, column, found, fromLine, fromColumn], length)
    length += FIELDS
  }
  return entries.slice(0, length)
}
