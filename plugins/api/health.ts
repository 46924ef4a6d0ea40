import type { FastifyInstance } from 'fastify'
import { isAllowed } from 'hestia'
import { Health, Readiness } from '../../schemas/api.ts'

const healthSchema = {
  operationId: 'getHealth',
  summary: 'Whether the gateway lives',
  description: 'Looks at no service.',
  tags: ['gateway'],
  response: { 200: Health },
}

const readySchema = {
  operationId: 'getReadiness',
  summary: 'Whether the gateway takes requests',
  description: 'Looks at no service. A configuration that was refused, or a database that fails, keep nobody from being served.',
  tags: ['gateway'],
  response: { 200: Readiness, 503: Readiness },
}

/** Liveness and readiness of the gateway itself; neither looks at a service. */
export function healthRoutes(app: FastifyInstance): void {
  app.get('/__health', { config: { permission: 'public' }, schema: healthSchema }, () => ({ status: 'ok' }))

  app.get('/__ready', { config: { permission: 'public' }, schema: readySchema }, ({ caller }, reply) => {
    const { ready, generation, problems } = app.hestia
    void reply.code(ready ? 200 : 503)
    const config = problems.length === 0 ? 'ok' : 'refused'
    // A database that fails keeps nobody from being served, so that it is told and no reason to be unready.
    const status = ready ? 'ready' : 'not_ready'
    // Problems quote the configuration.
    if (!isAllowed(caller, 'read')) return { status, generation, config, problems: [] }
    return { status, generation, config, problems, store: app.store?.health() }
  })
}
