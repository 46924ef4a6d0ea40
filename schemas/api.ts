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

const Text = (description: string) => Type.Union([Type.String(), Type.Null()], { description })
const Count = (description: string) => Type.Integer({ minimum: 0, description })
const DurationOrNull = (description: string) => Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], { description })

/** The path parameter of everything below `/v1/services/{id}`. */
export const ServiceParams = Type.Object({ id: Type.String({ minLength: 1, description: 'Id of a configured service.' }) })
export type ServiceParams = Static<typeof ServiceParams>

/** State of an instance, and of a service. */
export const InstanceState = Type.Union(
  [Type.Literal('cold'), Type.Literal('starting'), Type.Literal('hot'), Type.Literal('stopping')],
  { $id: 'InstanceState', description: 'A service is `hot` when any of its instances is.' },
)

/** One instance in a status. */
export const InstanceStatus = Type.Object(
  {
    name: Type.String({ description: 'Name of the instance within its service.' }),
    url: Type.String({ description: 'Where it answers when it runs.' }),
    machine: Text('Key of `machines`.'),
    region: Text('A label that strategies and the load balancer may prefer.'),
    weight: Type.Integer({ description: 'Share of requests relative to the other instances.' }),
    state: InstanceState,
    healthy: Type.Boolean({ description: 'False from a failure until a probe answers well again.' }),
    inFlight: Count('Requests under way, open streams and tunnels included.'),
    waiting: Count('Requests that wait for it.'),
    requests: Count('Requests that it was given since the gateway started.'),
    sinceUsedMs: DurationOrNull('Since the last request ended; null before the first one does.'),
    idleMs: DurationOrNull('Since the last request ended; null unless hot and free.'),
    stopsInMs: DurationOrNull('Until it is stopped if nobody comes; null unless hot and free, and where it never is.'),
    coolingMs: DurationOrNull('How long it is still left alone after a failure.'),
    lastError: Text('Why its last start failed, while it is left alone for that.'),
  },
  { $id: 'Instance' },
)

/** A task with which a starter has something else start or stop an instance. */
export const AutomationTask = Type.Object(
  {
    id: Type.Union([Type.Integer(), Type.Null()], { description: 'Its number there; null while it is not known.' }),
    action: Type.Union([Type.Literal('start'), Type.Literal('stop')]),
    status: Type.String({ description: 'How far it is, in the words of the provider.' }),
    project: Type.Integer(),
    template: Type.Integer(),
    message: Type.String({ description: 'By which it is found again.' }),
    created_at: Text('ISO 8601.'),
    ended_at: Text('ISO 8601.'),
    error: Text('Why it failed.'),
  },
  { $id: 'AutomationTask' },
)

/** `GET /v1/services/{id}/status`, and each element of `GET /v1/services`. */
export const ServiceStatus = Type.Object(
  {
    serviceId: Type.String(),
    state: InstanceState,
    readiness: Type.Union([Type.Literal('ready'), Type.Literal('not_ready')], { description: '`ready` when hot.' }),
    machineId: Text('Machine of the instance that is up, else of the first.'),
    placement: Type.Union(
      [
        Type.Object({
          machine: Text('Key of `machines` where it rather runs.'),
          rule: Text('The routing rule that counted.'),
          reason: Type.String(),
        }),
        Type.Null(),
      ],
      { description: 'Where it rather runs and why; null when the plugin `load-balancer` is off.' },
    ),
    queuePending: Count('Requests that wait, over all instances.'),
    instances: Type.Array(InstanceStatus),
    automation: Type.Object({
      enabled: Type.Boolean({ description: 'Whether Hestia can start and stop it.' }),
      provider: Text('Plugin that does.'),
      machine_id: Text('Key of `machines`.'),
      current_task: Type.Union([AutomationTask, Type.Null()], { description: 'What its provider is doing for it now.' }),
      last_task: Type.Union([AutomationTask, Type.Null()], { description: 'What it did last.' }),
    }),
  },
  { $id: 'ServiceStatus' },
)
export type ServiceStatus = Static<typeof ServiceStatus>

/** `GET /v1/services`. */
export const ServiceList = Type.Array(ServiceStatus, { description: 'All services, in the order of the configuration.' })

/** Answer to a start or stop that was taken on. */
export const Accepted = Type.Object(
  { message: Type.String(), serviceId: Type.String(), state: InstanceState },
  { $id: 'Accepted', description: 'It was taken on; how it went is an event, and in the status.' },
)

/** `GET /v1/services/{id}/logs`: how much is wanted. */
export const LogsQuery = Type.Object(
  {
    lines: Type.Optional(Type.Integer({ minimum: 1, description: 'At most so many of the newest lines of each instance.' })),
  },
  { additionalProperties: false },
)
export type LogsQuery = Static<typeof LogsQuery>

/** Its answer. */
export const Logs = Type.Object(
  {
    serviceId: Type.String(),
    instances: Type.Array(
      Type.Object({
        name: Type.String(),
        lines: Type.Array(
          Type.Object({
            at: Type.Number({ description: 'Milliseconds since the epoch.' }),
            stream: Type.Union([Type.Literal('stdout'), Type.Literal('stderr')]),
            line: Type.String(),
          }),
          { description: 'Oldest first.' },
        ),
      }),
      { description: 'Those whose output is kept.' },
    ),
  },
  { $id: 'Logs' },
)

