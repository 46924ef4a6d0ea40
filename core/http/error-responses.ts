import { type TProperties, type TSchema, Type } from '@sinclair/typebox'
import { ERRORS, type ErrorCode } from '../errors.ts'

const CODES = Object.keys(ERRORS) as ErrorCode[]

/** A list of codes with their sentences, in Markdown. */
export const errorSentences = (codes: readonly ErrorCode[]): string =>
  codes.map((code) => `- \`${code}\`: ${ERRORS[code][1]}.`).join('\n')

/** All codes of the table. */
export const ErrorCodeSchema = Type.Unsafe<ErrorCode>({
  $id: 'ErrorCode',
  type: 'string',
  enum: CODES,
  description: `What went wrong, for programs to rely on.\n\n${errorSentences(CODES)}`,
})

/** The JSON body of every error of Hestia's own. */
export const ErrorSchema = Type.Object(
  {
    error: Type.Union([ErrorCodeSchema, Type.String({ description: 'A code of a plugin that is not part of Hestia.' })]),
    message: Type.String({ description: 'What happened and what to do, for people.' }),
    request_id: Type.String({ description: 'The `x-request-id` of the answer; it is in every log line about the request.' }),
    retry_after_ms: Type.Optional(
      Type.Integer({ minimum: 0, description: 'When trying again makes sense, in milliseconds from now; with each 503.' }),
    ),
  },
  { $id: 'Error', additionalProperties: true, description: 'Some codes come with more fields.' },
)

/** What a route answers with one status, as Fastify takes it and OpenAPI shows it. */
export interface ErrorResponse {
  readonly description: string
  readonly content: { readonly 'application/json': { readonly schema: TSchema } }
}

/**
 * The errors that a route can answer, by status, to be spread into the `response` of its schema; the value of a code are the
 * fields that come with it. What any route can answer (see {@link GENERAL_ERRORS}) needn't be said.
 */
export function errorResponses(codes: { readonly [C in ErrorCode]?: TProperties }): Record<number, ErrorResponse> {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of Object.keys(codes) as ErrorCode[]) {
    const [status] = ERRORS[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      { description: errorSentences(of), content: { 'application/json': { schema: narrowed(of, codes) } } },
    ]),
  )
}

/** An error with one of a few codes; fields that only one of several has may be missing. */
function narrowed(of: readonly ErrorCode[], codes: { readonly [C in ErrorCode]?: TProperties }): TSchema {
  const fields = of.map((code) => Type.Object(codes[code] ?? {}))
  const properties = Object.assign(
    {},
    ...fields.map((one) => (of.length === 1 ? one : Type.Partial(one)).properties),
  ) as TProperties
  return Type.Intersect([
    ErrorSchema,
    Type.Object({ error: Type.Unsafe<ErrorCode>({ type: 'string', enum: of }), ...properties }),
  ])
}

/** What forwarding a request to a service may end with, when the service itself doesn't answer; for {@link errorResponses}. */
export const FORWARDING_ERRORS = {
  invalid_request: {},
  bad_path: {},
  unknown_service: {},
  body_too_large: {},
  upstream_failed: {},
  upstream_unreachable: {},
  routing_failed: {},
  start_failed: {},
  starting: {},
  queue_full: {},
  still_waiting: {},
  queue_timeout: {},
  no_instance: {},
  service_removed: {},
  shutting_down: {},
  upstream_timeout: {},
  loop_detected: {},
} as const satisfies { readonly [C in ErrorCode]?: TProperties }

/** What any address of Hestia's own can answer, whatever its route says; the rest is said by {@link errorResponses}. */
export const GENERAL_ERRORS: readonly ErrorCode[] = [
  'invalid_request',
  'bad_request_framing',
  'cross_site',
  'request_timeout',
  'uri_too_long',
  'expectation_failed',
  'unknown_host',
  'headers_too_large',
  'internal_error',
  'method_not_implemented',
  'shutting_down',
]
