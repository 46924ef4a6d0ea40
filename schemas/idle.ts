import { type Static, Type } from '@sinclair/typebox'
import { Milliseconds } from './units.ts'

/** `plugins.idle`, and the section `services.<id>.idle`. */
export const IdleOptions = Type.Object(
  {
    timeout_ms: Milliseconds({
      default: 0,
      description: 'An instance with nothing in flight is stopped this long after its last request was over. 0: never.',
    }),
    ignore_paths: Type.Array(Type.String({ pattern: '^/' }), {
      default: [],
      description: 'Requests to these paths below the service neither start it nor keep it running; `*` stands for anything.',
    }),
    silent_stream_ms: Milliseconds({
      default: 300_000,
      description: 'An open stream or WebSocket on which no byte moved for this long no longer keeps its instance running.',
    }),
  },
  { additionalProperties: false, default: {} },
)
export type IdleOptions = Static<typeof IdleOptions>
