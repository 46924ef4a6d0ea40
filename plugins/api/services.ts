import type { FastifyInstance } from 'fastify'
import { errorResponses, HestiaError, type Instance, isAllowed, type Service } from 'hestia'
import { Accepted, InstanceState, ServiceList, ServiceParams, ServiceStatus } from '../../schemas/api.ts'

const listSchema = {
  operationId: 'listServices',
  summary: 'All services with their states',
  description: 'Looking starts nothing.',
  tags: ['services'],
  response: { 200: ServiceList },
}

const statusSchema = {
  operationId: 'getServiceStatus',
  summary: 'State of a service and of its instances',
  description: 'Looking starts nothing.',
  tags: ['services'],
  params: ServiceParams,
  response: { 200: ServiceStatus, ...errorResponses({ unknown_service: {} }) },
}

const startSchema = {
  operationId: 'startService',
  summary: 'Start a service',
  description: 'Does not wait for it; a request to a cold service starts it as well.',
  tags: ['services'],
  params: ServiceParams,
  response: {
    202: Accepted,
    ...errorResponses({ unknown_service: {}, already_running: { state: InstanceState }, no_instance: {} }),
  },
}

const stopSchema = {
  operationId: 'stopService',
  summary: 'Stop all instances of a service',
  description: 'At once, whatever is under way there; does not wait for the end.',
  tags: ['services'],
  params: ServiceParams,
  response: { 202: Accepted, ...errorResponses({ unknown_service: {}, already_stopped: { state: InstanceState } }) },
}

/** List, status, start and stop. Looking never starts anything. */
export function serviceRoutes(app: FastifyInstance): void {
  const { services, events } = app.hestia
  const status = (service: Service) => statusOf(app, service)

  app.get('/v1/services', { config: { permission: 'known' }, schema: listSchema }, ({ caller }) =>
    [...services].filter(({ id }) => isAllowed(caller, 'read', id)).map(status),
  )

  app.get<{ Params: ServiceParams }>(
    '/v1/services/:id/status',
    { config: { permission: 'read', serviceParam: 'id' }, schema: statusSchema },
    (request) => status(services.require(request.params.id)),
  )

  app.post<{ Params: ServiceParams }>(
    '/v1/services/:id/start',
    { config: { permission: 'wake', serviceParam: 'id' }, schema: startSchema },
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
    { config: { permission: 'administer', serviceParam: 'id' }, schema: stopSchema },
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

function statusOf(app: FastifyInstance, service: Service): ServiceStatus {
  const up = service.instances.find(({ state }) => state === 'hot') ?? service.instances[0]
  const machine = up?.settings.machine ?? null
  const provider = service.config.starters[0] ?? null
  return {
    serviceId: service.id,
    state: service.state,
    readiness: service.readiness,
    machineId: machine,
    placement: app.placementOf?.(service) ?? null,
    queuePending: service.waiting,
    instances: service.all.map((instance) => instanceStatus(instance, app.idleStopAt?.(instance))),
    automation: {
      enabled: provider !== null,
      provider,
      machine_id: machine,
      current_task: null,
      last_task: null,
      ...app.automationOf?.(service),
    },
  }
}

function instanceStatus(instance: Instance, stopAt: number | undefined): ServiceStatus['instances'][number] {
  const { name, url, state, healthy, inFlight, waiting, taken, usedAt, settings, cooling } = instance
  const now = performance.now()
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
    requests: taken,
    sinceUsedMs: usedAt === undefined ? null : Math.round(now - usedAt),
    idleMs: idle ? Math.round(now - instance.idleSince) : null,
    stopsInMs: idle && stopAt !== undefined ? Math.max(0, Math.round(stopAt - now)) : null,
    coolingMs: cooling?.retryAfterMs ?? null,
    lastError: cooling?.message ?? null,
  }
}
