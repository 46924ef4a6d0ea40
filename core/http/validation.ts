import { createRequire } from 'node:module'
import { Kind, KindGuard, type TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { Value } from '@sinclair/typebox/value'
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify'
import { faultOf } from '../config/check.ts'
import { convertText } from '../config/settle.ts'

const compiled = new WeakMap<TSchema, TypeCheck<TSchema>>()

/** The check of a schema; compiled once, as schemas of unchanged plugins come again with every generation. */
function checkOf(schema: TSchema): TypeCheck<TSchema> {
  const known = compiled.get(schema)
  if (known) return known
  const check = TypeCompiler.Compile(schema)
  compiled.set(schema, check)
  return check
}

/** How the parts of a request are called in messages. */
const PARTS: Readonly<Record<string, string>> = {
  querystring: 'query parameter',
  params: 'path parameter',
  headers: 'header',
  body: 'field',
}

/** As many of the things that are wrong as a message names. */
const MOST_NAMED = 5

/**
 * Validates what routes declare: TypeBox schemas with their own compiler, plain JSON schemas (of Fastify plugins from npm) with
 * Fastify's. Query, path parameters and headers are strings and are converted, if they spell exactly what is wanted; defaults are
 * filled in; bodies are taken as sent.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = (route) => {
  const { schema, httpPart = 'body' } = route
  if (!(Kind in schema)) return plainCompiler()(route)
  const check = checkOf(schema)
  return (input: unknown) => {
    const value = Value.Default(schema, httpPart === 'body' ? input : convert(schema, input))
    return check.Check(value) ? { value } : { error: new Error(complaint(check, value, httpPart)) }
  }
}

/** One that came more than once is a list, and so is refused where one text is wanted. */
function convert(schema: TSchema, input: unknown): unknown {
  if (!KindGuard.IsObject(schema) || typeof input !== 'object' || input === null) return input
  return Object.fromEntries(
    Object.entries(input).map(([key, value]) => {
      const wanted = Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined
      return [key, wanted !== undefined && typeof value === 'string' ? convertText(wanted, value) : value]
    }),
  )
}

/** What is wrong, without the values: they may be secrets. Looks no further than is told, however much is wrong. */
function complaint(check: TypeCheck<TSchema>, value: unknown, part: string): string {
  const named = new Map<string, string>()
  for (const error of check.Errors(value)) {
    const { path, message } = faultOf(error)
    const what = path.length === 0 ? `the ${part}` : `${PARTS[part] ?? part} "${cut(path.join('.'))}"`
    if (!named.has(what)) named.set(what, message)
    if (named.size === MOST_NAMED) break
  }
  return [...named].map(([what, message]) => `${what}: ${message}`).join('; ')
}

const cut = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}...` : text)

/** Answers are made by our own code: they are checked by tests, not at run time. */
export const serializerCompiler = () => JSON.stringify

type BuildCompiler = () => (schemas: object, options: object) => FastifySchemaCompiler<unknown>
let plain: FastifySchemaCompiler<unknown> | undefined

function plainCompiler(): FastifySchemaCompiler<unknown> {
  // Loaded when the first plain schema comes: most builds have none, and it costs 50 ms.
  const build = createRequire(import.meta.url)('@fastify/ajv-compiler') as BuildCompiler
  plain ??= build()({}, { customOptions: { coerceTypes: 'array', useDefaults: true, allErrors: false } })
  return plain
}

/**
 * Many clients say `Content-Type: application/json` with every POST: without a body that is no body, not broken JSON. Text,
 * which Fastify takes by itself, is refused: a web page may send that to any address unasked.
 */
export function takeEmptyJson(app: FastifyInstance): void {
  app.removeContentTypeParser('text/plain')
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) done(null, undefined)
    else void parse(request, body, done)
  })
}
