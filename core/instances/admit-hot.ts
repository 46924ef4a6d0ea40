import { HestiaError } from '../errors.ts'
import type { RequestView } from '../http/request-view.ts'
import type { Instance } from './instance.ts'
import type { Lease } from './lease.ts'

/**
 * Admission without a queue: a hot instance takes the request, another one is started and the client told to come back.
 * @throws {HestiaError} `starting`, or why it can't be started; `no_instance` for a passive request.
 */
export function admitHot(instance: Instance, request: RequestView): Lease {
  const lease = instance.tryAcquire(request.passive)
  if (lease) return lease
  instance.join()
  const { cooldown_ms } = instance.service.config.start
  // Nobody waits here, but the start was asked for: it goes on, whatever `start.abandon` says.
  instance.start('request').catch(() => undefined)
  instance.leave()
  throw new HestiaError('starting', {
    message: `Service ${instance.service.id} is being started; try again in a moment.`,
    retryAfterMs: cooldown_ms,
    fields: { service: instance.service.id, instance: instance.name },
  })
}
