import { defineStrategy, rendezvous, Type } from 'hestia'

/**
 * Sends each client to the same instance again and again, as long as it is healthy: who has a session or a warm cache there
 * finds it. Nothing is remembered: the instance is worked out from a cookie, a header or the address, so that it is the same
 * after a restart, and adding or removing an instance moves only those clients that have to move.
 */
export default defineStrategy({
  name: 'sticky',
  routing: Type.Object(
    {
      cookie: Type.Optional(
        Type.String({ minLength: 1, description: 'Cookie, of the service itself, that tells clients apart.' }),
      ),
      header: Type.Optional(Type.String({ minLength: 1, description: 'Header that does, for clients without that cookie.' })),
    },
    { additionalProperties: false, default: {} },
  ),

  select(request, { instances, routing: { cookie, header } }) {
    const byCookie = cookie === undefined ? undefined : request.cookie(cookie)
    const byHeader = header === undefined ? undefined : request.headers[header.toLowerCase()]
    const key = byCookie ?? byHeader ?? request.client.address ?? ''
    return rendezvous(
      String(key),
      instances.filter((instance) => instance.healthy),
      (instance) => instance.weight,
    )
  },
})
