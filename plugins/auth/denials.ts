import type { Events } from 'hestia'
import { count, type Windows } from './windows.ts'

/** Of one kind from one party so many are told in a window, and so many of all kinds. */
const TOLD_OF_A_KIND = 5
const TOLD_OF_ALL = 60
const WINDOW_MS = 60_000

export interface Denial {
  readonly caller: string
  readonly code: string
  readonly reason: string
  readonly party?: string | undefined
  readonly service?: string | undefined
}

/** Tells who was refused, but no more of it than somebody could read: ten thousand wrong keys are a few lines, and a number. */
export class Denials {
  readonly #windows: Windows
  readonly #events: Events
  /** How many were not told since one was; plain data that outlives generations. */
  readonly #untold: { count: number }

  constructor(windows: Windows, untold: { count: number }, events: Events) {
    this.#windows = windows
    this.#untold = untold
    this.#events = events
  }

  tell({ caller, code, reason, party, service }: Denial): void {
    const kind = `told ${party ?? caller} ${code}`
    const isTooMany =
      count(this.#windows, kind, TOLD_OF_A_KIND, WINDOW_MS) !== undefined ||
      count(this.#windows, 'told', TOLD_OF_ALL, WINDOW_MS) !== undefined
    if (isTooMany) this.#untold.count++
    else this.#events.emit('auth.denied', { caller, code, address: party, reason, service, untold: this.#take() })
  }

  /** Tells of those that nothing was told of, now and then. */
  sumUp(): void {
    const untold = this.#take()
    if (untold > 0)
      this.#events.emit('auth.denied', {
        caller: 'others',
        code: 'rate_limited',
        reason: `${untold} requests, as before`,
        untold: 0,
      })
  }

  #take(): number {
    const { count: untold } = this.#untold
    this.#untold.count = 0
    return untold
  }
}
