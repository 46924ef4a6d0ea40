import type { FastifyInstance } from 'fastify'

/** Liveness and readiness of the gateway itself; neither looks at a service. */
export function healthRoutes(app: FastifyInstance): void {
  app.get('/__health', () => ({ status: 'ok' }))

  app.get('/__ready', (_request, reply) => {
    const { ready, generation, problems } = app.hestia
    void reply.code(ready ? 200 : 503)
    const config = problems.length === 0 ? 'ok' : 'refused'
    // A database that fails keeps nobody from being served, so that it is told and no reason to be unready.
    return { status: ready ? 'ready' : 'not_ready', generation, config, problems, store: app.store?.health() }
  })
}
