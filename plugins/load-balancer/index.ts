import { definePlugin, type Instance, type Service } from 'hestia'
import { LoadBalancerOptions } from '../../schemas/load-balancer.ts'
import { type Choosable, choose } from './choose.ts'
import type { Weights } from './pick.ts'

type Candidate = Choosable & { readonly instance: Instance }

/** Spreads the requests of a service over its instances, unless a strategy had an opinion. */
export default definePlugin({
  name: 'load-balancer',
  options: LoadBalancerOptions,
  service: LoadBalancerOptions,
  setup(app, defaults) {
    const { hestia } = app
    const memory = hestia.keep('load-balancer@1', () => new WeakMap<Service, Weights>())

    hestia.hook('resolveUpstream', {
      order: 'post',
      handler: ({ request, service, exclude }) => {
        if (!service || service.instances.length < 2) return undefined
        const options = (service.config.sections['load-balancer'] as LoadBalancerOptions | undefined) ?? defaults
        const candidates = service.instances.filter((instance) => !exclude.has(instance)).map(candidateOf)
        const preferences = { region: options.region, preferReady: options.prefer_ready }
        const verdict = choose(candidates, preferences, memory.get(service) ?? new Map())
        if (!verdict) return undefined
        const { chosen, start, after } = verdict
        memory.set(service, after)
        // Nobody waits for it, and what goes wrong with it is an event of its own.
        if (start && !request.passive) start.instance.start('load_balancer').catch(() => undefined)
        return { instance: chosen.instance, reason: 'load_balancer' }
      },
    })
  },
})

const candidateOf = (instance: Instance): Candidate => ({
  instance,
  key: instance.name,
  weight: instance.settings.weight,
  region: instance.settings.region,
  state: instance.state,
  // An instance that is down is as good as new once its pause is over: starting it is what shows.
  usable: instance.state === 'hot' || instance.state === 'starting' ? instance.healthy : instance.cooling === undefined,
})
