import { defineStrategy, rendezvous, Type } from 'hestia'

/**
 * Splits the clients, not the requests, between variants: one client always gets the same one. Raising a share moves clients
 * to that variant only. While a variant is unhealthy its clients get another.
 */
export default defineStrategy({
  name: 'ab_test',
  routing: Type.Object(
    {
      variants: Type.Record(Type.String(), Type.Number({ minimum: 0 }), {
        description: 'Share of the clients for each instance, by its name: { stable: 90, canary: 10 }.',
      }),
      cookie: Type.Optional(Type.String({ minLength: 1, description: 'Cookie that tells clients apart.' })),
      header: Type.Optional(Type.String({ minLength: 1, description: 'Header that does, for clients without that cookie.' })),
    },
    { additionalProperties: false },
  ),

  check: ({ instances, routing }) =>
    Object.keys(routing.variants)
      .filter((variant) => !instances.some(({ name }) => name === variant))
      .map((variant) => `variants.${variant} is the name of none of the instances of this service`),

  select(request, { instances, routing: { variants, cookie, header } }) {
    const byCookie = cookie === undefined ? undefined : request.cookie(cookie)
    const byHeader = header === undefined ? undefined : request.headers[header.toLowerCase()]
    const key = byCookie ?? byHeader ?? request.client.address ?? ''
    const healthy = instances.filter((instance) => instance.healthy)
    return rendezvous(String(key), healthy, ({ name }) => (Object.hasOwn(variants, name) ? variants[name]! : 0))
  },
})
