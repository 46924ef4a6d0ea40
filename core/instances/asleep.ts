import { HestiaError } from '../errors.ts'
import type { Place } from './lifecycle.ts'

/** Answer to a passive request that meets an instance that is not hot, or held. */
export const asleep = ({ service, name }: Place): HestiaError =>
  new HestiaError('no_instance', {
    message: `Instance ${name} of service ${service.id} takes no requests now, and this request is none that starts it or waits.`,
    fields: { service: service.id, instance: name },
  })
