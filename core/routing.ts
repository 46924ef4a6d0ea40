import { HestiaError } from './errors.ts'
import type { RoutingReason } from './events.ts'
import type { Answer, HookLists } from './hooks.ts'
import type { RequestView } from './http/request-view.ts'
import type { Instance } from './instances/instance.ts'
import type { Service } from './instances/service.ts'

/** Where a request goes, and why. */
export interface Decision {
  readonly instance: Instance
  readonly reason: RoutingReason
  /** Who decided: a plugin, or `core` for `base_url`. */
  readonly plugin: string
  readonly strategy?: string
}

/** How large a body may be that routing looks into, in bytes. */
const MAX_BODY_BYTES = 10 * 1024 * 1024
const NONE: ReadonlySet<Instance> = new Set()

/**
 * Asks the `resolveUpstream` handlers where a request goes; without an opinion the first instance is meant. Answers without a
 * promise as long as nobody reads the body or waits.
 * @throws {HestiaError} `routing_failed`, `no_instance`, `body_too_large`; also as the promise's reason.
 */
export function route(
  hooks: HookLists,
  request: RequestView,
  service: Service | undefined,
  exclude: ReadonlySet<Instance> = NONE,
): Decision | Promise<Decision> {
  if (request.isJson && hooks.readsBody(service)) {
    return request.readBody(MAX_BODY_BYTES).then(() => resolve(hooks, request, service, exclude))
  }
  return resolve(hooks, request, service, exclude)
}

function resolve(
  hooks: HookLists,
  request: RequestView,
  service: Service | undefined,
  exclude: ReadonlySet<Instance>,
): Decision | Promise<Decision> {
  const answer = hooks.resolveUpstream({ request, service, exclude })
  return answer instanceof Promise
    ? answer.then((late) => decide(hooks, request, service, exclude, late))
    : decide(hooks, request, service, exclude, answer)
}

function decide(
  hooks: HookLists,
  request: RequestView,
  service: Service | undefined,
  exclude: ReadonlySet<Instance>,
  answer: Answer | undefined,
): Decision | Promise<Decision> {
  if (!answer) return { instance: firstOf(service, exclude), reason: 'base_url', plugin: 'core' }
  const { plugin, resolution } = answer
  if ('instance' in resolution) return { ...resolution, plugin }
  if (service)
    throw new HestiaError('routing_failed', { message: `Plugin ${plugin} answered a service where an instance was asked for.` })
  return route(hooks, request, resolution.service, exclude)
}

function firstOf(service: Service | undefined, exclude: ReadonlySet<Instance>): Instance {
  const instance = service?.instances.find((candidate) => !exclude.has(candidate))
  if (instance) return instance
  const message = service
    ? `No instance of service ${service.id} can take the request; all have been tried.`
    : 'No plugin knows which service is meant.'
  throw new HestiaError('no_instance', { message })
}
