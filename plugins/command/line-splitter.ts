import { StringDecoder } from 'node:string_decoder'

/** Longest line that is kept, in characters; the rest of it is dropped. */
const LONGEST_LINE = 8192
const CUT = ' [cut]'

/** Makes lines of the bytes of one stream, in bounded memory; a carriage return ends a line too, as progress bars write it. */
export class LineSplitter {
  readonly #take: (line: string) => void
  readonly #decoder = new StringDecoder('utf8')
  #pending = ''
  #cut = false

  constructor(take: (line: string) => void) {
    this.#take = take
  }

  add(bytes: Buffer): void {
    const [first = '', ...others] = this.#decoder.write(bytes).split(/\r\n|[\r\n]/)
    this.#append(first)
    for (const part of others) {
      this.#flush()
      this.#append(part)
    }
  }

  /** The stream is over: a last line without an end is one as well. */
  end(): void {
    this.#append(this.#decoder.end())
    this.#flush()
  }

  #append(text: string): void {
    const room = LONGEST_LINE - this.#pending.length
    if (text.length > room) this.#cut = true
    this.#pending += text.slice(0, room)
  }

  /** Empty lines say nothing, and a line end that was torn apart would make one. */
  #flush(): void {
    if (this.#pending !== '') this.#take(this.#cut ? this.#pending + CUT : this.#pending)
    this.#pending = ''
    this.#cut = false
  }
}
