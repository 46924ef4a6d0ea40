import type { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

/** Shortest and longest pause between two probes, in milliseconds. */
const SHORTEST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 250

/** A pause is this part of the time waited so far: what probing adds to a boot is small beside the boot itself. */
const PART = 0.04

/** What a probe opens: a socket, or a request. */
export interface Connection extends Pick<EventEmitter, 'on'> {
  destroy(): unknown
}

/**
 * Probes once, over a connection that is closed afterwards, whatever comes of it. `open` makes it and says through `settle` what
 * was seen: undefined when all is well. What can't be reached is seen by the code of its error.
 * @throws the signal's reason when it is aborted.
 */
export function probeOver(
  open: (settle: (seen: string | undefined) => void) => Connection,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const settle = (seen: string | undefined) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      connection.destroy()
      resolve(seen)
    }
    const abort = () => {
      reject(signal.reason)
      settle(undefined)
    }
    const timer = setTimeout(() => settle(`no answer within ${timeoutMs} ms`), timeoutMs)
    const connection = open(settle)
    connection.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message))
    signal.addEventListener('abort', abort)
  })
}

/** The pause between two probes after `waitedMs` of waiting: fast starters are seen at once, slow ones are not bothered. */
export const pauseAfter = (waitedMs: number): number => Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, waitedMs * PART))

/** @throws the signal's reason when it is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
  signal.throwIfAborted()
}
