import { type Static, Type } from '@sinclair/typebox'
import { Bytes, Milliseconds } from './units.ts'

/** `plugins.queue`, and the section `services.<id>.queue`. */
export const QueueOptions = Type.Object(
  {
    size: Type.Integer({ minimum: 1, default: 100, description: 'How many requests may wait for an instance; more get 503.' }),
    max_bytes: Bytes({
      default: 64 * 1024 * 1024,
      description: 'How much memory the waiting requests of an instance may hold in all (heads, and bodies that routing read).',
    }),
    timeout_ms: Milliseconds({
      default: 60_000,
      description: 'Longest wait of one request for its instance; then it gets 503. 0: no bound.',
    }),
    concurrency: Type.Integer({
      minimum: 0,
      default: 0,
      description: 'How many requests an instance takes at a time; the others wait for their turn. 0: no limit.',
    }),
  },
  { additionalProperties: false, default: {} },
)
export type QueueOptions = Static<typeof QueueOptions>
