import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'

/** One route as a plugin registered it. */
export interface RegisteredRoute {
  readonly url: string
  readonly methods: readonly string[]
  readonly schema: FastifySchema | undefined
  readonly config: RouteOptions['config']
  /** The app, or the scope of it, that it was registered on. */
  readonly scope: FastifyInstance
}

/** Notes every route of a generation as it is registered, whoever registers it and in whatever order, as `app.routeTable`. */
export function keepRouteTable(app: FastifyInstance): void {
  const table: RegisteredRoute[] = []
  app.decorate('routeTable', table)
  app.addHook('onRoute', function note({ url, method, schema, config }) {
    table.push({ url, methods: [method].flat(), schema, config, scope: this })
  })
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Fields of the OpenAPI operation of a route that its schema can't say, as a body that no parser of Fastify reads. */
    openapi?: Readonly<Record<string, unknown>>
  }
  interface FastifyInstance {
    /** All routes so far. */
    readonly routeTable: readonly RegisteredRoute[]
  }
}
