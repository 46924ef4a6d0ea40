import type { Context } from '../context.ts'
import { untilServes } from '../measure/ask.ts'
import { type Child, type ChildOptions, start } from '../measure/children.ts'

/** Somebody who can stand between a client and an upstream. */
export interface Contestant {
  readonly name: string
  /** What is not installed, and how it would be; undefined if nothing is missing. */
  missing?(): string | undefined
  /** Does what comes before a start and is none of it. */
  prepare?(): void
  /** Starts it in front of what listens on that port of the loopback interface. */
  start(upstreamPort: number, context: Context): Promise<Running>
}

/** A contestant that serves. */
export interface Running {
  readonly name: string
  /** What stands for the root of the upstream, without a slash at the end. */
  readonly base: string
  /** Headers that it wants with each request. */
  readonly headers?: Readonly<Record<string, string>>
  /** Its process; absent if there is nobody in between. */
  readonly child?: Child
}

/** Starts a process and waits until `base` serves. */
export async function serve(
  name: string,
  base: string,
  command: readonly string[],
  options: ChildOptions = {},
  probe = `${base}/`,
): Promise<Running & { child: Child }> {
  const child = start('contestant', command, options)
  try {
    await untilServes(probe, child)
  } catch (error) {
    await child.end()
    throw new Error(`${name} cannot be started`, { cause: error })
  }
  return { name, base, child }
}

/** Starts those that are installed, and says of the others what is missing. */
export async function startAll(
  contestants: readonly Contestant[],
  upstreamPort: number,
  context: Context,
): Promise<readonly Running[]> {
  const running: Running[] = []
  for (const contestant of contestants) {
    const missing = contestant.missing?.()
    if (missing) context.sayOnce(`  without ${contestant.name}: ${missing}`)
    else running.push(await contestant.start(upstreamPort, context))
  }
  return running
}

export const endRunning = async (running: readonly Running[]): Promise<void> => {
  for (const { child } of running) await child?.end()
}

/** Lets `use` have the contestants in front of an upstream; ends them after it, whatever happens. */
export async function among<T>(
  contestants: readonly Contestant[],
  upstreamPort: number,
  context: Context,
  use: (running: readonly Running[]) => Promise<T>,
): Promise<T> {
  const running = await startAll(contestants, upstreamPort, context)
  try {
    return await use(running)
  } finally {
    await endRunning(running)
  }
}
