import type { FastifyError, FastifyInstance } from 'fastify'
import { HestiaError } from 'hestia'

/** What an error in a client's own language is made of. */
export interface Trouble {
  readonly message: string
  readonly statusCode: number
  readonly code: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Answers what is thrown on the routes of `scope`, also by other plugins, in the language of its clients. */
export function answerErrors(scope: FastifyInstance, bodyOf: (trouble: Trouble) => object): void {
  scope.setErrorHandler((thrown: unknown, request, reply) => {
    const trouble = troubleOf(thrown)
    if (trouble.statusCode === 500) request.log.error({ err: thrown }, 'a request failed for a reason nobody foresaw')
    if (thrown instanceof HestiaError && thrown.retryAfterSeconds !== undefined)
      reply.header('retry-after', thrown.retryAfterSeconds)
    return reply.code(trouble.statusCode).send(bodyOf(trouble))
  })
}

/** What Fastify and its plugins refuse is meant for the client; the text of anything else is not. */
function troubleOf(thrown: unknown): Trouble {
  if (thrown instanceof HestiaError) return thrown
  const { statusCode = 500, message, code } = thrown as Partial<FastifyError>
  if (statusCode < 400 || statusCode >= 500) return new HestiaError('internal_error')
  return { statusCode, message: message ?? 'The request was refused.', code: (code ?? 'error').toLowerCase(), fields: {} }
}
