import { createRequire } from 'node:module'
import { Kind, type TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { Value } from '@sinclair/typebox/value'
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify'

const compiled = new WeakMap<TSchema, TypeCheck<TSchema>>()

/** The check of a schema; compiled once, as schemas of unchanged plugins come again with every generation. */
function checkOf(schema: TSchema): TypeCheck<TSchema> {
  const known = compiled.get(schema)
  if (known) return known
  const check = TypeCompiler.Compile(schema)
  compiled.set(schema, check)
  return check
}

/**
 * Validates what routes declare: TypeBox schemas with their own compiler, plain JSON schemas (of Fastify plugins from npm) with
 * Fastify's. Query, path parameters and headers are strings and are converted; defaults are filled in; bodies are taken as sent.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = (route) => {
  const { schema, httpPart } = route
  if (!(Kind in schema)) return plainCompiler()(route)
  const check = checkOf(schema)
  return (input: unknown) => {
    const value = Value.Default(schema, httpPart === 'body' ? input : Value.Convert(schema, input))
    if (check.Check(value)) return { value }
    return { error: new Error([...check.Errors(value)].map(({ path, message }) => `${httpPart ?? ''}${path} ${message}`).at(0)) }
  }
}

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

/** Many clients say `Content-Type: application/json` with every POST: without a body that is no body, not broken JSON. */
export function takeEmptyJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) done(null, undefined)
    else void parse(request, body, done)
  })
}
