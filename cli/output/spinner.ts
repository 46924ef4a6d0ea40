import { characters, styleError } from './style.ts'

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const FRAME_MS = 80
const CLEAR = '\r\u001b[K'

/** Says on standard error how far something is: on a terminal one line that moves, elsewhere a line for each step. */
export class Spinner {
  readonly #stream = process.stderr
  #timer: NodeJS.Timeout | undefined
  #frame = 0
  #text = ''

  say(text: string): void {
    if (text === this.#text) return
    this.#text = text
    if (!this.#stream.isTTY) {
      this.#stream.write(`${text}\n`)
      return
    }
    this.#timer ??= setInterval(() => this.#draw(), FRAME_MS)
    this.#draw()
  }

  /** Takes the moving line away. */
  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    if (this.#stream.isTTY) this.#stream.write(CLEAR)
  }

  #draw(): void {
    const frame = FRAMES[this.#frame++ % FRAMES.length] ?? ''
    const room = (this.#stream.columns || 80) - 3
    this.#stream.write(`${CLEAR}${styleError('cyan', frame)} ${characters(this.#text).slice(0, room).join('')}`)
  }
}
