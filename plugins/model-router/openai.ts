import type { FastifyInstance } from 'fastify'
import type { RequestView } from 'hestia'
import { Model, ModelList, OpenAIError } from '../../schemas/model-router.ts'
import type { Catalogue, Entry } from './catalogue.ts'
import type { Discovery } from './discovery.ts'
import type { Trouble } from './errors.ts'
import { modelNotFound } from './not-found.ts'

/** The paths of OpenAI's API that say in their body which model is meant (https://platform.openai.com/docs/api-reference). */
export const OPENAI_PATHS = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
  '/v1/audio/*',
  '/v1/images/*',
  '/v1/rerank',
  '/v1/moderations',
]

/** What belongs to a response that a service made before; it names no model. */
export const RESPONSES = '/v1/responses/*'

const STREAMING = new Set(['/v1/chat/completions', '/v1/completions', '/v1/responses'])

/** Whether the client wants its answer as a stream of server-sent events. */
export const wantsEvents = (request: RequestView): boolean => STREAMING.has(request.path) && request.field('stream') === 'true'

/** An error in the shape that OpenAI's clients know; they show its message. */
export const openaiError = ({ message, statusCode, code, fields }: Trouble): object => ({
  error: {
    message,
    type: statusCode < 500 ? 'invalid_request_error' : 'server_error',
    param: fields.param ?? null,
    code,
  },
})

const listSchema = {
  operationId: 'listModels',
  summary: 'The models of all services',
  description: 'Asks those that run; looking starts nothing.',
  tags: ['models'],
  response: { 200: ModelList, default: OpenAIError },
}

const modelSchema = {
  operationId: 'getModel',
  summary: 'One model by its name, which may have slashes',
  tags: ['models'],
  response: { 200: Model, default: OpenAIError },
}

/** The merged list of models. Looking starts nothing. */
export function listModels(app: FastifyInstance, catalogue: Catalogue, discovery: Discovery, since: number): void {
  app.get('/v1/models', { config: { permission: 'known' }, schema: listSchema }, async ({ caller }) => {
    await discovery.refresh()
    return { object: 'list', data: catalogue.list(caller).map((entry) => present(entry, since)) }
  })
  // Names of models may have slashes.
  app.get<{ Params: { '*': string } }>(
    '/v1/models/*',
    { config: { permission: 'known' }, schema: modelSchema },
    async ({ params, caller }) => {
      const id = params['*']
      if (!catalogue.entry(id, caller)) await discovery.refresh()
      const entry = catalogue.entry(id, caller)
      if (!entry) throw modelNotFound(id, catalogue, discovery, caller)
      return present(entry, since)
    },
  )
}

function present({ id, service, aliasOf, created }: Entry, since: number): object {
  const up = service.instances.find(({ state }) => state === 'hot') ?? service.instances[0]
  return {
    id,
    object: 'model',
    created: created ?? since,
    owned_by: service.id,
    hestia: {
      service: service.id,
      state: service.state,
      machine: up?.settings.machine ?? null,
      ...(aliasOf === undefined ? {} : { alias_of: aliasOf }),
    },
  }
}
