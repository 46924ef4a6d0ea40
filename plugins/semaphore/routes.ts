import type { FastifyInstance } from 'fastify'
import { type AutomationTask, type ErrorCode, errorResponses, HestiaError, type Instance, messageOf } from 'hestia'
import { SemaphoreAccepted, SemaphoreOrder, SemaphoreQuery, SemaphoreStatus } from '../../schemas/semaphore.ts'
import { stopAnyway } from './down.ts'
import { type FailureKind, kindOf } from './errors.ts'
import { isOver } from './follow.ts'
import { engineOf, type Kept, type Listener, machineOf, type Run, sectionOf, viewOf, type Wish } from './kept.ts'
import { type Action, isOurs } from './marker.ts'
import type { Task } from './read.ts'
import { runAgain } from './up.ts'

const CODES: { readonly [K in FailureKind]: ErrorCode } = {
  unreachable: 'upstream_unreachable',
  lost: 'upstream_timeout',
  unauthorized: 'upstream_failed',
  forbidden: 'upstream_failed',
  not_found: 'upstream_failed',
  refused: 'upstream_failed',
  failing: 'upstream_failed',
  not_json: 'upstream_failed',
  misconfigured: 'upstream_failed',
  task: 'upstream_failed',
  deadline: 'upstream_timeout',
  gone: 'upstream_failed',
}

const WHO = { tags: ['semaphore'] }
const orderErrors = errorResponses({
  invalid_request: {},
  unknown_service: {},
  not_found: {},
  already_running: {},
  already_stopped: {},
  unsupported_media_type: {},
  upstream_failed: {},
  upstream_unreachable: {},
  upstream_timeout: {},
  start_failed: {},
})

/** Semaphore by hand: run the templates of a service, and see what they do. Start and stop go through the life of the instance. */
export function semaphoreRoutes(app: FastifyInstance, kept: Kept): void {
  const { services } = app.hestia

  app.post<{ Body: SemaphoreOrder }>(
    '/v1/semaphore/start',
    {
      config: { permission: 'administer' },
      schema: {
        ...WHO,
        operationId: 'startWithSemaphore',
        summary: 'Starts a service with its template in Semaphore',
        body: SemaphoreOrder,
        response: { 202: SemaphoreAccepted, ...orderErrors },
      },
    },
    async ({ body }, reply) => {
      const instance = findInstance(app, body.serviceId, body.machineId)
      if (instance.state === 'starting' || instance.state === 'stopping' || (instance.state === 'hot' && !body.force)) {
        throw new HestiaError('already_running', {
          message: stateOf(body, instance, 'hot', 'say "force": true to run its start template again'),
          fields: { state: instance.state },
        })
      }
      const go = () => (instance.state === 'hot' ? runAgain(instance, kept) : instance.start('semaphore'))
      return reply.code(202).send(accepted(kept, instance, await wished(kept, instance, 'start', body, go)))
    },
  )

  app.post<{ Body: SemaphoreOrder }>(
    '/v1/semaphore/stop',
    {
      config: { permission: 'administer' },
      schema: {
        ...WHO,
        operationId: 'stopWithSemaphore',
        summary: 'Stops a service with its template in Semaphore',
        body: SemaphoreOrder,
        response: { 202: SemaphoreAccepted, ...orderErrors },
      },
    },
    async ({ body }, reply) => {
      const instance = findInstance(app, body.serviceId, body.machineId)
      if (sectionOf(instance)?.stop_template === undefined)
        throw new HestiaError('invalid_request', {
          message: `Service ${body.serviceId} has no semaphore.stop_template to stop it with.`,
        })
      if ((instance.state === 'cold' && !body.force) || instance.state === 'stopping') {
        throw new HestiaError('already_stopped', {
          message: stateOf(body, instance, 'cold', 'say "force": true to run its stop template all the same'),
          fields: { state: instance.state },
        })
      }
      const go = () => (instance.state === 'cold' ? stopAnyway(instance, kept) : instance.stop('manual'))
      return reply.code(202).send(accepted(kept, instance, await wished(kept, instance, 'stop', body, go)))
    },
  )

  app.get<{ Querystring: SemaphoreQuery }>(
    '/v1/semaphore/status',
    {
      config: { permission: 'read' },
      schema: {
        ...WHO,
        operationId: 'getSemaphoreStatus',
        summary: 'Current and last task of a service in Semaphore, asked of Semaphore itself',
        querystring: SemaphoreQuery,
        response: {
          200: SemaphoreStatus,
          ...errorResponses({
            invalid_request: {},
            unknown_service: {},
            not_found: {},
            upstream_failed: {},
            upstream_unreachable: {},
            upstream_timeout: {},
          }),
        },
      },
    },
    async ({ query }) => {
      const instance = findInstance(app, query.serviceId, query.machineId)
      const tasks = await tasksOf(kept, instance).catch((thrown: unknown) => {
        throw explained(thrown)
      })
      return {
        serviceId: services.require(query.serviceId).id,
        machineId: machineOf(instance) ?? null,
        provider: 'semaphore' as const,
        state: instance.state,
        current_task: tasks.find(({ status }) => !isOver(status)) ?? null,
        last_task: tasks.find(({ status }) => isOver(status)) ?? null,
      }
    },
  )
}

