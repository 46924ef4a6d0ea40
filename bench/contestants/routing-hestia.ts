import { freePort } from '../../test/helpers/free-port.ts'
import type { Context } from '../context.ts'
import type { Running } from './contestant.ts'
import { benchService, startHestia } from './hestia.ts'

/** The same gateway under several names: what it does for a request depends on the service that is asked. */
export const UNROUTED = 'hestia, unrouted'
export const ROUTED = 'hestia, by model'
export const FRONT_DOOR = 'hestia, front door'

/** Forwards to one service, chooses between instances by the field `model` in another, and between services at its front door. */
export async function startRoutingHestia(upstreamPort: number, context: Context): Promise<readonly Running[]> {
  const small = `http://127.0.0.1:${upstreamPort}`
  const large = `http://127.0.0.1:${await freePort()}`
  const { url, child } = await startHestia(context, {
    services: {
      bench: benchService(upstreamPort),
      routed: {
        instances: [{ url: large }, { url: small }],
        health: { tcp: true },
        strategy: 'model_router',
        routing: { by_model: { small, large } },
      },
      model: { ...benchService(upstreamPort), models: ['small'] },
    },
  })
  return [
    { name: UNROUTED, base: `${url}/services/bench`, child },
    { name: ROUTED, base: `${url}/services/routed`, child },
    { name: FRONT_DOOR, base: url, child },
  ]
}
