/** A name of a field as it stands in JSON, and what is looked for when it is searched. */
export class SearchedKey {
  readonly name: string
  /** With its quotes. */
  readonly text: string
  readonly bytes: Buffer

  constructor(name: string) {
    this.name = name
    this.text = JSON.stringify(name)
    this.bytes = Buffer.from(this.text)
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
