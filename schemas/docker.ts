import { type Static, Type } from '@sinclair/typebox'
import { Argv, Milliseconds } from './units.ts'

const shared = {
  host: Type.String({
    title: 'unix:///path/of/the.sock or tcp://host:port',
    pattern: '^(unix:///.+|tcp://[^\\s/@]+:\\d+/?)$',
    default: 'unix:///var/run/docker.sock',
    description: 'Where the Docker Engine listens: `unix:///path` or `tcp://host:port`.',
  }),
  tls: Type.Optional(
    Type.Object(
      {
        ca_file: Type.Optional(
          Type.String({ minLength: 1, description: "PEM file of the authority that signed the daemon's certificate." }),
        ),
        cert_file: Type.Optional(Type.String({ minLength: 1, description: "PEM file of the gateway's own certificate." })),
        key_file: Type.Optional(Type.String({ minLength: 1, description: 'PEM file of the key that belongs to it.' })),
      },
      { additionalProperties: false, description: 'Makes a `tcp` host one with TLS; files relative to the config file.' },
    ),
  ),
  timeout_ms: Milliseconds({
    default: 60_000,
    description: 'How long the daemon may take for an answer; pulling and stopping have bounds of their own.',
  }),
  stop_grace_ms: Milliseconds({
    default: 10_000,
    description: 'How long a container may take to end before it is killed; the Engine counts in whole seconds.',
  }),
  log_lines: Type.Integer({
    minimum: 0,
    maximum: 10_000,
    default: 200,
    description: "How many of the newest lines of a container's log are shown.",
  }),
}

/** `plugins.docker`: defaults of all services. */
export const DockerOptions = Type.Object(shared, { additionalProperties: false, default: {} })
export type DockerOptions = Static<typeof DockerOptions>

const PORT = '^((\\d{1,3}(\\.\\d{1,3}){3}|\\[[0-9A-Fa-f:.]+\\]):)?(\\d{1,5}:)?\\d{1,5}(/(tcp|udp|sctp))?$'
const Name = (description: string) =>
  Type.Optional(Type.String({ title: 'a name of a container', pattern: '^[a-zA-Z0-9][a-zA-Z0-9_.-]*$', description }))

/** `services.<id>.docker`: a container that is the service; one that exists, or one that is made of an image. */
export const DockerServiceOptions = Type.Object(
  {
    container: Name('An existing container, by name or id.'),
    label: Type.Optional(
      Type.String({ minLength: 1, description: 'An existing container, by the label that it alone has: `key` or `key=value`.' }),
    ),
    image: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'The image of a container that Hestia makes, and makes anew when what follows changes.',
      }),
    ),
    pull: Type.Union([Type.Literal('missing'), Type.Literal('always'), Type.Literal('never')], {
      default: 'missing',
      description: 'When to pull the image before a start.',
    }),
    registry: Type.Optional(
      Type.Object(
        {
          username: Type.String(),
          password: Type.String({ description: 'Best from outside the file: a variable of the environment, or a file.' }),
          server: Type.Optional(Type.String({ description: 'Address of the registry, if it is not in the name of the image.' })),
        },
        { additionalProperties: false, description: 'Who pulls the image.' },
      ),
    ),
    name: Name('Name of the container that is made; `hestia-<service>-<instance>` if absent.'),
    command: Type.Optional(Argv({ description: "Arguments of the image's entry point, or its command." })),
    entrypoint: Type.Optional(Argv({ description: "Instead of the image's entry point." })),
    env: Type.Record(Type.String({ minLength: 1 }), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
      default: {},
      description: 'Environment variables.',
    }),
    ports: Type.Array(Type.String({ title: 'a port as in "8188:8188" or "127.0.0.1:8188:80/tcp"', pattern: PORT }), {
      default: [],
      description:
        'As `docker run -p` takes them; one alone is the same inside and outside. Without an address: 127.0.0.1 where `base_url` is on the loopback interface, else all.',
    }),
    volumes: Type.Array(Type.String({ title: 'a volume as in "name:/data" or "./folder:/data:ro"', pattern: '^[^:]+:/.*$' }), {
      default: [],
      description: 'As `docker run -v` takes them; a path that begins with `./` is relative to the config file.',
    }),
    gpus: Type.Optional(
      Type.Union(
        [Type.Literal('all'), Type.Integer({ minimum: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })],
        {
          title: '"all", a number, or a list of ids of GPUs',
          description: '`all`, how many, or which ones.',
        },
      ),
    ),
    network: Type.Optional(Type.String({ minLength: 1, description: 'Name of a network, or `host`.' })),
    create: Type.Record(Type.String(), Type.Unknown(), {
      default: {},
      description:
        "Anything else, in the words of the Engine's API (`ContainerCreate`): `{ HostConfig: { ShmSize: 1073741824 } }`.",
    }),
    auto_remove: Type.Boolean({
      default: false,
      description: 'Remove the container, with its unnamed volumes, when it was stopped; only one that Hestia made.',
    }),
    healthcheck: Type.Union([Type.Literal('auto'), Type.Literal('required'), Type.Literal('off')], {
      default: 'auto',
      description:
        "The container's own HEALTHCHECK: `auto` waits until it is healthy if it has one and the service no `health` of its own; `required` fails if it has none, and needs neither `health` nor `warmup_ms`.",
    }),
    ...shared,
  },
  { additionalProperties: false },
)
export type DockerServiceOptions = Static<typeof DockerServiceOptions>
