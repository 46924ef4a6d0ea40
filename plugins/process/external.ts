import { type BeforeStartEvent, Gone, pause, pauseAfter } from 'hestia'
import { lookAt } from './occupied.ts'
import type { ExternalRecord } from './record.ts'

/**
 * So long connections have to be refused until what accepted them counts as gone, in milliseconds: some programs make room for
 * themselves during their own start.
 */
const GONE_AFTER_MS = 2000

/** Uses what serves at the address of an instance already. */
export function useExternal(event: BeforeStartEvent): void {
  const { instance, progress } = event
  const external = { external: true } satisfies ExternalRecord
  instance.data.process = external
  progress(`something accepts connections at ${instance.url} already: it is used as it is, and will not be stopped`)
  watchExternal(event, external)
}

/** Ends the attempt if it goes away before it was ready, as what was just being ended does: the next one starts the process. */
export function watchExternal({ instance, signal }: BeforeStartEvent, external: object): void {
  const isOver = () => signal.aborted || instance.state !== 'starting' || instance.data.process !== external
  untilGone(instance.url, signal, isOver).then(
    () => {
      if (!isOver()) instance.crashed(new Gone(`nothing accepts connections at ${instance.url} any more`))
    },
    () => undefined, // The attempt is over.
  )
}

/** @throws the signal's reason when it is aborted. */
async function untilGone(url: string, signal: AbortSignal, isOver: () => boolean): Promise<void> {
  const beganAt = performance.now()
  for (let refusedSince = Number.POSITIVE_INFINITY; !isOver(); ) {
    const now = performance.now()
    // What doesn't answer at all is busy, and has the address still.
    if ((await lookAt(url, signal)) !== 'refuses') refusedSince = Number.POSITIVE_INFINITY
    else if (now - refusedSince >= GONE_AFTER_MS) return
    else refusedSince = Math.min(refusedSince, now)
    await pause(pauseAfter(now - beganAt), signal)
  }
}
