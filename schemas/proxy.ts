import { type Static, Type } from '@sinclair/typebox'
import { Milliseconds } from './units.ts'

/** `services.<id>.proxy`, and `plugins.proxy` with the defaults for all services: how requests are passed on. */
export const ProxyServiceOptions = Type.Object(
  {
    connect_timeout_ms: Milliseconds({
      default: 5000,
      description: 'Longest time until a connection to the service stands, TLS included; 0 waits for ever.',
    }),
    first_byte_timeout_ms: Milliseconds({
      default: 300_000,
      description: 'Longest time from the end of the request until the head of the answer; 0 waits for ever.',
    }),
    idle_timeout_ms: Milliseconds({
      default: 0,
      description: 'Longest silence in the middle of an answer before it is broken off; 0 allows any.',
    }),
    host: Type.Union([Type.Literal('upstream'), Type.Literal('client')], {
      default: 'upstream',
      description: "`Host` header that the service sees: that of its own URL, or the client's.",
    }),
    tls: Type.Object(
      {
        ca_file: Type.Optional(Type.String({ minLength: 1, description: 'File with the CA certificates to trust, in PEM.' })),
        reject_unauthorized: Type.Boolean({
          default: true,
          description: 'Whether a certificate that cannot be verified is refused.',
        }),
      },
      { additionalProperties: false, default: {}, description: 'For services behind https.' },
    ),
    rewrite_location: Type.Boolean({
      default: true,
      description: 'Whether Location, Content-Location, Refresh and the path and domain of cookies are fitted to the prefix.',
    }),
    decision_headers: Type.Boolean({
      default: true,
      description:
        "Whether answers say what was decided: `X-Hestia-Instance`, `X-Hestia-Reason`, `X-Hestia-Cold-Start` (milliseconds waited for a start), `X-Hestia-Error` (code of an error that is not the service's own).",
    }),
    waiting_page_ms: Milliseconds({
      default: 0,
      description: 'A browser that would wait longer than this for a page is shown one that goes on by itself; 0: it just waits.',
    }),
    forwarded: Type.Boolean({ default: false, description: 'Whether `Forwarded` (RFC 7239) is sent besides X-Forwarded-*.' }),
  },
  { additionalProperties: false, default: {} },
)
export type ProxyServiceOptions = Static<typeof ProxyServiceOptions>

/** `plugins.proxy`. */
export const ProxyOptions = ProxyServiceOptions
export type ProxyOptions = ProxyServiceOptions