const stateOf = ({ serviceId, machineId }: SemaphoreOrder, { state }: Instance, forcible: string, hint: string): string =>
  `Service ${serviceId} is ${state} on ${machineId}${state === forcible ? `; ${hint}` : ''}.`

/** @throws {HestiaError} `unknown_service`, `not_found`, `invalid_request`. */
function findInstance({ hestia }: FastifyInstance, serviceId: string, machineId: string | undefined): Instance {
  const all = hestia.services.require(serviceId).instances.filter((instance) => sectionOf(instance))
  if (all.length === 0)
    throw new HestiaError('not_found', {
      message: `Service ${serviceId} has no section "semaphore": Semaphore has nothing to do with it.`,
    })
  const machines = all.map((instance) => machineOf(instance) ?? 'none')
  if (machineId === undefined) {
    if (all.length === 1) return all[0]!
    throw new HestiaError('invalid_request', {
      message: `Service ${serviceId} runs on more than one machine; say which with machineId: ${machines.join(', ')}.`,
    })
  }
  const found = all[machines.indexOf(machineId)]
  if (found) return found
  throw new HestiaError('not_found', {
    message: `Service ${serviceId} has no instance on machine "${machineId}"; it has: ${machines.join(', ')} ("machine" of the instance, or "machine_id").`,
  })
}

/**
 * Does something to an instance with the caller's wishes in force, and waits until the task for it is known.
 * @returns undefined when it needed no task.
 * @throws {HestiaError} why there is none.
 */
async function wished(
  kept: Kept,
  instance: Instance,
  action: Action,
  { environment = {}, timeout }: SemaphoreOrder,
  go: () => Promise<unknown>,
): Promise<Run | undefined> {
  const wish: Wish = {
    variables: Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, String(value)])),
    timeoutMs: timeout,
  }
  kept.wishes.set(instance, wish)
  const listeners = kept.listeners.get(instance) ?? new Set()
  kept.listeners.set(instance, listeners)
  let listener: Listener | undefined
  const heard = new Promise<Run>((resolve, reject) => {
    listener = (heardOf) => {
      if (heardOf instanceof Error) reject(heardOf)
      else if (heardOf.record.action === action) resolve(heardOf)
    }
    listeners.add(listener)
  })
  const work = go().finally(() => {
    if (kept.wishes.get(instance) === wish) kept.wishes.delete(instance)
  })
  try {
    return await Promise.race([heard, work.then(() => undefined)])
  } catch (thrown) {
    throw explained(thrown)
  } finally {
    listeners.delete(listener!)
    if (listeners.size === 0) kept.listeners.delete(instance)
    // What becomes of the task from now on is in the status, in events and in the log.
    work.catch(() => undefined)
  }
}

function accepted(kept: Kept, instance: Instance, run: Run | undefined): SemaphoreAccepted {
  const task = run ? viewOf(run, undefined) : kept.last.get(instance)
  return {
    taskId: task?.id ?? null,
    status: task?.status ?? 'none',
    action: task?.action ?? 'stop',
    serviceId: instance.service.id,
    machineId: machineOf(instance) ?? null,
    state: instance.state,
    message: task ? `Task ${task.id} of Semaphore is ${task.status}.` : 'It was given up before Semaphore was asked.',
  }
}

/** What went wrong with Semaphore as an error of ours; anything else as it is. */
function explained(thrown: unknown): unknown {
  const kind = kindOf(thrown)
  if (kind === undefined) return thrown
  const message = messageOf(thrown)
  return new HestiaError(CODES[kind], {
    message: `${message.charAt(0).toUpperCase()}${message.slice(1)}.`,
    cause: thrown,
    fields: { provider: 'semaphore' },
  })
}

/** All tasks of an instance among the newest of its templates, newest first, as Semaphore has them now. */
async function tasksOf(kept: Kept, instance: Instance): Promise<AutomationTask[]> {
  const { templates, client } = engineOf(kept)
  const { project: ref, start_template, stop_template } = sectionOf(instance)!
  const project = await templates.project(ref)
  const refs = stop_template === undefined ? [start_template] : [start_template, stop_template]
  const ids = new Set(await Promise.all(refs.map(async (one) => (await templates.template(project, one)).id)))
  const lists = await Promise.all([...ids].map((id) => client.lastTasks(project, id)))
  return lists
    .flat()
    .flatMap((task) => {
      const action = (['start', 'stop'] as const).find((one) => isOurs(task.message, instance, one))
      return action ? [seen(task, project, action)] : []
    })
    .toSorted((a, b) => b.id! - a.id!)
}

const seen = ({ id, status, template, message, created, end }: Task, project: number, action: Action): AutomationTask => ({
  id,
  action,
  status,
  project,
  template,
  message,
  created_at: created,
  ended_at: end,
  error: null,
})
