/** Names that key-scan.wat can look for: printable ASCII that can be written as itself and as one kind of escape only. */
const SEARCHABLE = /^[ !#-.0-[\]-~]{2,}$/

/** A name of a field as it stands in JSON, and what is searched for its sake. */
export class SearchedKey {
  readonly name: string
  /** With its quotes. */
  readonly bytes: Buffer
  readonly isSearchable: boolean
  /** The first four bytes, as a little-endian number. */
  readonly start: number
  /** The least and the greatest first digit, as bytes, that the codes of the letters of a searchable name have: from `2` to `7`. */
  readonly low: number
  readonly high: number

  constructor(name: string) {
    this.name = name
    this.bytes = Buffer.from(JSON.stringify(name))
    this.isSearchable = SEARCHABLE.test(name)
    const digits = this.isSearchable ? Array.from(name, (letter) => 0x30 + (letter.charCodeAt(0) >> 4)) : []
    this.start = this.isSearchable ? this.bytes.readInt32LE() : 0
    this.low = Math.min(0x37, ...digits)
    this.high = Math.max(0x32, ...digits)
  }

  /** Whether it stands at `at`. */
  isAt(bytes: Buffer, at: number): boolean {
    const { length } = this.bytes
    for (let i = 0; i < length; i++) if (bytes[at + i] !== this.bytes[i]) return false
    return true
  }
}

let last = new SearchedKey('model')

/** Nearly all requests ask for the same one. */
export function searchedKey(name: string): SearchedKey {
  if (last.name !== name) last = new SearchedKey(name)
  return last
}
