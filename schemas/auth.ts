import { type Static, Type } from '@sinclair/typebox'
import { Milliseconds } from './units.ts'

const Scopes = (description: string) => Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { description, maxItems: 100 })

const KeyName = Type.String({
  pattern: '^[A-Za-z0-9][\\w .@-]{0,62}$',
  description: 'Shown in lists and logs instead of the key.',
})

/** One entry of `plugins.auth.keys`. */
export const ConfiguredKey = Type.Object(
  {
    name: KeyName,
    key: Type.Optional(
      Type.String({
        pattern: '^[\\x21-\\x7e]{20,200}$',
        title: 'a key of 20 to 200 printable characters without spaces',
        description: 'The key itself, best as `${VARIABLE}`.',
      }),
    ),
    hash: Type.Optional(
      Type.String({
        pattern: '^sha256:[0-9a-f]{64}$',
        title: '"sha256:" and 64 hexadecimal digits',
        description: 'Instead of the key: `sha256:` and its SHA-256 in hexadecimal digits.',
      }),
    ),
    scopes: Scopes('What it permits.'),
  },
  { additionalProperties: false },
)
export type ConfiguredKey = Static<typeof ConfiguredKey>

/** One entry of `plugins.auth.users`. */
export const ConfiguredUser = Type.Object(
  {
    name: Type.String({ pattern: '^[\\w.@-]{1,64}$', description: 'To log in with.' }),
    password_hash: Type.String({
      pattern: '^\\$scrypt\\$ln=\\d+,r=\\d+,p=\\d+\\$[A-Za-z0-9+/]+\\$[A-Za-z0-9+/]+$',
      title: 'a password hash as "hestia password" prints it',
      description: '`$scrypt$ln=..,r=..,p=..$salt$hash`, as `hestia password` prints it.',
    }),
    scopes: Type.Array(Type.String({ minLength: 1 }), {
      default: ['admin'],
      description: 'What the user may do once logged in.',
    }),
  },
  { additionalProperties: false },
)
export type ConfiguredUser = Static<typeof ConfiguredUser>

/** `plugins.auth`. */
export const AuthOptions = Type.Object(
  {
    keys: Type.Array(ConfiguredKey, { default: [], description: 'Keys: `{ name, key | hash, scopes }`. The API makes others.' }),
    users: Type.Array(ConfiguredUser, {
      default: [],
      description: 'Who can log in with a browser: `{ name, password_hash, scopes }`, scopes `[admin]` if absent.',
    }),
    trusted_hosts: Type.Array(Type.String({ pattern: '^[A-Za-z0-9.-]+$' }), {
      default: [],
      description: 'Further names of the gateway, besides `server.trusted_hosts`.',
    }),
    rate_limit: Type.Object(
      {
        max: Type.Integer({
          minimum: 0,
          default: 0,
          description: 'How many requests one key, user or, without credentials, one address may make in a window; 0: no limit.',
        }),
        window_ms: Milliseconds({ minimum: 1000, default: 60_000, description: 'How long a window is.' }),
      },
      { additionalProperties: false, default: {} },
    ),
    session_ms: Milliseconds({ minimum: 1000, default: 604_800_000, description: 'How long a login holds.' }),
  },
  { additionalProperties: false, default: {} },
)
export type AuthOptions = Static<typeof AuthOptions>

/** `services.<id>.auth`: who may use this service. */
export const AuthServiceOptions = Type.Object(
  {
    public: Type.Union([Type.Boolean(), Type.Literal('use')], {
      default: false,
      description: 'Whether it needs no credentials: `true` to use and to wake it, `use` only while it runs.',
    }),
    scopes: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-z][\\w.-]*$' }), {
        description:
          'Scopes of your own (`[family]`), each of which permits this service; with them given, `services:*` does not, only `services:<id>` and `admin` still do.',
      }),
    ),
  },
  { additionalProperties: false, default: {} },
)
export type AuthServiceOptions = Static<typeof AuthServiceOptions>

/** `POST /v1/keys`. */
export const NewKey = Type.Object({ name: KeyName, scopes: Scopes('What it permits.') }, { additionalProperties: false })
export type NewKey = Static<typeof NewKey>

/** A key as lists show it. */
export const KeyEntry = Type.Object({
  id: Type.String({ description: 'Its public part; of one from the configuration, `config:` and its name.' }),
  name: Type.String(),
  scopes: Type.Array(Type.String()),
  source: Type.Union([Type.Literal('config'), Type.Literal('store')]),
  created_at: Type.Union([Type.String(), Type.Null()], { description: 'ISO 8601.' }),
  last_used_at: Type.Union([Type.String(), Type.Null()], { description: 'ISO 8601, to the minute.' }),
  disabled: Type.Boolean(),
})
export type KeyEntry = Static<typeof KeyEntry>

/** Its answer: the only time that the key itself is told. */
export const MadeKey = Type.Composite([KeyEntry, Type.Object({ key: Type.String({ description: 'Told now and never again.' }) })])
export type MadeKey = Static<typeof MadeKey>

export const KeyList = Type.Object({ keys: Type.Array(KeyEntry) })
export const KeyParams = Type.Object({ id: Type.String({ minLength: 1 }) })
export type KeyParams = Static<typeof KeyParams>
export const KeyChange = Type.Object({ disabled: Type.Boolean() }, { additionalProperties: false })
export type KeyChange = Static<typeof KeyChange>

/** `POST /v1/session`. */
export const Login = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: 64 }), password: Type.String({ minLength: 1, maxLength: 1024 }) },
  { additionalProperties: false },
)
export type Login = Static<typeof Login>

/** Its answer. */
export const LoggedIn = Type.Object({
  name: Type.String(),
  expires_at: Type.String({ description: 'End of the login, ISO 8601.' }),
})

/** `GET /v1/session`: who asks, and what they may. */
export const SessionView = Type.Object({
  authenticated: Type.Boolean(),
  name: Type.String(),
  kind: Type.Union([Type.Literal('key'), Type.Literal('user'), Type.Literal('anonymous')]),
  read: Type.Boolean({ description: 'Whether the whole gateway may be looked at.' }),
  administer: Type.Boolean({ description: 'Whether the whole gateway may be administered.' }),
  services: Type.Record(Type.String(), Type.Array(Type.String()), {
    description: 'What is permitted, for each service that anything is.',
  }),
  expires_at: Type.Union([Type.String(), Type.Null()], { description: 'End of the login, ISO 8601; null for a key.' }),
})
export type SessionView = Static<typeof SessionView>
