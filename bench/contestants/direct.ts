import type { Contestant } from './contestant.ts'

/** Nobody in between: what the upstream and the load generator can do together. */
export const direct: Contestant = {
  name: 'direct',
  start: async (upstreamPort) => ({ name: 'direct', base: `http://127.0.0.1:${upstreamPort}` }),
}
