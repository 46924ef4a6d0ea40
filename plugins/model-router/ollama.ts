import type { FastifyInstance } from 'fastify'
import { type Caller, type Service, Value } from 'hestia'
import { OllamaError, OllamaModelList, OllamaModels, OllamaVersion } from '../../schemas/model-router.ts'
import { type Catalogue, type Entry, mayUse } from './catalogue.ts'
import type { Discovery } from './discovery.ts'
import type { Trouble } from './errors.ts'

/** The paths of Ollama's API that say in their body which model is meant (https://docs.ollama.com/api). */
export const OLLAMA_PATHS = ['/api/chat', '/api/generate', '/api/embed', '/api/embeddings', '/api/show']

/** The version of Ollama whose API this is; clients refuse to talk to one that is too old. */
const API_VERSION = '0.12.0'

const versionSchema = {
  operationId: 'getOllamaVersion',
  summary: 'The version of Ollama whose API this is',
  tags: ['models'],
  response: { 200: OllamaVersion, default: OllamaError },
}

const modelsSchema = {
  operationId: 'listOllamaModels',
  summary: 'The models of all services, as Ollama lists its own',
  tags: ['models'],
  response: { 200: OllamaModelList, default: OllamaError },
}

const loadedSchema = {
  operationId: 'listLoadedOllamaModels',
  summary: 'The models that are loaded now',
  tags: ['models'],
  response: { 200: OllamaModelList, default: OllamaError },
}

/** An error in the shape that Ollama's clients know. */
export const ollamaError = ({ message }: Trouble): object => ({ error: message })

/** What Ollama answers of all models at once, merged from all services. Looking starts nothing. */
export function listForOllama(app: FastifyInstance, catalogue: Catalogue, discovery: Discovery, since: number): void {
  app.get('/api/version', { config: { permission: 'known' }, schema: versionSchema }, () => ({ version: API_VERSION }))

  app.get('/api/tags', { config: { permission: 'known' }, schema: modelsSchema }, async ({ caller }) => {
    await discovery.refresh()
    return { models: catalogue.list(caller).map((entry) => present(entry, since)) }
  })

  /** What is loaded only a service itself knows; one that can't be asked has loaded what it serves. */
  const loadedAt = async (service: Service, caller: Caller | null): Promise<readonly object[]> => {
    const instances = service.instances.filter(({ state }) => state === 'hot')
    const answers = await Promise.all(instances.map((instance) => discovery.askFor(instance, '/api/ps')))
    const known = answers.filter((answer) => Value.Check(OllamaModels, answer))
    if (known.length > 0) return known.flatMap(({ models }) => models).filter(({ name }) => mayUse(caller, service, name))
    return catalogue
      .list(caller)
      .filter((entry) => entry.service === service && entry.aliasOf === undefined)
      .map((entry) => present(entry, since))
  }
  app.get('/api/ps', { config: { permission: 'known' }, schema: loadedSchema }, async ({ caller }) => {
    const running = new Set(
      catalogue
        .list(caller)
        .map(({ service }) => service)
        .filter(({ state }) => state === 'hot'),
    )
    return { models: (await Promise.all([...running].map((service) => loadedAt(service, caller)))).flat() }
  })
}

/** Of size and family nothing is known; clients want the fields all the same. */
const present = ({ id, created }: Entry, since: number): object => ({
  name: id,
  model: id,
  modified_at: new Date((created ?? since) * 1000).toISOString(),
  size: 0,
  digest: '',
  details: { parent_model: '', format: '', family: '', families: [], parameter_size: '', quantization_level: '' },
})
