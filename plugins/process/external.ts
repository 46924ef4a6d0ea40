import { asError, type BeforeStartEvent, pause, pauseAfter } from 'hestia'
import { lookAt } from './occupied.ts'
import type { ExternalRecord } from './record.ts'

/**
 * Uses what serves at the address of an instance already. What goes away before it was seen to be ready, as something does
 * that was just being ended, is followed by `launch`: nobody else would start the service.
 */
export function useExternal(event: BeforeStartEvent, launch: () => Promise<void>): void {
  const { instance, signal, progress } = event
  const external = { external: true } satisfies ExternalRecord
  instance.data.process = external
  progress(`something accepts connections at ${instance.url} already: it is used as it is, and will not be stopped`)
  whileItStarts(event, external, async () => {
    progress(`nothing accepts connections at ${instance.url} any more: it is started here`)
    delete instance.data.process
    await launch()
  }).catch((thrown: unknown) => {
    if (!signal.aborted) instance.crashed(asError(thrown))
  })
}

/** Looks at the address until the start is over, and calls `gone` when connections are refused there before. */
async function whileItStarts({ instance, signal }: BeforeStartEvent, external: object, gone: () => Promise<void>): Promise<void> {
  const isOver = () => signal.aborted || instance.state !== 'starting' || instance.data.process !== external
  const beganAt = performance.now()
  while (!isOver()) {
    const seen = await lookAt(instance.url, signal)
    // What doesn't answer for a while is busy, and has the address still.
    if (seen === 'refuses' && !isOver()) return gone()
    await pause(pauseAfter(performance.now() - beganAt), signal)
  }
}
