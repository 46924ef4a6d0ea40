import type { FastifyInstance } from 'fastify'
import { definePlugin, type Hestia, type Instance, type Report, type Service } from 'hestia'
import { LoadBalancerOptions } from '../../schemas/load-balancer.ts'
import { type Choosable, choose } from './choose.ts'
import type { Weights } from './pick.ts'
import { meets, type Placement, place, type Site } from './placement.ts'

type Candidate = Choosable & Site & { readonly instance: Instance }

/** Spreads the requests of a service over its instances, on the machines where it belongs, unless a strategy had an opinion. */
export default definePlugin({
  name: 'load-balancer',
  options: LoadBalancerOptions,
  service: LoadBalancerOptions,
  check({ services, machines }, report: Report) {
    for (const { id, requires, instances } of Object.values(services)) {
      if (Object.keys(requires).length === 0) continue
      const able = instances.some(
        ({ machine }) => machine !== undefined && meets(machines[machine]?.capabilities ?? {}, requires),
      )
      if (!able) report(['services', id, 'requires'], 'no instance runs on a machine whose capabilities meet this')
    }
  },
  setup(app, defaults) {
    const { hestia } = app
    const memory = hestia.keep('load-balancer@1', () => new WeakMap<Service, Weights>())
    const placements = (service: Service, instances: readonly Instance[]): Placement<Candidate> =>
      place(
        instances.map((instance) => candidateOf(app, instance)),
        service.config,
        hestia.config.routingRules,
      )

    app.decorate('placementOf', (service: Service) => {
      const { sites, rule, reason } = placements(service, service.instances)
      const site = sites.find(({ state }) => state === 'hot') ?? sites[0]
      return { machine: site?.machine?.name ?? null, rule, reason }
    })

    hestia.hook('resolveUpstream', {
      order: 'post',
      handler: ({ request, service, exclude }) => {
        if (!service || service.instances.length < 2) return undefined
        const options = (service.config.sections['load-balancer'] as LoadBalancerOptions | undefined) ?? defaults
        if (service.config.starters.length === 0 && !request.passive) lookAfter(service)
        const left = service.instances.filter((instance) => !exclude.has(instance))
        const preferences = { region: options.region, preferReady: options.prefer_ready }
        const verdict = choose(placements(service, left).sites, preferences, memory.get(service) ?? new Map())
        if (!verdict) return undefined
        const { chosen, start, after } = verdict
        memory.set(service, after)
        // What no starter brings up is there already, and being started means being probed; that costs nothing. Nobody waits for
        // it, and what goes wrong with it is an event of its own.
        const mayStart = start && !start.instance.cooling && !request.passive && service.config.starters.length === 0
        if (mayStart) start.instance.start('load_balancer').catch(() => undefined)
        return { instance: chosen.instance, reason: 'load_balancer' }
      },
    })
  },
})

/** What failed and no starter brings up is asked in the background whether it is up again; what goes wrong is an event of its own. */
function lookAfter({ instances }: Service): void {
  for (const instance of instances) {
    if (instance.state === 'cold' && !instance.healthy && !instance.cooling)
      instance.start('load_balancer').catch(() => undefined)
  }
}

function candidateOf({ hestia, machineAvailable }: FastifyInstance, instance: Instance): Candidate {
  const { name, settings, state } = instance
  const { usable } = instance
  const machine = settings.machine === undefined ? undefined : hestia.config.machines[settings.machine]
  return {
    instance,
    key: name,
    weight: settings.weight,
    region: settings.region,
    state,
    usable,
    machine: machine && { name: settings.machine!, ...machine },
    // Who serves there shows that the machine is up; else one that could not be woken is away, whatever ran there before.
    available:
      !machine ||
      (usable && state === 'hot') ||
      (machineAvailable?.(settings.machine!) !== false && (usable || isAvailable(hestia, settings.machine!))),
  }
}

/** A machine counts as away when all that runs on it has failed. */
function isAvailable({ services }: Hestia, machine: string): boolean {
  for (const { instances } of services) {
    if (instances.some((instance) => instance.settings.machine === machine && instance.usable)) return true
  }
  return false
}
