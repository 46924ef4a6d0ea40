import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { HestiaError, type Instance, type PlacementStatus, type Service } from 'hestia'
import { Accepted, ServiceParams, ServiceStatus } from '../../schemas/api.ts'

/** List, status, start and stop. Looking never starts anything. */
export function serviceRoutes(app: FastifyInstance): void {
  const { services, events } = app.hestia
  const status = (service: Service) => statusOf(service, app.placementOf?.(service))

  app.get('/v1/services', { schema: { response: { 200: Type.Array(ServiceStatus) } } }, () => [...services].map(status))

  app.get<{ Params: ServiceParams }>(
    '/v1/services/:id/status',
    { schema: { params: ServiceParams, response: { 200: ServiceStatus } } },
    (request) => status(services.require(request.params.id)),
  )

  app.post<{ Params: ServiceParams }>(
    '/v1/services/:id/start',
    { schema: { params: ServiceParams, response: { 202: Accepted } } },
    (request, reply) => {
      const service = services.require(request.params.id)
      if (service.state === 'hot' || service.state === 'starting') {
        throw new HestiaError('already_running', {
          message: `Service ${service.id} is ${service.state} already.`,
          fields: { state: service.state },
        })
      }
      const instance = firstToStart(service)
      // The outcome is an event, and in the status.
      instance.start('manual').catch(() => undefined)
      return reply.code(202).send({ message: `Starting ${instance.id}.`, serviceId: service.id, state: service.state })
    },
  )

  app.post<{ Params: ServiceParams }>(
    '/v1/services/:id/stop',
    { schema: { params: ServiceParams, response: { 202: Accepted } } },
    (request, reply) => {
      const service = services.require(request.params.id)
      const running = service.all.filter(({ state }) => state !== 'cold')
      if (running.length === 0) {
        throw new HestiaError('already_stopped', {
          message: `Service ${service.id} is cold already.`,
          fields: { state: service.state },
        })
      }
      for (const instance of running) {
        instance.stop('manual').catch((error: Error) => {
          events.emit('hook.failed', {
            hook: 'onIdle',
            plugin: 'api',
            service: service.id,
            instance: instance.name,
            error: error.message,
          })
        })
      }
      return reply.code(202).send({ message: `Stopping ${service.id}.`, serviceId: service.id, state: service.state })
    },
  )
}

/** The first instance that isn't left alone because of failures, else the first. */
function firstToStart(service: Service): Instance {
  const instance = service.instances.find(({ cooling }) => !cooling) ?? service.instances[0]
  if (!instance) throw new HestiaError('no_instance', { message: `Service ${service.id} has no instance.` })
  return instance
}

function statusOf(service: Service, placement: PlacementStatus | undefined): ServiceStatus {
  const up = service.instances.find(({ state }) => state === 'hot') ?? service.instances[0]
  const machine = up?.settings.machine ?? null
  const provider = service.config.starters[0] ?? null
  return {
    serviceId: service.id,
    state: service.state,
    readiness: service.readiness,
    machineId: machine,
    placement: placement ?? null,
    queuePending: service.waiting,
    instances: service.all.map(instanceStatus),
    automation: { enabled: provider !== null, provider, machine_id: machine, current_task: null, last_task: null },
  }
}

function instanceStatus(instance: Instance): ServiceStatus['instances'][number] {
  const { name, url, state, healthy, inFlight, waiting, settings, cooling } = instance
  const idle = state === 'hot' && inFlight === 0
  return {
    name,
    url,
    machine: settings.machine ?? null,
    region: settings.region ?? null,
    weight: settings.weight,
    state,
    healthy,
    inFlight,
    waiting,
    idleMs: idle ? Math.round(performance.now() - instance.idleSince) : null,
    coolingMs: cooling?.retryAfterMs ?? null,
    lastError: cooling?.message ?? null,
  }
}
