import { type Static, Type } from '@sinclair/typebox'
import { Milliseconds } from './units.ts'

/** An amount of whatever a group shares: memory, slots, cards. */
const amount = (what: string) => Type.Number({ exclusiveMinimum: 0, default: 1, description: what })

const shared = {
  min_resident_ms: Milliseconds({
    default: 0,
    description: 'An instance that became hot is left there at least so long, unless somebody has waited `max_wait_ms`.',
  }),
  max_wait_ms: Milliseconds({
    default: 30_000,
    description:
      'How long an instance waits for its place: when those in its way need the rest to go (at most half of it), they take no new requests until it had its turn.',
  }),
  silent_stream_ms: Milliseconds({
    default: 60_000,
    description: 'An open stream or WebSocket on which no byte moved for this long keeps nobody from taking the place.',
  }),
  drain_timeout_ms: Milliseconds({
    default: 300_000,
    description:
      'How long open streams and WebSockets may go on once their instance takes no new requests; ordinary requests always may.',
  }),
}

/** `plugins.exclusive`. */
export const ExclusiveOptions = Type.Object(
  {
    groups: Type.Record(
      Type.String({ minLength: 1 }),
      Type.Object(
        { capacity: amount('How much there is for all instances of the group that run at the same time.') },
        { additionalProperties: false, default: {} },
      ),
      { default: {}, description: 'Capacity of each group, as `gpu: { capacity: 24 }`; a group that is not listed has 1.' },
    ),
    ...shared,
  },
  { additionalProperties: false, default: {} },
)
export type ExclusiveOptions = Static<typeof ExclusiveOptions>

/** `services.<id>.exclusive`, and the same of an entry of its `instances`. */
export const ExclusiveServiceOptions = Type.Object(
  {
    group: Type.String({ minLength: 1, description: 'Instances of one group share a device, whatever their services.' }),
    weight: amount("How much of the group's capacity an instance takes while it starts, runs and stops."),
    ...shared,
  },
  { additionalProperties: false },
)
export type ExclusiveServiceOptions = Static<typeof ExclusiveServiceOptions>

const Holder = Type.Object({
  service: Type.String(),
  instance: Type.String(),
  weight: Type.Number(),
  state: Type.String(),
  held: Type.Boolean({ description: 'Takes no new requests, as somebody else is to have its turn.' }),
  inFlight: Type.Integer(),
  waiting: Type.Integer({ description: 'Requests that wait for it.' }),
  hotForMs: Type.Union([Type.Integer(), Type.Null()]),
})

const Waiter = Type.Object({
  service: Type.String(),
  instance: Type.String(),
  weight: Type.Number(),
  waitedMs: Type.Integer(),
  maxWaitMs: Type.Integer(),
  behind: Type.Array(Type.String(), { description: 'Who is in its way, as `service/instance`.' }),
  reason: Type.String(),
})

const Decision = Type.Object({
  at: Type.Number({ description: 'Milliseconds since the epoch.' }),
  group: Type.String(),
  service: Type.String(),
  instance: Type.String(),
  action: Type.String({ description: '`wait`, `grant`, `evict`, `hold` or `unhold`.' }),
  reason: Type.String(),
  waiter: Type.Optional(Type.String({ description: 'For whom, as `service/instance`.' })),
  behind: Type.Optional(Type.Array(Type.String())),
  waitedMs: Type.Optional(Type.Number()),
})

/** `GET /v1/exclusive`. */
export const ExclusiveStatus = Type.Object(
  {
    groups: Type.Array(
      Type.Object({
        group: Type.String(),
        capacity: Type.Number(),
        used: Type.Number(),
        holders: Type.Array(Holder),
        waiters: Type.Array(Waiter),
      }),
    ),
    decisions: Type.Array(Decision, { description: 'The newest ones, newest first.' }),
  },
  { $id: 'ExclusiveStatus' },
)
export type ExclusiveStatus = Static<typeof ExclusiveStatus>
