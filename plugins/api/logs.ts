import type { FastifyInstance } from 'fastify'
import { errorResponses, type Instance, type OutputLine } from 'hestia'
import { Logs, LogsQuery, ServiceParams } from '../../schemas/api.ts'

const schema = {
  operationId: 'getServiceLogs',
  summary: 'Newest output of what was started for a service',
  tags: ['services'],
  params: ServiceParams,
  querystring: LogsQuery,
  response: { 200: Logs, ...errorResponses({ unknown_service: {} }) },
}

/** What the programs of a service wrote, whichever starter runs them; instances of which no starter keeps output are left out. */
export function logRoutes(app: FastifyInstance): void {
  const linesOf = async (instance: Instance, count: number): Promise<readonly OutputLine[] | undefined> => {
    const all = await Promise.all((app.outputs ?? []).map(async (outputOf) => outputOf(instance, count)))
    const known = all.filter((lines) => lines !== undefined)
    if (known.length < 2) return known[0]
    return known
      .flat()
      .toSorted((a, b) => a.at - b.at)
      .slice(-count)
  }

  app.get<{ Params: ServiceParams; Querystring: LogsQuery }>(
    '/v1/services/:id/logs',
    { config: { permission: 'read', serviceParam: 'id' }, schema },
    async (request) => {
      const { id } = request.params
      const { lines: count = Number.MAX_SAFE_INTEGER } = request.query
      const instances = await Promise.all(
        app.hestia.services
          .require(id)
          .all.map(async (instance) => ({ name: instance.name, lines: await linesOf(instance, count) })),
      )
      return { serviceId: id, instances: instances.filter(({ lines }) => lines !== undefined) }
    },
  )
}
