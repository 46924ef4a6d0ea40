import { readFileSync } from 'node:fs'
import { STATUS_CODES } from 'node:http'
import Fastify, { type FastifyInstance } from 'fastify'
import { Named } from './named.ts'
import { operationsOf } from './operations.ts'
import { shareErrors } from './share-errors.ts'
import { tidy } from './tidy.ts'

type Json = Record<string, unknown>

/** An OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1). */
export interface OpenApiDocument extends Json {
  readonly openapi: string
  readonly paths: Record<string, Record<string, Json>>
  readonly components: { schemas: Record<string, Json>; responses?: Record<string, Json>; securitySchemes?: Json }
}

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

const TAGS = {
  services: 'The services behind the gateway.',
  models: 'One base URL for all services that have models.',
  events: 'What happens and what happened.',
  metrics: 'What is counted.',
  gateway: 'The gateway itself.',
  keys: 'Who may do what.',
  plugins: 'Routes of plugins that say nothing else.',
}

const RETRY_AFTER = { description: 'When trying again makes sense, in whole seconds.', schema: { type: 'integer', minimum: 1 } }

/**
 * The OpenAPI document of a generation: what its routes say of themselves, whichever plugins they are of. Made by
 * `@fastify/swagger` on an app that is there for nothing else, so that no generation pays for it that isn't asked.
 */
export async function describe(app: FastifyInstance): Promise<OpenApiDocument> {
  const { default: swagger } = await import('@fastify/swagger')
  const operations = operationsOf(app)
  const named = new Named()
  const described = operations.map((operation) => ({ ...operation, schema: named.refer(operation.schema) as object }))
  const clerk = Fastify({ exposeHeadRoutes: false, routerOptions: { maxParamLength: 1000 } })
  clerk.setValidatorCompiler(() => () => true)
  clerk.setSerializerCompiler(() => JSON.stringify)
  for (const scope of new Set(app.routeTable.map(({ scope }) => scope))) named.take(scope)
  for (const schema of named.all()) clerk.addSchema(schema)
  await clerk.register(swagger, {
    openapi: { openapi: '3.1.1', info: INFO, ...head(app) } as never,
    convertConstToEnum: false,
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, count) => (typeof $id === 'string' ? $id : `schema-${count}`),
    },
  })
  for (const { method, url, schema } of described) clerk.route({ method, url, schema, handler: () => undefined })
  await clerk.ready()
  const document = tidy(JSON.parse(JSON.stringify(clerk.swagger()))) as OpenApiDocument
  await clerk.close()
  const extras = new Map(operations.map(({ schema, extra }) => [schema.operationId, extra]))
  const operationsInIt = Object.values(document.paths).flatMap((item) => Object.values(item))
  for (const operation of operationsInIt) complete(operation, extras.get(operation.operationId as string) ?? {})
  document.components.responses = shareErrors(operationsInIt)
  return document
}

const INFO = {
  title: 'Hestia',
  version,
  description:
    'One stable address in front of all the services you own: a request to one that does not run starts it, waits its turn and is ' +
    'forwarded unchanged. Every answer has an `x-request-id`; errors are JSON in one shape, see `Error`.',
  license: { name: 'MIT', identifier: 'MIT' },
}

/** What stands beside the operations. */
function head(app: FastifyInstance): Json {
  const common = { tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })), servers: [{ url: '/' }] }
  if (app.authenticates === undefined) return common
  return {
    ...common,
    security: [{ apiKey: [] }, { bearer: [] }, { session: [] }],
    components: {
      securitySchemes: {
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'A key of Hestia.' },
        bearer: { type: 'http', scheme: 'bearer', description: 'The same key, as OpenAI clients send theirs.' },
        session: { type: 'apiKey', in: 'cookie', name: 'hestia_session', description: 'Of a user who has logged in.' },
      },
    },
  }
}

/** What the schemas of routes don't say, and `@fastify/swagger` doesn't write. */
function complete(operation: Json, extra: Json): void {
  for (const [status, response] of Object.entries(operation.responses as Record<string, Json>)) {
    if (response.description === 'Default Response') response.description = STATUS_CODES[status] ?? 'An answer.'
    if (status === '503') response.headers = { 'Retry-After': RETRY_AFTER }
  }
  // What has a default need not be sent.
  for (const parameter of (operation.parameters ?? []) as Json[])
    if ((parameter.schema as Json | undefined)?.default !== undefined) parameter.required = false
  Object.assign(operation, extra)
}
