import { subscribe } from 'node:diagnostics_channel'
import { STATUS_CODES } from 'node:http'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { GENERAL_ERRORS } from '../../core/http/error-responses.ts'
import { describe, type OpenApiDocument } from '../../plugins/openapi/document.ts'

type Json = Record<string, unknown>

/** An answer that a route of the API gave, whoever asked. */
interface Recorded {
  readonly method: string
  readonly url: string
  readonly status: number
  readonly type: string
  readonly payload: unknown
  readonly retryAfter: unknown
}

const records = new Map<FastifyInstance, Recorded[]>()
const ROUTES_OF_SERVICES = '/services/'
/** Of the one request by which a new generation is tried. */
const PROBE_HOST = 'hestia.invalid'
/** Apps that are held until their answers are checked; of storms of reloads the first ones are enough. */
const MOST_APPS = 20

// Every app of every generation in this process, from its first moment on.
subscribe('fastify.initialization', (message) => {
  const { fastify } = message as { fastify: FastifyInstance }
  fastify.addHook('onSend', (request, reply, payload, done) => {
    const url = request.routeOptions.url ?? ''
    const isOfApi = fastify.hasDecorator('hestia') && !url.startsWith(ROUTES_OF_SERVICES) && request.headers.host !== PROBE_HOST
    if (isOfApi && (records.has(fastify) || records.size < MOST_APPS)) {
      const type = String(reply.getHeader('content-type') ?? '').split(';', 1)[0]!
      const list = records.get(fastify) ?? []
      records.set(fastify, list)
      const { method } = request
      list.push({ method, url, status: reply.statusCode, type, payload, retryAfter: reply.getHeader('retry-after') })
    }
    done()
  })
})

/** How many answers have been checked so far in this process. */
export let checked = 0

/**
 * Checks every answer that was recorded since the last time against the OpenAPI document of the generation that gave it: its
 * status, type and every field of its body must be described.
 * @throws with all that is not.
 */
export async function checkRecords(): Promise<void> {
  const faults = new Set<string>()
  for (const [app, list] of records) {
    records.delete(app)
    const hidden = new Set(app.routeTable.flatMap(({ url, schema }) => (isHidden(schema) ? [url] : [])))
    const check = new Check(await describe(app), hidden)
    for (const record of list) {
      checked++
      const fault = check.faultOf(record)
      if (fault !== undefined) faults.add(`${record.method} ${record.url} answered ${record.status}: ${fault}`)
    }
  }
  if (faults.size > 0) throw new Error(`answers that the OpenAPI document does not describe:\n${[...faults].join('\n')}`)
}

const ID = 'http://hestia.invalid/openapi.json'
const step = (key: string): string => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))

/** Checks answers against one document. */
class Check {
  readonly #document: OpenApiDocument
  readonly #hidden: ReadonlySet<string>
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true, logger: false, validateFormats: false })
  readonly #validators = new Map<string, ValidateFunction>()

  constructor(document: OpenApiDocument, hidden: ReadonlySet<string>) {
    this.#hidden = hidden
    this.#document = JSON.parse(JSON.stringify(document)) as OpenApiDocument
    this.#ajv.addSchema({ $id: ID, ...(closed(this.#document) as object) })
  }

  faultOf({ method, url, status, type, payload, retryAfter }: Recorded): string | undefined {
    // A body that is sent as a stream is a file; HEAD has none.
    const body = typeof payload === 'string' || Buffer.isBuffer(payload) ? String(payload) : undefined
    if (url === '') return this.#fault(['components', 'schemas', 'Error'], body)
    const path = url.replace(/\*$/, ':path').replace(/:(\w+)/g, '{$1}')
    const item = this.#document.paths[path]
    if (!item) return this.#hidden.has(url) ? undefined : 'there is no such path'
    const verb = method === 'HEAD' ? 'get' : method.toLowerCase()
    const operation = item[verb]
    if (!operation) return 'there is no such operation'
    const responses = operation.responses as Record<string, Json>
    const key = responses[status] ? String(status) : 'default'
    const place = ['paths', path, verb, 'responses', key]
    const found = responses[key]
    if (!found) return `the status ${STATUS_CODES[status]} is not described`
    const { at, response } = this.#follow(found, place)
    if (body === undefined || method === 'HEAD') return undefined
    const content = response.content as Json | undefined
    if (!content?.[type]) return `the type ${type} is not described`
    if (type !== 'application/json') return undefined
    if (status === 503 && (JSON.parse(body) as Json).error !== undefined && retryAfter === undefined)
      return 'Retry-After is missing'
    const fault = this.#fault([...at, 'content', type, 'schema'], body)
    if (fault !== undefined || key !== 'default') return fault
    const { error } = JSON.parse(body) as { error: unknown }
    const isKnown = typeof error !== 'string' || GENERAL_ERRORS.includes(error as never) || at.includes('default')
    return isKnown ? undefined : `the error ${error} is none that any address can answer: name it with errorResponses()`
  }

  #follow(response: Json, at: string[]): { at: string[]; response: Json } {
    if (typeof response.$ref !== 'string') return { at, response }
    const way = response.$ref.slice(2).split('/')
    return { at: way, response: way.reduce<Json>((node, key) => node[key] as Json, this.#document) }
  }

  #fault(way: readonly string[], body: string | undefined): string | undefined {
    if (body === undefined) return undefined
    const pointer = `${ID}#/${way.map(step).join('/')}`
    const validate = this.#validators.get(pointer) ?? this.#ajv.compile({ $ref: pointer })
    this.#validators.set(pointer, validate)
    if (validate(JSON.parse(body))) return undefined
    return `${this.#ajv.errorsText(validate.errors)} in ${body.slice(0, 300)}`
  }
}

const isHidden = (schema: FastifySchema | undefined): boolean => schema?.hide === true

/** The same document, but what says nothing of further fields has none: so that every field must be described. */
function closed(value: unknown, within = false): unknown {
  if (Array.isArray(value)) return value.map((item) => closed(item, within))
  if (typeof value !== 'object' || value === null) return value
  const schema = value as Json
  const inner = Object.fromEntries(
    Object.entries(schema).map(([key, item]) => [key, key === 'allOf' ? closed(item, true) : closed(item)]),
  )
  const isOpen = schema.type === 'object' && typeof schema.properties === 'object' && schema.additionalProperties === undefined
  return isOpen && !within ? { ...inner, unevaluatedProperties: false } : inner
}
