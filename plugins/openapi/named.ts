import type { FastifyInstance } from 'fastify'

type Json = Record<string, unknown>

/** Schemas that bear a name, found among those of routes, so that each stands in the document once. */
export class Named {
  readonly #schemas = new Map<string, Json>()

  /** What other scopes of the app share under a name (`addSchema`). */
  take(scope: FastifyInstance): void {
    for (const [id, schema] of Object.entries(scope.getSchemas())) this.#schemas.set(id, schema as Json)
  }

  /** A copy of a schema in which those with a name are references to them. */
  refer(schema: unknown): unknown {
    if (Array.isArray(schema)) return schema.map((item) => this.refer(item))
    if (typeof schema !== 'object' || schema === null) return schema
    const { $id, ...rest } = schema as Json
    const copy = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, this.refer(value)]))
    if (typeof $id !== 'string') return copy
    if (!this.#schemas.has($id)) this.#schemas.set($id, { $id, ...copy })
    return { $ref: `${$id}#` }
  }

  /** All of them so far, for `addSchema`. */
  all(): readonly Json[] {
    return [...this.#schemas.values()]
  }
}
