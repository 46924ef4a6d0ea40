import type { FastifyInstance } from 'fastify'
import { definePlugin, errorResponses } from 'hestia'
import { ServiceParams } from '../../schemas/api.ts'
import { GatewayMetrics, MetricsOptions, ServiceMetrics } from '../../schemas/metrics.ts'
import { expose } from './exposition.ts'
import { countedFamilies, type Family, presentFamilies } from './families.ts'
import { ProcessMetrics } from './process.ts'
import { Recorder } from './recorder.ts'
import { newTally, type Tally } from './tally.ts'
import { metricsView } from './view.ts'

const PROMETHEUS = { type: 'string', description: 'One sample a line.' }

const prometheusSchema = {
  operationId: 'scrapeMetrics',
  summary: 'Metrics for Prometheus',
  description: 'In the text format of Prometheus 0.0.4, or in OpenMetrics 1.0 for clients whose `Accept` asks for that.',
  tags: ['metrics'],
  response: {
    200: {
      description: 'All series.',
      content: { 'text/plain': { schema: PROMETHEUS }, 'application/openmetrics-text': { schema: PROMETHEUS } },
    },
  },
}

const gatewaySchema = {
  operationId: 'getMetrics',
  summary: 'Metrics of all services, together and each',
  tags: ['metrics'],
  response: { 200: GatewayMetrics },
}

const serviceSchema = {
  operationId: 'getServiceMetrics',
  summary: 'Metrics of a service',
  tags: ['metrics'],
  params: ServiceParams,
  response: { 200: ServiceMetrics, ...errorResponses({ unknown_service: {} }) },
}

/**
 * Counts what happens: `GET /metrics` for Prometheus, `/v1/metrics` and `/v1/services/{id}/metrics` as JSON. What is counted
 * survives reloads; how things are is read when somebody asks.
 */
export default definePlugin({
  name: 'metrics',
  options: MetricsOptions,
  setup(app, options) {
    const tally = app.hestia.keep('metrics.tally@3', newTally)
    const own = options.process
      ? app.hestia.keep(
          'metrics.process@1',
          () => new ProcessMetrics(),
          (metrics) => metrics.stop(),
        )
      : undefined
    count(app, tally, options)
    prometheusRoute(app, () => [
      ...countedFamilies(tally),
      ...presentFamilies(app.hestia.services, options.max_services, {
        hestia_services: [app.hestia.services.size, 'Configured services.'],
        hestia_generation: [app.hestia.generation, 'Number of the generation that answers.'],
        hestia_tunnels: [app.hestia.tunnels.size, 'Upgraded connections that are open.'],
      }),
      ...(own?.families() ?? []),
    ])
    jsonRoutes(app, tally)
  },
})

/** Of the generations that live at a time the newest counts, also while it is only being built: nothing counts twice. */
function count(app: FastifyInstance, tally: Tally, { max_services }: MetricsOptions): void {
  const { events, services } = app.hestia
  const recorder = new Recorder(tally, services, max_services)
  recorder.prune()
  tally.recorders.push(recorder)
  const unsubscribe = events.subscribe((event) => {
    if (tally.recorders.at(-1) === recorder) recorder.record(event)
  }, recorder.types)
  app.addHook('onClose', () => {
    unsubscribe()
    tally.recorders.splice(tally.recorders.indexOf(recorder), 1)
  })
}

function prometheusRoute(app: FastifyInstance, families: () => readonly Family[]): void {
  app.get('/metrics', { config: { permission: 'read' }, schema: prometheusSchema }, async (request, reply) => {
    const { type, text } = await expose(families(), request.headers.accept)
    return reply.type(type).send(text)
  })
}

function jsonRoutes(app: FastifyInstance, tally: Tally): void {
  const { hestia } = app
  const { services } = hestia
  const viewOf = (id: string) => {
    const service = services.require(id)
    const counted = tally.services.get(id)
    return metricsView(counted ? [counted] : [], [service])
  }

  app.get('/v1/metrics', { config: { permission: 'read' }, schema: gatewaySchema }, () => {
    const { counters, timers, gauges } = metricsView([...tally.services.values()], [...services])
    return {
      counters: { ...counters, reloads: tally.reloads, events_dropped: tally.dropped },
      timers,
      gauges: { ...gauges, services: services.size, generation: hestia.generation, tunnels: hestia.tunnels.size },
      services: Object.fromEntries([...services].map(({ id }) => [id, viewOf(id)])),
    }
  })

  app.get<{ Params: ServiceParams }>(
    '/v1/services/:id/metrics',
    { config: { permission: 'read', serviceParam: 'id' }, schema: serviceSchema },
    (request) => viewOf(request.params.id),
  )
}
