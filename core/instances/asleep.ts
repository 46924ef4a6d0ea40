import { HestiaError } from '../errors.ts'
import type { Place } from './lifecycle.ts'

/** Answer to a passive request that meets an instance that is not hot. */
export const asleep = ({ service, name }: Place): HestiaError =>
  new HestiaError('no_instance', {
    message: `Instance ${name} of service ${service.id} is not running, and this request is not one that starts it.`,
    fields: { service: service.id, instance: name },
  })
