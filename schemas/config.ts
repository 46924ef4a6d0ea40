import { type Static, Type } from '@sinclair/typebox'
import { Bytes, Capability, Milliseconds } from './units.ts'
import { WakeOnLanMachine } from './wake-on-lan.ts'

/** Keys of machines that shipped plugins read which are off unless listed, so that who uses one is told which plugin it needs. */
export const SHIPPED_MACHINE_KEYS: Readonly<Record<string, readonly string[]>> = {
  'wake-on-lan': Object.keys(WakeOnLanMachine.properties),
}

/** `server`: the one port in front of everything. */
export const ServerConfig = Type.Object(
  {
    host: Type.String({ default: '127.0.0.1', description: 'Address to listen on.' }),
    port: Type.Integer({
      minimum: 0,
      maximum: 65_535,
      default: 8080,
      description: 'Port to listen on; 0 lets the system choose.',
    }),
    trusted_hosts: Type.Array(Type.String({ pattern: '^[A-Za-z0-9.-]+$' }), {
      default: [],
      description:
        'Host names under which the gateway itself is reached, as behind a reverse proxy; addresses, names without a dot and reserved ones (`localhost`, `*.local`) always are. A request for another name gets 421, which keeps web pages out that point a name of theirs here. Services have `hosts`.',
    }),
    max_header_bytes: Bytes({
      default: 32_768,
      description: 'Longest request head; more is answered 431. Takes effect with a new listener.',
    }),
    max_body_bytes: Bytes({
      default: 10_485_760,
      description: 'Largest request body that routing looks into, and so holds in memory; more is answered 413. Others pass.',
    }),
    head_timeout_ms: Milliseconds({ default: 60_000, description: 'How long a client may take to send the head of a request.' }),
    keep_alive_timeout_ms: Milliseconds({ default: 75_000, description: 'How long an idle client connection is kept.' }),
    fast_lane: Type.Boolean({
      default: true,
      description:
        'Whether plain requests take a shorter way than that of node:http, with the same result; what is out of the ordinary never does. Counts for new connections.',
    }),
    drain_timeout_ms: Milliseconds({
      default: 30_000,
      description: 'Longest time that requests under way may take when their generation retires or the gateway ends.',
    }),
  },
  { additionalProperties: false, default: {} },
)
export type ServerConfig = Static<typeof ServerConfig>

const levels = [
  Type.Literal('fatal'),
  Type.Literal('error'),
  Type.Literal('warn'),
  Type.Literal('info'),
  Type.Literal('debug'),
  Type.Literal('trace'),
  Type.Literal('silent'),
]

/** `log.access`: the line that each request leaves when it is over. */
export const AccessLogConfig = Type.Object(
  {
    level: Type.Union([Type.Literal('info'), Type.Literal('debug'), Type.Literal('trace')], {
      default: 'info',
      description:
        'Level of these lines; they are written if `log.level`, or `log.levels.request`, lets them through. Requests to Hestia itself leave one too: at `info` what may change something, at `debug` what only looks.',
    }),
    sample: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 1,
      description: 'Share of the requests that get a line: 1 all, 0.01 one in a hundred, 0 none.',
    }),
  },
  { additionalProperties: false, default: {} },
)

/** `log`: what is written to standard output. */
export const LogConfig = Type.Object(
  {
    level: Type.Union([...levels], { default: 'info', description: 'Least important level that is written.' }),
    levels: Type.Record(Type.String(), Type.Union([...levels]), {
      default: {},
      description:
        'Levels of single plugins (`{ process: debug }`), or of events by the first part of their type (`{ request: debug, instance: warn }`).',
    }),
    format: Type.Union([Type.Literal('auto'), Type.Literal('pretty'), Type.Literal('json')], {
      default: 'auto',
      description: '`auto` is pretty on a terminal and JSON elsewhere.',
    }),
    access: AccessLogConfig,
  },
  { additionalProperties: false, default: {} },
)
export type LogConfig = Static<typeof LogConfig>

/** One entry of `machines`. */
export const MachineConfig = Type.Object(
  {
    role: Type.Union([Type.Literal('local'), Type.Literal('remote'), Type.Literal('hpc')], {
      default: 'remote',
      description: 'What kind of computer it is, for `routing_rules`.',
    }),
    address: Type.String({ minLength: 1, description: 'Host name or IP address.' }),
    mac: Type.Optional(
      Type.String({
        pattern: '^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$',
        description: 'Address of its network card, to which `wake-on-lan` sends its packets.',
      }),
    ),
    capabilities: Type.Record(Type.String(), Capability, {
      default: {},
      description: 'What it has: `{ gpu: true, vram_gb: 24 }`; services ask for it with `requires`.',
    }),
  },
  { additionalProperties: false, default: {} },
)
export type MachineConfig = Static<typeof MachineConfig>

const Role = Type.Union([Type.Literal('local'), Type.Literal('remote'), Type.Literal('hpc')])

/** One entry of `routing_rules`: on which machines services of some kind should rather run. */
export const RoutingRule = Type.Object(
  {
    name: Type.String({ minLength: 1, description: 'Shown in the status of the services that it places.' }),
    priority: Type.Integer({ description: 'Unique; the rule with the greatest that matches counts.' }),
    match: Type.Object(
      {
        tags: Type.Array(Type.String(), { default: [], description: 'The service has all of these tags.' }),
        requires: Type.Array(Type.String(), { default: [], description: 'The service asks for all of these capabilities.' }),
      },
      { additionalProperties: false, default: {} },
    ),
    target_machine_role: Type.Union([...Role.anyOf], { description: 'Role of the machines that are preferred.' }),
  },
  { additionalProperties: false },
)
export type RoutingRule = Static<typeof RoutingRule>

/** The top level of `hestia_config.yml`. The values of `plugins` and `services` are checked by the plugins' own schemas. */
export const RootConfig = Type.Object(
  {
    server: ServerConfig,
    log: LogConfig,
    shutdown: Type.Union([Type.Literal('stop'), Type.Literal('leave')], {
      default: 'stop',
      description: 'Whether services that Hestia started are stopped when it ends.',
    }),
    machines: Type.Record(Type.String(), MachineConfig, { default: {} }),
    routing_rules: Type.Array(RoutingRule, { default: [] }),
    plugins: Type.Record(Type.String(), Type.Unknown(), { default: {} }),
    services: Type.Record(Type.String(), Type.Unknown(), { default: {} }),
  },
  { additionalProperties: false, default: {} },
)
export type RootConfig = Static<typeof RootConfig>
