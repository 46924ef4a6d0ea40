import { forgetDrafts } from './draft.ts'

/** Who holds back what it has to send. */
export interface Sender {
  /** Sends it. */
  flush(): void
}

let senders: Sender[] = []

/**
 * Flushes it at the end of this turn of the event loop, when all that has come was read. A write to somebody who sleeps has to
 * wake him up, which costs as much as all else of a small request; and between two requests there is time to fall asleep again.
 * In a row of writes only the first pays for it.
 */
export function flushAtEndOfTurn(sender: Sender): void {
  if (senders.push(sender) === 1) setImmediate(flushAll)
}

function flushAll(): void {
  const all = senders
  senders = []
  for (const sender of all) {
    try {
      sender.flush()
    } catch (thrown) {
      // It is nobody's fault but its own.
      process.nextTick(raise, thrown)
    }
  }
  // What has come meanwhile is for the next turn.
  if (senders.length === 0) forgetDrafts()
}

function raise(thrown: unknown): never {
  throw thrown
}
