import { OllamaError, OpenAIError } from '../../schemas/model-router.ts'

const OPENAI = { description: "OpenAI's own reference.", url: 'https://platform.openai.com/docs/api-reference' }
const OLLAMA = { description: "Ollama's own reference.", url: 'https://docs.ollama.com/api' }

const BODY = {
  required: true,
  content: {
    'application/json': {
      schema: {
        type: 'object',
        properties: { model: { type: 'string', description: 'Decides which service gets the request.' } },
        additionalProperties: true,
      },
    },
  },
}
const FORM = {
  required: true,
  content: { 'multipart/form-data': { schema: BODY.content['application/json'].schema }, ...BODY.content },
}
const ANSWER = {
  description: 'What the service that has the model answers.',
  content: { 'application/json': { schema: {} }, 'text/event-stream': { schema: { type: 'string' } } },
}

/** `/v1/chat/completions` as `forwardChatCompletions`. */
const nameOf = (url: string): string =>
  `forward${url
    .replace(/^\/(?:v1|api)\//, '/')
    .replace(/\*$/, 'item')
    .replace(/[/-](\w)/g, (_all, letter: string) => letter.toUpperCase())}`

/** What the description of the API says of a path of the front door; whose API it is describes it better. */
export function describeDoor(url: string, takesBody: boolean) {
  const ofOllama = url.startsWith('/api/')
  const form = /^\/v1\/(?:audio|images)\//.test(url)
  return {
    schema: {
      operationId: ofOllama ? `${nameOf(url)}ToOllama` : nameOf(url),
      summary: `${url} of the service that has the model`,
      tags: ['models'],
      externalDocs: ofOllama ? OLLAMA : OPENAI,
      response: { 200: ANSWER, default: ofOllama ? OllamaError : OpenAIError },
    },
    config: takesBody ? { openapi: { requestBody: form ? FORM : BODY } } : {},
  }
}
