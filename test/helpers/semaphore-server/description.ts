import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { parse } from 'yaml'

interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'body'
  readonly required?: boolean
  readonly enum?: readonly string[]
  readonly type?: string
  readonly schema?: object
  readonly $ref?: string
}

interface Operation {
  readonly parameters?: readonly Parameter[]
  readonly responses: Readonly<Record<string, { readonly schema?: object }>>
}

type PathItem = Readonly<Record<string, Operation>> & { readonly parameters?: readonly Parameter[] }

interface Description {
  readonly paths: Readonly<Record<string, PathItem>>
  readonly parameters: Readonly<Record<string, Parameter>>
  readonly definitions: Readonly<Record<string, object>>
}

type Validate = ((value: unknown) => boolean) & { errors?: readonly { instancePath: string; message?: string }[] | null }
type Compile = (route: { schema: object }) => Validate

const description = parse(readFileSync(new URL('../../fixtures/semaphore/api-docs.yml', import.meta.url), 'utf8')) as Description

/** What servers of all versions have, and the description hasn't. */
const UNDESCRIBED: Readonly<Record<string, readonly string[]>> = {
  'GET /project/{project_id}/templates/{template_id}/tasks/last': ['limit'],
}

/** All that Hestia ever asks; anything else is a mistake of Hestia's, whatever a server would say to it. */
const ALLOWED: ReadonlySet<string> = new Set([
  'GET /ping',
  'GET /user/',
  'GET /info',
  'POST /auth/login',
  'GET /projects',
  'GET /project/{project_id}/templates',
  'GET /project/{project_id}/templates/{template_id}',
  'GET /project/{project_id}/templates/{template_id}/tasks/last',
  'POST /project/{project_id}/tasks',
  'GET /project/{project_id}/tasks/{task_id}',
  'POST /project/{project_id}/tasks/{task_id}/stop',
  'GET /project/{project_id}/tasks/{task_id}/output',
  'GET /project/{project_id}/tasks/{task_id}/raw_output',
])

/** Swagger 2.0 schemas as JSON schemas: references resolved, `x-nullable` as `null`, without what only documents. */
function plain(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(plain)
  if (typeof schema !== 'object' || schema === null) return schema
  const { $ref, example: _example, 'x-example': _xExample, 'x-nullable': nullable, ...rest } = schema as Record<string, unknown>
  if (typeof $ref === 'string') return plain(description.definitions[$ref.replace('#/definitions/', '')])
  const entries = Object.entries(rest).map(([key, value]) => [key, plain(value)] as const)
  const resolved = Object.fromEntries(entries)
  return nullable ? { ...resolved, type: [resolved.type, 'null'] } : resolved
}

type Build = () => (schemas: object, options: object) => Compile
const build = createRequire(import.meta.url)('@fastify/ajv-compiler') as Build
const ajv = { coerceTypes: false, useDefaults: false, removeAdditional: false, allErrors: true }
const compile = build()({}, { customOptions: ajv })
const compiled = new Map<string, Validate>()

function faults(key: string, schema: object, value: unknown): string[] {
  let validate = compiled.get(key)
  if (!validate) {
    validate = compile({ schema: plain(schema) as object })
    compiled.set(key, validate)
  }
  if (validate(value)) return []
  return (validate.errors ?? []).map(({ instancePath, message }) => `${key}: ${instancePath} ${message}`)
}

const segments = (path: string): string[] => path.split('/').filter((part) => part !== '')

function templateOf(path: string): string | undefined {
  const asked = segments(path)
  const known = [...Object.keys(description.paths), ...Object.keys(UNDESCRIBED).map((key) => key.slice(4))]
  return known.find((template) => {
    const parts = segments(template)
    return (
      parts.length === asked.length &&
      parts.every((part, i) => (part.startsWith('{') ? /^\d+$/.test(asked[i]!) : part === asked[i]))
    )
  })
}

/** What is wrong with a request, by the description and the list of what Hestia may ask; empty when nothing is. */
export function requestFaults(method: string, path: string, query: URLSearchParams, body: unknown): string[] {
  const template = templateOf(path)
  const key = `${method} ${template ?? path}`
  if (template === undefined || !ALLOWED.has(key)) return [`${key} is nothing that Hestia may ask`]
  const extra = UNDESCRIBED[key]
  if (extra) return [...query.keys()].filter((name) => !extra.includes(name)).map((name) => `${key}: unknown query ${name}`)
  const item = description.paths[template]!
  const operation = item[method.toLowerCase()]
  if (!operation) return [`${key} is not in the description`]
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((one) =>
    one.$ref ? description.parameters[one.$ref.replace('#/parameters/', '')]! : one,
  )
  const queries = parameters.filter((one) => one.in === 'query')
  const found: string[] = []
  for (const name of query.keys()) if (!queries.some((one) => one.name === name)) found.push(`${key}: unknown query ${name}`)
  for (const { name, required, enum: values } of queries) {
    const value = query.get(name)
    if (value === null ? required : values && !values.includes(value)) found.push(`${key}: query ${name} is ${value}`)
  }
  const expected = parameters.find((one) => one.in === 'body')
  if (expected?.required && body === undefined) found.push(`${key}: has no body`)
  if (expected?.schema && body !== undefined) found.push(...faults(key, expected.schema, body))
  return found
}

/** What is wrong with an answer of the server itself, by the description. */
export function answerFaults(method: string, path: string, status: number, body: unknown): string[] {
  const template = templateOf(path)
  const schema = template && description.paths[template]?.[method.toLowerCase()]?.responses[status]?.schema
  return schema ? faults(`${method} ${template} ${status}`, schema, body) : []
}
