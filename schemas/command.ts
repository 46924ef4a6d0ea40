import { type Static, Type } from '@sinclair/typebox'
import { Argv, Milliseconds } from './units.ts'

/** A list is a program and its arguments; a text is a line for the shell. */
const Command = (description: string) =>
  Type.Union([Argv(), Type.String({ minLength: 1 })], {
    title: 'a list of program and arguments, or a text for the shell',
    description,
  })

const shared = {
  timeout_ms: Milliseconds({
    default: 60_000,
    description: 'How long `start`, and `stop`, may take; then it is ended, with everything that it started.',
  }),
  status_timeout_ms: Milliseconds({ default: 10_000, description: 'The same for `status`; what takes longer says "no".' }),
  kill_grace_ms: Milliseconds({
    default: 2000,
    description: 'How long a command that has to be ended may take to end by itself (SIGTERM) before it is killed.',
  }),
  log_lines: Type.Integer({
    minimum: 0,
    maximum: 10_000,
    default: 200,
    description: 'How many of the newest output lines of the commands are kept for each instance.',
  }),
}

/** `plugins.command`: defaults of all services. */
export const CommandOptions = Type.Object(shared, { additionalProperties: false, default: {} })
export type CommandOptions = Static<typeof CommandOptions>

/** `services.<id>.command`: commands that bring the service up and down, wherever it runs. */
export const CommandServiceOptions = Type.Object(
  {
    start: Command(
      'Brings it up, and ends; exit code 0 means that it went well. A list runs without a shell, a text in `/bin/sh`.',
    ),
    stop: Type.Optional(Command('Brings it down; also after a start that failed. Without it nothing is ever stopped.')),
    status: Type.Optional(
      Command('Exit code 0 means that it runs, and `start` is left out. Also asked after a restart of the gateway.'),
    ),
    cwd: Type.Optional(
      Type.String({ minLength: 1, description: "Working folder, relative to the config file's; that folder if absent." }),
    ),
    env: Type.Optional(
      Type.Record(Type.String({ minLength: 1 }), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
        description: 'Added to the environment of the gateway and to what tells of the instance, as HESTIA_URL.',
      }),
    ),
    ...shared,
  },
  { additionalProperties: false },
)
export type CommandServiceOptions = Static<typeof CommandServiceOptions>
