import type { FastifyInstance } from 'fastify'

/** Bodies of requests to routes of `app` pass as they come: nobody parses them, whatever their media type. */
export function leaveBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  // The choice of a pattern is remembered for each media type; for `*`, the type would be parsed anew with each request.
  app.addContentTypeParser(/^/, (_request, _payload, done) => done(null))
}
