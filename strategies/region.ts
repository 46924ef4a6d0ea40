import { defineStrategy, Type } from 'hestia'

/** Picks an instance of the region that the client asks for in a header, else of the first preferred region that has one. */
export default defineStrategy({
  name: 'region',
  routing: Type.Object(
    {
      header: Type.String({ default: 'x-region', description: 'The header in which a client may name a region.' }),
      prefer: Type.Array(Type.String(), { default: [], description: 'Regions to try after that, the best one first.' }),
    },
    { additionalProperties: false, default: {} },
  ),

  select(request, { instances, routing: { header, prefer } }) {
    const asked = request.headers[header.toLowerCase()]
    for (const region of typeof asked === 'string' ? [asked, ...prefer] : prefer) {
      const here = instances.filter((instance) => instance.region === region && instance.healthy)
      // One that runs already spares the client the wait; among those, the one with the least to do.
      const [best] = here.sort((a, b) => Number(b.state === 'hot') - Number(a.state === 'hot') || a.inFlight - b.inFlight)
      if (best) return best
    }
    return undefined
  },
})
