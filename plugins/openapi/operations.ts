import { STATUS_CODES } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { ErrorSchema, errorResponses, errorSentences, GENERAL_ERRORS, type RegisteredRoute } from 'hestia'

type Json = Record<string, unknown>

/** One operation of the document, as a route of one method. */
export interface Operation {
  readonly method: string
  readonly url: string
  readonly schema: Json & { readonly operationId: string }
  /** Fields of the operation that no schema of a route says. */
  readonly extra: Json
}

/** Those that a path item of OpenAPI 3.1 has a place for. */
const DESCRIBABLE = new Set(['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE'])
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH'])

/** The operations of all routes but of those that hide; what takes every method is one. */
export function operationsOf(app: FastifyInstance): Operation[] {
  const seen = new Set<string>()
  const ids = new Set<string>()
  const operations: Operation[] = []
  for (const route of app.routeTable) {
    if ((route.schema as Json | undefined)?.hide) continue
    const url = route.url.replace(/\*$/, ':path')
    // HEAD answers what GET does.
    const methods = route.methods.filter((method) => method !== 'HEAD')
    const takesAny = methods.some((method) => !DESCRIBABLE.has(method))
    for (const method of takesAny ? ['GET'] : methods) {
      if (seen.has(`${method} ${url}`)) continue
      seen.add(`${method} ${url}`)
      const operationId = unique(nameOf(route, method, takesAny ? 1 : methods.length), ids)
      operations.push({
        method,
        url,
        schema: { tags: ['plugins'], ...route.schema, operationId, response: responsesOf(app, route, method) },
        extra: {
          ...(takesAny ? { 'x-any-method': true } : {}),
          ...securityOf(app, route),
          ...route.config?.openapi,
        },
      })
    }
  }
  return operations
}

function nameOf({ schema, url }: RegisteredRoute, method: string, methods: number): string {
  const given = (schema as Json | undefined)?.operationId
  const words = typeof given === 'string' ? given : `${method.toLowerCase()}${url}`
  const name = words.replace(/[^A-Za-z0-9]+(\w?)/g, (_all, letter: string) => letter.toUpperCase())
  return typeof given === 'string' && methods > 1 ? `${name}${method[0]}${method.slice(1).toLowerCase()}` : name
}

function unique(name: string, ids: Set<string>): string {
  let id = name
  for (let i = 2; ids.has(id); i++) id = `${name}${i}`
  ids.add(id)
  return id
}

/** Those of the route, and the errors that no route has to name. One with a `default` of its own answers errors its own way. */
function responsesOf(app: FastifyInstance, route: RegisteredRoute, method: string): Json {
  const { response, ...schema } = (route.schema ?? {}) as Json
  const own = (response ?? { 200: { description: STATUS_CODES[200] } }) as Json
  if (own.default !== undefined) return own
  const takes = ['params', 'querystring', 'headers', 'body'].some((part) => schema[part] !== undefined)
  const implied = {
    ...(takes || WITH_BODY.has(method) ? errorResponses({ invalid_request: {} }) : {}),
    ...(WITH_BODY.has(method) ? errorResponses({ body_too_large: {}, unsupported_media_type: {} }) : {}),
    ...(isGuarded(app, route) ? errorResponses({ unauthorized: {}, forbidden: {}, cross_site: {} }) : {}),
    ...(app.authenticates === undefined ? {} : errorResponses({ rate_limited: {} })),
  }
  const description = `What any address can answer.\n\n${errorSentences(GENERAL_ERRORS)}`
  return { ...implied, ...own, default: { description, content: { 'application/json': { schema: ErrorSchema } } } }
}

const isGuarded = (app: FastifyInstance, { config }: RegisteredRoute): boolean =>
  app.authenticates !== undefined && config?.permission !== 'public'

/** What a caller needs; nothing is said while nobody asks who it is. */
function securityOf(app: FastifyInstance, route: RegisteredRoute): Json {
  if (app.authenticates === undefined) return {}
  return isGuarded(app, route) ? { 'x-permission': route.config?.permission ?? 'administer' } : { security: [] }
}
