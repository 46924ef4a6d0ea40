import { dirname } from 'node:path'
import { definePlugin, type Static, Type } from 'hestia'
import { ProcessOptions, ProcessServiceOptions } from '../../schemas/process.ts'
import { bringDown, release } from './bring-down.ts'
import { launch } from './launch.ts'
import { catchUp, createKept, sectionOf } from './running.ts'

const LogsParams = Type.Object({ id: Type.String() })
type LogsParams = Static<typeof LogsParams>
const LogsQuery = Type.Object({
  lines: Type.Optional(Type.Integer({ minimum: 1, description: 'At most so many of the newest lines of each instance.' })),
})
type LogsQuery = Static<typeof LogsQuery>
const LogsResponse = Type.Object({
  serviceId: Type.String(),
  instances: Type.Array(
    Type.Object({
      name: Type.String(),
      lines: Type.Array(
        Type.Object({
          at: Type.Number({ description: 'Milliseconds since the epoch.' }),
          stream: Type.Union([Type.Literal('stdout'), Type.Literal('stderr')]),
          line: Type.String(),
        }),
      ),
    }),
  ),
})
const logsSchema = {
  summary: 'Newest output of the processes of a service',
  params: LogsParams,
  querystring: LogsQuery,
  response: { 200: LogsResponse },
}

/** Runs services as processes of this machine: starts them, sees them die, ends them with everything they started. */
export default definePlugin({
  name: 'process',
  options: ProcessOptions,
  service: ProcessServiceOptions,
  starter: { reportsReadiness: false },
  setup(app, options) {
    const { services, events, config, log } = app.hestia
    const kept = app.hestia.keep('process@1', createKept, release)
    const around = { kept, events, folder: dirname(config.file) }

    app.hestia.hook('beforeStart', (event) => {
      const section = sectionOf(event.instance)
      return section && launch(event, section, around)
    })

    app.hestia.hook('onIdle', {
      timeout: Number.POSITIVE_INFINITY, // by grace and kill, which are the service's own settings
      handler: async ({ instance }) => {
        const killed = await bringDown(instance, kept, options)
        if (killed.length > 0)
          log.warn({ service: instance.service.id, instance: instance.name, pids: killed }, 'had to be killed')
      },
    })

    // Switched off by a reload, or the end of it all: only the first ends what still runs.
    app.addHook('onClose', () => {
      kept.gatewayEnds = !app.hestia.ready
    })

    app.get<{ Params: LogsParams; Querystring: LogsQuery }>('/v1/services/:id/logs', { schema: logsSchema }, (request) => {
      const { id } = request.params
      const { lines: wanted } = request.query
      const all = services.require(id).all.filter((instance) => sectionOf(instance) || kept.lines.has(instance))
      return {
        serviceId: id,
        instances: all.map((instance) => {
          const run = kept.running.get(instance)
          if (run) catchUp(run)
          const lines = kept.lines.get(instance) ?? []
          return { name: instance.name, lines: wanted === undefined ? lines : lines.slice(-wanted) }
        }),
      }
    })
  },
})
