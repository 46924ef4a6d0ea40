import { once } from 'node:events'
import { join } from 'node:path'
import type { Child } from './children.ts'

/** Arguments of Node with which a process can be asked for its memory; needs `ipc`. */
export const PROBED = ['--expose-gc', '--import', 'tsx', '--import', join(import.meta.dirname, 'memory-probe.ts')]

/** Memory of a process that was started so, after a garbage collection, in bytes. */
export async function memoryOf({ process: child }: Child): Promise<NodeJS.MemoryUsage> {
  const answered = once(child, 'message') as Promise<[NodeJS.MemoryUsage]>
  child.send('memory')
  return (await answered)[0]
}
