import { type Static, Type } from '@sinclair/typebox'
import { Capability, HttpUrl, Milliseconds } from './units.ts'

/** `services.<id>.start`: how hard Hestia tries to bring an instance up. */
export const StartPolicy = Type.Object(
  {
    attempts: Type.Integer({ minimum: 1, default: 1, description: 'Attempts in all before the start counts as failed.' }),
    delay_ms: Milliseconds({ default: 0, description: 'Pause between two attempts.' }),
    timeout_ms: Milliseconds({
      default: 120_000,
      description: 'Longest time of one attempt, from its first step until it is ready.',
    }),
    stall_ms: Type.Optional(
      Milliseconds({
        description: 'With this set, each sign of progress moves the end of an attempt to at least this far from now.',
      }),
    ),
    cooldown_ms: Milliseconds({
      default: 1000,
      description: 'How long an instance is left alone after a failed start; doubles with each failure in a row, up to a minute.',
    }),
    abandon: Type.Union([Type.Literal('finish'), Type.Literal('abort')], {
      default: 'finish',
      description: 'What becomes of a start that nobody waits for any more.',
    }),
    linger_ms: Milliseconds({ default: 0, description: 'With `abandon: abort`, how long to wait for somebody else to want it.' }),
  },
  { additionalProperties: false, default: {} },
)
export type StartPolicy = Static<typeof StartPolicy>

/**
 * One entry of `services.<id>.instances`. Besides these keys an entry may hold sections of plugins, which override
 * those of its service.
 */
export const InstanceConfig = Type.Object(
  {
    name: Type.Optional(
      Type.String({ minLength: 1, description: 'Name in logs and mappings; the host and port of the URL if absent.' }),
    ),
    url: HttpUrl({ description: 'Where this instance answers when it runs.' }),
    machine: Type.Optional(Type.String({ description: 'A key of `machines`.' })),
    weight: Type.Integer({
      minimum: 0,
      default: 1,
      description: 'Share of requests relative to the other instances; 0 takes none.',
    }),
    region: Type.Optional(Type.String({ description: 'A label that strategies and the load balancer may prefer.' })),
  },
  { additionalProperties: false },
)
export type InstanceConfig = Static<typeof InstanceConfig>

/** What the core itself reads of `services.<id>`; every other key is a section of the plugin of that name. */
export const ServiceConfig = Type.Object(
  {
    base_url: Type.Optional(HttpUrl({ description: 'Short for one instance at this URL.' })),
    instances: Type.Optional(Type.Array(InstanceConfig, { minItems: 1, description: 'The places where this service can run.' })),
    machine: Type.Optional(Type.String({ description: 'With `base_url`: a key of `machines`.' })),
    hosts: Type.Optional(
      Type.Array(Type.String({ pattern: '^[A-Za-z0-9.-]+$' }), { description: 'Host names at whose root this service answers.' }),
    ),
    tags: Type.Array(Type.String(), { default: [], description: 'Labels for `routing_rules` to match.' }),
    requires: Type.Record(Type.String(), Capability, {
      default: {},
      description: 'Capabilities that a machine must have for this service to run there; a number means at least that much.',
    }),
    models: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Models that this service has, for the LLM front door; asked of the service itself if absent.',
      }),
    ),
    aliases: Type.Record(Type.String(), Type.String(), {
      default: {},
      description: 'Further names of models: `{ gpt-4o: llama3 }` makes a request for `gpt-4o` one for `llama3` here.',
    }),
    fallback_url: Type.Optional(
      Type.Union([Type.Null(), HttpUrl()], { description: 'Where requests go when no attempt to start the service succeeded.' }),
    ),
    warmup_ms: Type.Optional(
      Milliseconds({ description: 'Without a health check: how long after its start an instance counts as ready.' }),
    ),
    start: StartPolicy,
    strategy: Type.Optional(
      Type.String({ minLength: 1, description: 'Name of the strategy that picks an instance for each request.' }),
    ),
    routing: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'Options of the strategy, checked by its own schema.' }),
    ),
  },
  { additionalProperties: false, default: {} },
)
export type ServiceConfig = Static<typeof ServiceConfig>
