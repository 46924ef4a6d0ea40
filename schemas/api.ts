import { type Static, Type } from '@sinclair/typebox'
import { Milliseconds } from './units.ts'

/** Options of the plugin `api`: `plugins.api`. */
export const ApiOptions = Type.Object(
  {
    heartbeat_ms: Milliseconds({
      default: 15_000,
      description: 'How often `/v1/events` sends a comment, so that nobody takes it for dead.',
    }),
    event_buffer: Type.Integer({
      minimum: 1,
      default: 1000,
      description: 'Events that wait for a slow reader of `/v1/events`; whoever falls further behind is cut off.',
    }),
  },
  { additionalProperties: false, default: {} },
)
export type ApiOptions = Static<typeof ApiOptions>

/** The path parameter of everything below `/v1/services/{id}`. */
export const ServiceParams = Type.Object({ id: Type.String({ minLength: 1 }) })
export type ServiceParams = Static<typeof ServiceParams>

const State = Type.Union([Type.Literal('cold'), Type.Literal('starting'), Type.Literal('hot'), Type.Literal('stopping')])

/** One instance in a status. */
const InstanceStatus = Type.Object({
  name: Type.String(),
  url: Type.String(),
  machine: Type.Union([Type.String(), Type.Null()]),
  region: Type.Union([Type.String(), Type.Null()]),
  weight: Type.Integer(),
  state: State,
  healthy: Type.Boolean(),
  inFlight: Type.Integer({ description: 'Requests under way, open streams and tunnels included.' }),
  waiting: Type.Integer({ description: 'Requests that wait for it.' }),
  idleMs: Type.Union([Type.Integer(), Type.Null()], { description: 'Since the last request ended; null unless hot and free.' }),
  coolingMs: Type.Union([Type.Integer(), Type.Null()], { description: 'How long it is still left alone after a failure.' }),
  lastError: Type.Union([Type.String(), Type.Null()]),
})

/** `GET /v1/services/{id}/status`, and each element of `GET /v1/services`. */
export const ServiceStatus = Type.Object({
  serviceId: Type.String(),
  state: State,
  readiness: Type.Union([Type.Literal('ready'), Type.Literal('not_ready')]),
  machineId: Type.Union([Type.String(), Type.Null()], { description: 'Machine of the instance that is up, else of the first.' }),
  placement: Type.Union([
    Type.Object({
      machine: Type.Union([Type.String(), Type.Null()]),
      rule: Type.Union([Type.String(), Type.Null()], { description: 'The routing rule that counted.' }),
      reason: Type.String(),
    }),
    Type.Null(),
  ]),
  queuePending: Type.Integer({ description: 'Requests that wait, over all instances.' }),
  instances: Type.Array(InstanceStatus),
  automation: Type.Object({
    enabled: Type.Boolean({ description: 'Whether Hestia can start and stop it.' }),
    provider: Type.Union([Type.String(), Type.Null()], { description: 'Plugin that does.' }),
    machine_id: Type.Union([Type.String(), Type.Null()]),
    current_task: Type.Union([Type.Unknown(), Type.Null()]),
    last_task: Type.Union([Type.Unknown(), Type.Null()]),
  }),
})
export type ServiceStatus = Static<typeof ServiceStatus>

/** Answer to a start or stop that was taken on. */
export const Accepted = Type.Object({ message: Type.String(), serviceId: Type.String(), state: State })

/** `GET /v1/events`: which types of events are wanted; all without it. */
export const EventsQuery = Type.Object({
  types: Type.Optional(
    Type.String({ description: 'Comma-separated types, or beginnings of types ending with a dot: `instance.,reload.applied`.' }),
  ),
})
