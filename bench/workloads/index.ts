import { boot } from './boot.ts'
import { coldStart } from './cold-start.ts'
import { events } from './events.ts'
import { largePost, routedPost } from './routed-post.ts'
import { scale } from './scale.ts'
import { smallGet } from './small-get.ts'
import { largeTransfer } from './transfer.ts'
import { waiting } from './waiting.ts'
import { websocket } from './websocket.ts'
import type { Workload } from './workload.ts'

export const WORKLOADS: readonly Workload[] = [
  ...[smallGet, routedPost, largePost, largeTransfer, events, websocket, waiting, coldStart, boot, scale],
]

/** Those that are asked for, by letter or name. @throws if one is asked for that there isn't. */
export function chosen(only: readonly string[] | undefined): readonly Workload[] {
  if (!only) return WORKLOADS
  const unknown = only.filter((wanted) => !WORKLOADS.some(({ id, name }) => id === wanted || name === wanted))
  const known = WORKLOADS.map(({ id, name }) => `${id} (${name})`).join(', ')
  if (unknown.length > 0) throw new Error(`--only: there is no ${unknown.join(', ')}; there are ${known}`)
  return WORKLOADS.filter(({ id, name }) => only.includes(id) || only.includes(name))
}
