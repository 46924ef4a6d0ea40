import { forgetDrafts } from './draft.ts'

/** Who holds back what it has to send. */
export interface Sender {
  /** Sends it. */
  flush(): void
}

/** Those that wait for the same moment. */
class Row {
  readonly #schedule: (moment: () => void) => unknown
  #senders: Sender[] = []

  /** `schedule`: calls what it is given at the moment, once. */
  constructor(schedule: (moment: () => void) => unknown) {
    this.#schedule = schedule
  }

  get isEmpty(): boolean {
    return this.#senders.length === 0
  }

  add(sender: Sender): void {
    if (this.#senders.push(sender) === 1) this.#schedule(this.#flush)
  }

  readonly #flush = (): void => {
    const all = this.#senders
    this.#senders = []
    for (const sender of all) {
      try {
        sender.flush()
      } catch (thrown) {
        // It is nobody's fault but its own.
        process.nextTick(raise, thrown)
      }
    }
    // What has come meanwhile is for the next time.
    if (turn.isEmpty && call.isEmpty) forgetDrafts()
  }
}

const settled = Promise.resolve()
const turn = new Row(setImmediate)
const call = new Row((moment) => settled.then(moment))

/**
 * Flushes it at the end of this turn of the event loop, when all that has come was read. A write to somebody who sleeps has to
 * wake him up, which costs as much as all else of a small request; and between two requests there is time to fall asleep again.
 * In a row of writes only the first pays for it.
 */
export const flushAtEndOfTurn = (sender: Sender): void => turn.add(sender)

/** Flushes it as soon as the code that runs now is over: sooner, for who is the only one that has something to send. */
export const flushAtEndOfCall = (sender: Sender): void => call.add(sender)

function raise(thrown: unknown): never {
  throw thrown
}