/** `GET /v1/events`: which types of events are wanted; all without it. */
export const EventsQuery = Type.Object(
  {
    service: Type.Optional(Type.String({ minLength: 1, description: 'Only what is about this service.' })),
    types: Type.Optional(
      Type.String({
        description: 'Comma-separated types, or beginnings of types ending with a dot: `instance.,reload.applied`.',
      }),
    ),
  },
  { additionalProperties: false },
)

/** What stands in the `data` of each server-sent event. */
export const EventData = Type.Object(
  {
    type: Type.String({ description: 'As `instance.state`, `request.finished`, `reload.applied`.' }),
    at: Type.Integer({ description: 'When it happened, in milliseconds since the epoch.' }),
  },
  { $id: 'Event', additionalProperties: true, description: 'Further fields depend on the type.' },
)

/** One thing that is wrong in a file. */
export const ProblemView = Type.Object(
  {
    file: Type.String(),
    line: Type.Optional(Type.Integer({ minimum: 1 })),
    column: Type.Optional(Type.Integer({ minimum: 1 })),
    path: Type.Optional(Type.String({ description: 'Path in the configuration: `services.ollama.idle`.' })),
    value: Type.Optional(Type.Unknown({ description: 'What was found.' })),
    excerpt: Type.Optional(Type.String({ description: 'The line as it stands there; of code only.' })),
    message: Type.String({ description: 'What is wrong and what to do.' }),
  },
  { $id: 'Problem' },
)

/** `POST /v1/reload`. */
export const Reloaded = Type.Object(
  {
    generation: Type.Integer({ minimum: 1, description: 'Number of the generation that serves now.' }),
    changes: Type.Array(Type.String(), { description: 'What changed; nothing when all was as before.' }),
  },
  { $id: 'Reloaded' },
)

const HookHandlers = Type.Array(
  Type.Object({
    plugin: Type.String(),
    order: Type.Union([Type.Literal('pre'), Type.Literal('normal'), Type.Literal('post')]),
  }),
)

/** One plugin of `GET /v1/plugins`. */
const PluginView = Type.Object(
  {
    name: Type.String(),
    version: Type.Optional(Type.String()),
    source: Type.String({ description: 'File or package it came from.' }),
    state: Type.Union([Type.Literal('on'), Type.Literal('failed')], {
      description: '`failed`: its newest version was refused, and the one before goes on working.',
    }),
    setupMs: Type.Number({ description: 'How long its set-up took.' }),
    loadedAt: Type.Number({ description: 'Milliseconds since the epoch.' }),
    problems: Type.Optional(Type.Array(ProblemView, { description: 'Why the newest version was refused.' })),
    hooks: Type.Record(Type.String(), Type.Array(Type.Integer({ minimum: 1 })), {
      description: 'Where in the order of each hook its handlers stand.',
    }),
  },
  { $id: 'Plugin' },
)

/** `GET /v1/plugins`. */
export const PluginList = Type.Object(
  {
    generation: Type.Integer({ minimum: 1 }),
    plugins: Type.Array(PluginView, { description: 'In the order of their set-up.' }),
    hooks: Type.Object(
      { resolveUpstream: HookHandlers, beforeStart: HookHandlers, onReady: HookHandlers, onIdle: HookHandlers },
      { description: 'The handlers of each hook in the order in which they run.' },
    ),
    problems: Type.Array(ProblemView, {
      description: 'What is wrong with the configuration file as it is now, while the last good one is in force.',
    }),
  },
  { $id: 'PluginList' },
)

/** `GET /v1/strategies`. */
export const StrategyList = Type.Object(
  {
    loaded_strategies: Type.Array(
      Type.Object({
        name: Type.String(),
        file: Type.String(),
        version: Type.String({ description: 'Changes with its content.' }),
        loaded_at: Type.String({ description: 'ISO 8601, UTC.' }),
        reads: Type.Array(Type.String(), { description: '`body`: it looks into the bodies of requests.' }),
      }),
    ),
    service_configurations: Type.Record(
      Type.String(),
      Type.Object({
        strategy: Type.String(),
        routing: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Options of the strategy.' })),
        loaded: Type.Boolean({ description: 'Whether there is a strategy of this name.' }),
      }),
      { description: 'By service.' },
    ),
    failed: Type.Array(Type.Object({ file: Type.String(), problems: Type.Array(ProblemView) }), {
      description: 'Files whose newest version was refused.',
    }),
  },
  { $id: 'StrategyList' },
)

/** `GET /__health`. */
export const Health = Type.Object({ status: Type.Literal('ok') }, { $id: 'Health' })

/** `GET /__ready`. */
export const Readiness = Type.Object(
  {
    status: Type.Union([Type.Literal('ready'), Type.Literal('not_ready')]),
    generation: Type.Integer({ minimum: 1 }),
    config: Type.Union([Type.Literal('ok'), Type.Literal('refused')], {
      description: '`refused`: the file as it is now is wrong, and the last good one is in force.',
    }),
    problems: Type.Array(ProblemView),
    store: Type.Optional(
      Type.Object(
        {
          ok: Type.Boolean(),
          error: Type.Optional(Type.String()),
          dropped: Type.Integer({ minimum: 0, description: 'Activities that found no room since the database was opened.' }),
          queued: Type.Integer({ minimum: 0, description: 'What is still to be written.' }),
        },
        { description: 'The database; absent when the plugin `store` is off.' },
      ),
    ),
  },
  { $id: 'Readiness' },
)
