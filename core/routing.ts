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
  readonly strategy?: string | undefined
}

/** What a request is asked to go by. */
export interface RoutingQuestion {
  readonly hooks: HookLists
  readonly request: RequestView
  /** Undefined when a front door asks which service is meant. */
  readonly service: Service | undefined
  /** Instances that have failed this very request already. */
  readonly exclude: ReadonlySet<Instance>
  /** How large a body may be that routing looks into. */
  readonly maxBodyBytes: number
}

/**
 * Asks the `resolveUpstream` handlers where a request goes; without an opinion the first instance is meant. Answers without a
 * promise as long as nobody reads the body or waits.
 * @throws {HestiaError} `routing_failed`, `no_instance`, `body_too_large`; also as the promise's reason.
 */
export function route(question: RoutingQuestion): Decision | Promise<Decision> {
  const { hooks, request, service, maxBodyBytes } = question
  if (request.hasReadableBody && hooks.readsBody(service)) {
    const reading = request.readBody(maxBodyBytes)
    if (reading) return reading.then(() => resolve(question))
  }
  return resolve(question)
}

function resolve(question: RoutingQuestion): Decision | Promise<Decision> {
  const { hooks, request, service, exclude } = question
  const answer = hooks.resolveUpstream({ request, service, exclude })
  return answer instanceof Promise ? answer.then((late) => decide(question, late)) : decide(question, answer)
}

function decide(question: RoutingQuestion, answer: Answer | undefined): Decision | Promise<Decision> {
  const { service, exclude } = question
  if (!answer) return { instance: firstOf(service, exclude), reason: 'base_url', plugin: 'core' }
  const { plugin, resolution } = answer
  if ('instance' in resolution) {
    const { instance, reason, strategy } = resolution
    return { instance, reason, plugin, strategy }
  }
  if (service)
    throw new HestiaError('routing_failed', { message: `Plugin ${plugin} answered a service where an instance was asked for.` })
  return route({ ...question, service: resolution.service })
}

function firstOf(service: Service | undefined, exclude: ReadonlySet<Instance>): Instance {
  const instance = service?.instances.find((candidate) => !exclude.has(candidate))
  if (instance) return instance
  const message = service
    ? `No instance of service ${service.id} can take the request; all have been tried.`
    : 'No plugin knows which service is meant.'
  throw new HestiaError('no_instance', { message })
}
