import { defineStrategy, type InstanceView } from 'hestia'

/** How busy an instance would be with one request more, for its weight: one of weight 2 may have twice as many in flight. */
const load = ({ inFlight, weight }: InstanceView): number => (inFlight + 1) / weight

/**
 * Picks, among the instances that run and are healthy, the one with the fewest requests in flight for its weight. When none
 * runs the load balancer decides which one is started.
 */
export default defineStrategy({
  name: 'least_busy',

  select(_request, { instances }) {
    const ready = instances.filter(({ state, healthy, weight }) => state === 'hot' && healthy && weight > 0)
    const [best] = ready.sort((a, b) => load(a) - load(b))
    return best
  },
})
