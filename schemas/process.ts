import { type Static, Type } from '@sinclair/typebox'
import { Argv, Milliseconds } from './units.ts'

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGKILL'] as const

const shared = {
  stop_signal: Type.Union(
    SIGNALS.map((name) => Type.Literal(name)),
    { default: 'SIGTERM', description: 'Signal that asks the process, its group and what descends from it to end.' },
  ),
  stop_grace_ms: Milliseconds({
    default: 10_000,
    description: 'How long it may take to end before it is killed, with everything that it started.',
  }),
  log_lines: Type.Integer({
    minimum: 0,
    maximum: 10_000,
    default: 200,
    description: 'How many of the newest output lines are kept for each instance.',
  }),
}

/** `plugins.process`: defaults of all services. */
export const ProcessOptions = Type.Object(shared, { additionalProperties: false, default: {} })
export type ProcessOptions = Static<typeof ProcessOptions>

/** `services.<id>.process`: a program on this machine that is the service. */
export const ProcessServiceOptions = Type.Object(
  {
    command: Argv({ description: 'Program and arguments; it must stay in the foreground. No shell is involved.' }),
    cwd: Type.Optional(
      Type.String({ minLength: 1, description: "Working folder, relative to the config file's; that folder if absent." }),
    ),
    env: Type.Optional(
      Type.Record(Type.String({ minLength: 1 }), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
        description: 'Added to the environment of the gateway and to HOST, PORT and HESTIA_URL, which tell where to listen.',
      }),
    ),
    ...shared,
  },
  { additionalProperties: false },
)
export type ProcessServiceOptions = Static<typeof ProcessServiceOptions>
