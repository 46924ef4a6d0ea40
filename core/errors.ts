/** Every error that Hestia answers a client with stands in this one table; the code is what clients may rely on. */
const TABLE = {
  invalid_request: [400, 'The request is not valid'],
  bad_path: [400, 'The path climbs above the service it names'],
  bad_request_framing: [400, 'The request cannot be told apart from the next one'],
  unauthorized: [401, 'The request needs credentials, and has none that are valid'],
  forbidden: [403, 'The credentials do not permit this'],
  cross_site: [403, 'A web page of another site sent the request'],
  unknown_service: [404, 'There is no such service'],
  model_not_found: [404, 'No service has this model'],
  not_found: [404, 'There is nothing at this address'],
  method_not_allowed: [405, 'This address does not take this method'],
  request_timeout: [408, 'The head of the request did not arrive in time'],
  already_running: [409, 'The service is already starting or running'],
  already_stopped: [409, 'The service is not running'],
  uri_too_long: [414, 'The address is longer than any that could be known here'],
  expectation_failed: [417, 'Hestia knows no expectation but 100-continue'],
  body_too_large: [413, 'The body is larger than this service takes'],
  unsupported_media_type: [415, 'This address takes application/json'],
  unknown_host: [421, 'This gateway is not known under the name that the request has for it'],
  invalid_config: [422, 'The configuration is not valid; the previous one keeps serving'],
  rate_limited: [429, 'Too many requests came from here'],
  headers_too_large: [431, 'The head of the request is too large'],
  internal_error: [500, 'Hestia failed on this request'],
  method_not_implemented: [501, 'Hestia does not know this method'],
  upstream_failed: [502, 'The service broke off or answered nonsense'],
  upstream_unreachable: [502, 'The service cannot be reached'],
  routing_failed: [502, 'Choosing an instance failed'],
  start_failed: [503, 'The service could not be started'],
  starting: [503, 'The service is being started; try again'],
  queue_full: [503, 'Too many requests wait for this service'],
  still_waiting: [503, 'The request would have had to wait longer than the client wanted'],
  queue_timeout: [503, 'The service was not ready in time'],
  no_instance: [503, 'No instance of this service can take the request'],
  service_removed: [503, 'The service is being removed'],
  store_unavailable: [503, 'The database cannot be used now'],
  shutting_down: [503, 'Hestia is shutting down'],
  upstream_timeout: [504, 'The service did not answer in time'],
  loop_detected: [508, 'The request came back to Hestia that had sent it'],
} as const satisfies Record<string, readonly [status: number, sentence: string]>

export type ErrorCode = keyof typeof TABLE

/** Codes with their HTTP status and sentence: what the docs and the OpenAPI description are generated from. */
export const ERRORS: Readonly<Record<ErrorCode, readonly [status: number, sentence: string]>> = TABLE

export interface ErrorDetails {
  /** What happened in this case and what to do; replaces the table's sentence. */
  message?: string
  cause?: unknown
  /** When trying again makes sense, in milliseconds from now; sent as `retry_after_ms` and `Retry-After`. */
  retryAfterMs?: number
  /** Further fields of the JSON body. */
  fields?: Record<string, unknown>
}

/** An error with a code of the table; whatever else is thrown while a request is served becomes `internal_error`. */
export class HestiaError extends Error {
  readonly code: ErrorCode
  readonly statusCode: number
  readonly retryAfterMs: number | undefined
  readonly fields: Record<string, unknown>

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    const [status, sentence] = TABLE[code]
    super(details.message ?? `${sentence}.`, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'HestiaError'
    this.code = code
    this.statusCode = status
    this.retryAfterMs = details.retryAfterMs ?? (status === 503 ? 1000 : undefined)
    this.fields = details.fields ?? {}
  }

  /** The JSON body of the answer. */
  body(requestId: string): Record<string, unknown> {
    return {
      error: this.code,
      message: this.message,
      request_id: requestId,
      ...(this.retryAfterMs === undefined ? {} : { retry_after_ms: this.retryAfterMs }),
      ...this.fields,
    }
  }

  /** `Retry-After` counts whole seconds (RFC 9110, 10.2.3), never zero, so that clients don't come back at once. */
  get retryAfterSeconds(): number | undefined {
    return this.retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(this.retryAfterMs / 1000))
  }
}

/** The sentence of anything that was thrown. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

/** Anything thrown, as an Error. */
export const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)))
