import { type Static, Type } from '@sinclair/typebox'
import { Argv, Capability, Milliseconds } from './units.ts'

const waking = {
  broadcast: Type.String({
    minLength: 1,
    default: '255.255.255.255',
    description:
      'Where packets are sent. With more than one network, the broadcast address of the one that the machine is in, such as `192.168.1.255`.',
  }),
  port: Type.Integer({ minimum: 1, maximum: 65_535, default: 9, description: 'UDP port that packets are sent to.' }),
  timeout_ms: Milliseconds({
    default: 120_000,
    minimum: 1,
    description: 'How long the machine may take until it answers. This time does not count into `start.timeout_ms`.',
  }),
  resend_ms: Milliseconds({ default: 1000, minimum: 50, description: 'How often the packet is sent again while it does not.' }),
  retry_after_ms: Milliseconds({
    default: 60_000,
    description:
      'A machine that did not wake counts as unavailable for so long: requests go to other machines, if there are any.',
  }),
}

const sleeping = {
  sleep_after_ms: Milliseconds({
    default: 5000,
    description: 'How long nothing must have run on the machine before it is put to sleep.',
  }),
  sleep_timeout_ms: Milliseconds({
    default: 30_000,
    minimum: 1,
    description: 'How long it may take to fall asleep: until it does not answer any more.',
  }),
}

const Wake = (properties: typeof waking) =>
  Type.Object(properties, { additionalProperties: false, default: {}, description: 'How all machines are woken.' })

/** `plugins.wake-on-lan`: defaults of all machines. */
export const WakeOnLanOptions = Type.Object({ wake: Wake(waking), ...sleeping }, { additionalProperties: false, default: {} })
export type WakeOnLanOptions = Static<typeof WakeOnLanOptions>

/** What `wake-on-lan` reads of `machines.<name>`. */
export const WakeOnLanMachine = Type.Object(
  {
    wake: Type.Object(
      {
        ...waking,
        probe: Type.Optional(
          Type.String({
            title: 'a probe as "tcp://host:22", or an http(s) URL',
            pattern: '^(tcp://[^\\s/?#@]+:\\d{1,5}|https?://\\S+)$',
            description:
              'What tells that the machine is up: a TCP connection that is accepted, or an HTTP answer below 500. Without it, ' +
              'that it answers at all at port 22 of its `address`, be it by refusing.',
          }),
        ),
      },
      { additionalProperties: false, default: {} },
    ),
    sleep: Type.Optional(
      Argv({ description: 'Program and arguments that put it to sleep when nothing runs on it any more. No shell is involved.' }),
    ),
    ...sleeping,
  },
  { additionalProperties: false },
)
export type WakeOnLanMachine = Static<typeof WakeOnLanMachine>

const MACHINE_STATES = ['unknown', 'waking', 'up', 'sleeping', 'off'] as const
export type MachineState = (typeof MACHINE_STATES)[number]

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description })

/** One machine, as `GET /v1/machines` shows it. */
export const MachineStatus = Type.Object(
  {
    name: Type.String(),
    role: Type.String(),
    address: Type.String(),
    capabilities: Type.Record(Type.String(), Capability),
    state: Type.Union(
      MACHINE_STATES.map((state) => Type.Literal(state)),
      {
        description:
          'As last seen: `sleeping` while it is being put to sleep, `off` when it does not answer, `unknown` before it was needed.',
      },
    ),
    since: Nullable(Type.String(), 'Since when; null while it is unknown.'),
    available: Type.Boolean({ description: 'False for a while after it did not wake.' }),
    wakes: Type.Boolean({ description: 'Whether it is woken when a service on it is to start.' }),
    sleeps: Type.Boolean({ description: 'Whether it is put to sleep when nothing runs on it any more.' }),
    lastWakeMs: Nullable(Type.Integer(), 'How long it took to wake the last time.'),
    lastWokenAt: Nullable(Type.String(), 'When it had woken the last time.'),
    lastError: Nullable(Type.String(), 'Why it could not be woken or put to sleep the last time, until that goes well.'),
    services: Type.Array(
      Type.Object({ service: Type.String(), instance: Type.String(), state: Type.String() }, { additionalProperties: false }),
      { description: 'What may run on it.' },
    ),
  },
  { additionalProperties: false },
)
export type MachineStatus = Static<typeof MachineStatus>

/** `GET /v1/machines`. */
export const MachineList = Type.Array(MachineStatus)
