import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type ErrorCode, HestiaError } from '../errors.ts'

const CODES: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid_request',
  413: 'body_too_large',
  415: 'unsupported_media_type',
}

/** Makes whatever was thrown while a request was served into an error of the table; the unknown becomes 500 without its text. */
function toHestiaError(thrown: unknown): HestiaError {
  if (thrown instanceof HestiaError) return thrown
  const { statusCode, message, validation } = thrown as Partial<FastifyError>
  const code = validation ? 'invalid_request' : CODES[statusCode ?? 500]
  return code
    ? new HestiaError(code, { message: message ?? code, cause: thrown })
    : new HestiaError('internal_error', { cause: thrown })
}

/** Answers what Fastify's router refuses before any hook or handler: addresses that can't be decoded, or are too long. */
export function answerBadUrl(thrown: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const code = thrown.statusCode === 414 ? 'uri_too_long' : 'invalid_request'
  const error = new HestiaError(code, { message: thrown.message, cause: thrown })
  void reply.code(error.statusCode).header('x-request-id', request.id).send(error.body(request.id))
}

/** Answers every error as JSON, in one shape. */
export function answerErrors(app: FastifyInstance): void {
  app.setErrorHandler((thrown: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const status = (thrown as Partial<FastifyError>).statusCode
    // What a Fastify plugin throws with a status of its own (401, 429) is meant for the client as it is.
    if (!(thrown instanceof HestiaError) && status !== undefined && status >= 400 && status < 500 && !CODES[status]) {
      const { code, message } = thrown as FastifyError
      return reply.code(status).send({ error: (code ?? 'error').toLowerCase(), message, request_id: request.id })
    }
    const error = toHestiaError(thrown)
    if (error.code === 'internal_error') request.log.error({ err: thrown }, 'a request failed for a reason nobody foresaw')
    if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds)
    return reply.code(error.statusCode).send(error.body(request.id))
  })
}
