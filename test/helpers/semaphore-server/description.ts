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

const read = (name: string) =>
  parse(readFileSync(new URL(`../../fixtures/semaphore/${name}`, import.meta.url), 'utf8')) as Description

/** Newest first. What Hestia sends has to fit all of them: it knows no version before it asks. */
const descriptions = {
  '2.18': read('api-docs.yml'),
  '2.16': read('api-docs-2.16.yml'),
  '2.10': read('api-docs-2.10.32.yml'),
} as const
export type DescribedVersion = keyof typeof descriptions

/** What servers of all versions have, and no description has. */
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
function plain(schema: unknown, definitions: Description['definitions']): unknown {
  if (Array.isArray(schema)) return schema.map((one) => plain(one, definitions))
  if (typeof schema !== 'object' || schema === null) return schema
  const { $ref, example: _example, 'x-example': _xExample, 'x-nullable': nullable, ...rest } = schema as Record<string, unknown>
  if (typeof $ref === 'string') return plain(definitions[$ref.replace('#/definitions/', '')], definitions)
  const entries = Object.entries(rest).map(([key, value]) => [key, plain(value, definitions)] as const)
  const resolved = Object.fromEntries(entries)
  return nullable ? { ...resolved, type: [resolved.type, 'null'] } : resolved
}

type Build = () => (schemas: object, options: object) => Compile
const build = createRequire(import.meta.url)('@fastify/ajv-compiler') as Build
const ajv = { coerceTypes: false, useDefaults: false, removeAdditional: false, allErrors: true }
const compile = build()({}, { customOptions: ajv })
const compiled = new Map<string, Validate>()

function faults(version: DescribedVersion, key: string, schema: object, value: unknown): string[] {
  let validate = compiled.get(`${version} ${key}`)
  if (!validate) {
    validate = compile({ schema: plain(schema, descriptions[version].definitions) as object })
    compiled.set(`${version} ${key}`, validate)
  }
  if (validate(value)) return []
  return (validate.errors ?? []).map(({ instancePath, message }) => `${version}: ${key}: ${instancePath} ${message}`)
}

const segments = (path: string): string[] => path.split('/').filter((part) => part !== '')

function templateOf(path: string, known: readonly string[]): string | undefined {
  const asked = segments(path)
  return known.find((template) => {
    const parts = segments(template)
    return (
      parts.length === asked.length &&
      parts.every((part, i) => (part.startsWith('{') ? /^\d+$/.test(asked[i]!) : part === asked[i]))
    )
  })
}

const pathsOf = (keys: Iterable<string>): string[] => [...keys].map((key) => key.slice(key.indexOf(' ') + 1))

/**
 * What is wrong with a request, by all descriptions that know its path (the newest has to) and by the list of what Hestia may ask;
 * empty when nothing is.
 */
export function requestFaults(method: string, path: string, query: URLSearchParams, body: unknown): string[] {
  const key = `${method} ${templateOf(path, pathsOf(ALLOWED)) ?? path}`
  if (!ALLOWED.has(key)) return [`${key} is nothing that Hestia may ask`]
  const extra = UNDESCRIBED[key]
  if (extra) return [...query.keys()].filter((name) => !extra.includes(name)).map((name) => `${key}: unknown query ${name}`)
  const found = Object.entries(descriptions).flatMap(([version, description]) => {
    const template = templateOf(path, Object.keys(description.paths))
    const operation = template === undefined ? undefined : description.paths[template]![method.toLowerCase()]
    return operation
      ? operationFaults(version as DescribedVersion, key, parametersOf(description, template!, operation), query, body)
      : version === '2.18'
        ? [`${key} is not in the description`]
        : []
  })
  // One mistake is one, in however many versions.
  return [...new Map(found.map((one) => [one.replace(/^2\.\d+: /, ''), one])).values()]
}

const parametersOf = (description: Description, template: string, operation: Operation): Parameter[] =>
  [...(description.paths[template]!.parameters ?? []), ...(operation.parameters ?? [])].map((one) =>
    one.$ref ? description.parameters[one.$ref.replace('#/parameters/', '')]! : one,
  )

function operationFaults(
  version: DescribedVersion,
  key: string,
  parameters: readonly Parameter[],
  query: URLSearchParams,
  body: unknown,
): string[] {
  const queries = parameters.filter((one) => one.in === 'query')
  const found: string[] = []
  for (const name of query.keys())
    if (!queries.some((one) => one.name === name)) found.push(`${version}: ${key}: unknown query ${name}`)
  for (const { name, required, enum: values } of queries) {
    const value = query.get(name)
    if (value === null ? required : values && !values.includes(value)) found.push(`${version}: ${key}: query ${name} is ${value}`)
  }
  const expected = parameters.find((one) => one.in === 'body')
  if (expected?.required && body === undefined) found.push(`${version}: ${key}: has no body`)
  if (expected?.schema && body !== undefined) found.push(...faults(version, key, expected.schema, body))
  return found
}

/** What is wrong with an answer of the server itself, by the description of that version. */
export function answerFaults(version: DescribedVersion, method: string, path: string, status: number, body: unknown): string[] {
  const { paths } = descriptions[version]
  const template = templateOf(path, Object.keys(paths))
  const schema = template && paths[template]?.[method.toLowerCase()]?.responses[status]?.schema
  return schema ? faults(version, `${method} ${template} ${status}`, schema, body) : []
}
