import type { FastifyInstance, HTTPMethods } from 'fastify'
import { type Config, definePlugin, type FrontDoor, leaveBodies, type Report, type RequestView, type Resolution } from 'hestia'
import { ModelRouterOptions } from '../../schemas/model-router.ts'
import { pathBelow } from './address.ts'
import { Catalogue, declares, namesOf, ownName } from './catalogue.ts'
import { describeDoor } from './describe.ts'
import { Discovery } from './discovery.ts'
import { answerErrors } from './errors.ts'
import { modelMissing, modelNotFound, responseUnknown } from './not-found.ts'
import { listForOllama, OLLAMA_PATHS, ollamaError } from './ollama.ts'
import { listModels, OPENAI_PATHS, openaiError, RESPONSES, wantsEvents } from './openai.ts'
import { holdBody, modelOf, namesOneModel, refuseTwoMeanings } from './request-model.ts'

/** The model that was asked for, on the request itself: a WeakMap would hold bodies until the next full collection. */
const MODEL = Symbol('model')
type Named = RequestView & { [MODEL]?: string }

/**
 * The LLM front door: `/v1/chat/completions` and its like go to the service that has the model which the request names, so
 * that one base URL serves every OpenAI client.
 */
export default definePlugin({
  name: 'model-router',
  options: ModelRouterOptions,
  dependencies: ['proxy'],
  check,
  setup: async (app, options) => {
    const { hestia } = app
    const discovery = new Discovery(hestia, options)
    const catalogue = new Catalogue(hestia, discovery)
    const since = hestia.keep('model-router.since@1', () => Math.floor(Date.now() / 1000))
    const isDoor = matcher([...OPENAI_PATHS, RESPONSES, ...(options.ollama_api ? OLLAMA_PATHS : [])])

    const which = async (request: Named): Promise<Resolution> => {
      const { caller } = request
      await holdBody(request, options.max_body_bytes)
      const model = modelOf(request)
      if (model !== undefined) request[MODEL] = model
      let service = model === undefined ? undefined : catalogue.find(model, caller)
      if (model !== undefined && !service) {
        await discovery.refresh()
        service = catalogue.find(model, caller)
      }
      service ??= options.default === undefined ? undefined : hestia.services.get(options.default)
      if (service) {
        // What is permitted for a model must be what the service will understand, too.
        if (caller && model !== undefined && namesOneModel(request, model)) request.models = namesOf(service.config, model)
        return { service }
      }
      if (model !== undefined) throw modelNotFound(model, catalogue, discovery, caller)
      throw request.path.startsWith(RESPONSES.slice(0, -1))
        ? responseUnknown(request.path)
        : modelMissing(catalogue, discovery, caller)
    }
    hestia.hook('resolveUpstream', ({ request, service }) => (service || !isDoor(request.path) ? undefined : which(request)))
    hestia.hook('onReady', ({ instance }) => discovery.greet(instance))

    const fit: FrontDoor['fit'] = (request: Named, instance) => {
      const model = request[MODEL]
      const own = model === undefined ? undefined : ownName(instance.service.config, model)
      const body = own === undefined || own === model ? undefined : request.withField('model', own)
      return { target: pathBelow(instance.url, request.target), ...(body ? { body } : {}) }
    }
    const keepsAlive = options.keep_alive_comments ? { keepsAlive: wantsEvents } : {}
    await app.register(async (scope) => {
      answerErrors(scope, openaiError)
      forwardAll(scope, OPENAI_PATHS, ['POST'], { fit, errorBody: openaiError, ...keepsAlive })
      forwardAll(scope, [RESPONSES], ['GET', 'POST', 'DELETE'], { fit, errorBody: openaiError })
      listModels(scope, catalogue, discovery, since)
    })
    if (!options.ollama_api) return
    await app.register(async (scope) => {
      answerErrors(scope, ollamaError)
      forwardAll(scope, OLLAMA_PATHS, ['POST'], { fit, errorBody: ollamaError })
      listForOllama(scope, catalogue, discovery, since)
    })
  },
})

function forwardAll(scope: FastifyInstance, paths: readonly string[], method: HTTPMethods[], door: FrontDoor): void {
  leaveBodies(scope)
  for (const url of paths) {
    const { schema, config } = describeDoor(url, method.includes('POST'))
    scope.route({
      method,
      url,
      exposeHeadRoute: false,
      schema,
      config: { ...config, permission: 'known' },
      handler: (request, reply) => {
        refuseTwoMeanings(request.raw)
        scope.forward!.stream(request, reply, undefined, request.url, door)
      },
    })
  }
}

function matcher(patterns: readonly string[]): (path: string) => boolean {
  const exact = new Set(patterns)
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1))
  return (path) => exact.has(path) || prefixes.some((prefix) => path.startsWith(prefix))
}

function check({ plugins, services }: Config, report: Report): void {
  const options = plugins.get('model-router') as ModelRouterOptions
  const known = Object.keys(services).join(', ') || 'none'
  const expectService = (id: string, path: readonly (string | number)[]) => {
    if (!Object.hasOwn(services, id))
      report(['plugins', 'model-router', ...path], `there is no service "${id}"; there are: ${known}`)
  }
  if (options.default !== undefined) expectService(options.default, ['default'])
  if (Array.isArray(options.discover)) for (const [i, id] of options.discover.entries()) expectService(id, ['discover', i])
  for (const [id, service] of Object.entries(services)) {
    if (service.models === undefined) continue
    for (const [alias, model] of Object.entries(service.aliases)) {
      if (!declares(service, model))
        report(['services', id, 'aliases', alias], `it stands for "${model}", which is not among the models of this service`)
    }
  }
}
