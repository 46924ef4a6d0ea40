import { type Static, Type } from '@sinclair/typebox'
import { Bytes } from './units.ts'

/** `plugins.requests`: requests to services as JSON. */
export const RequestsOptions = Type.Object(
  {
    max_response_bytes: Bytes({
      default: 32 * 1024 * 1024,
      description: 'Largest answer of a service that is kept in memory; a larger one is answered 502.',
    }),
    max_request_bytes: Bytes({ default: 32 * 1024 * 1024, description: 'Largest request; a larger one is answered 413.' }),
  },
  { additionalProperties: false, default: {} },
)
export type RequestsOptions = Static<typeof RequestsOptions>

const HeaderValue = Type.String({ title: 'a text without line breaks, in Latin-1', pattern: '^[\\t\\x20-\\x7e\\x80-\\xff]*$' })

/** `POST /v1/requests`: what shall be asked of which service. */
export const GatewayRequest = Type.Object(
  {
    serviceId: Type.String({ minLength: 1, maxLength: 1000, description: 'A configured service.' }),
    method: Type.String({
      title: 'the name of a method',
      maxLength: 100,
      pattern: "^[!#$%&'*+.^`|~\\w-]+$",
      description: 'Any HTTP method, in capitals as a rule.',
    }),
    path: Type.String({
      title: 'a path that begins with a slash, percent-encoded',
      pattern: '^/[^\\x00-\\x20\\x7f#\\u0100-\\uffff]*$',
      description: 'Path and query below the service, percent-encoded.',
    }),
    headers: Type.Optional(
      Type.Record(
        Type.String({ pattern: "^[!#$%&'*+.^`|~\\w-]+$" }),
        Type.Union([HeaderValue, Type.Array(HeaderValue, { maxItems: 100 })]),
        {
          additionalProperties: false,
          description: 'Those that belong to the connection, and Host and Content-Length, are left out.',
        },
      ),
    ),
    body: Type.Optional(Type.Unknown({ description: 'A string is sent as it is, anything else as JSON; null is no body.' })),
  },
  { $id: 'GatewayRequest', additionalProperties: false },
)
export type GatewayRequest = Static<typeof GatewayRequest>

/** What the service answered. */
export const GatewayResponse = Type.Object(
  {
    status: Type.Integer(),
    headers: Type.Record(Type.String(), Type.Union([Type.String(), Type.Array(Type.String())]), {
      description: 'Names in lower case; those that came more than once as lists.',
    }),
    body: Type.Unknown({ description: 'JSON if the answer says that it is, else text; bytes as base64, with `encoding`.' }),
    encoding: Type.Optional(Type.Literal('base64')),
  },
  { $id: 'GatewayResponse' },
)
export type GatewayResponse = Static<typeof GatewayResponse>
