import { type Static, Type } from '@sinclair/typebox'
import { InstanceState } from './api.ts'
import { Bytes, Milliseconds } from './units.ts'

/** `plugins.model-router`: one base URL for all services that have models. */
export const ModelRouterOptions = Type.Object(
  {
    discover: Type.Union([Type.Boolean(), Type.Array(Type.String({ minLength: 1 }))], {
      default: true,
      description:
        'Services that are asked for their models when they run, if their `models` are not named: all, none, or these. ' +
        'Asking starts nothing.',
    }),
    refresh_ms: Milliseconds({
      default: 10_000,
      description: 'A service that runs is asked again, at most this often, when models are listed or one is not known.',
    }),
    timeout_ms: Milliseconds({ default: 2000, description: 'Longest time that such a question may take.' }),
    default: Type.Optional(
      Type.String({ minLength: 1, description: 'Service that gets requests for models nobody is known to have, or for none.' }),
    ),
    max_body_bytes: Bytes({
      default: 64 * 1024 * 1024,
      description: 'Largest request; it is held in memory while it waits. A larger one is answered 413.',
    }),
    ollama_api: Type.Boolean({
      default: false,
      description: "Whether Ollama's own API is offered too, at the root: `/api/chat`, `/api/generate`, `/api/tags` and more.",
    }),
    keep_alive_comments: Type.Boolean({
      default: false,
      description: 'Whether clients that wait for a stream get comments (`: starting`) until its service answers.',
    }),
  },
  { additionalProperties: false, default: {} },
)
export type ModelRouterOptions = Static<typeof ModelRouterOptions>

const Named = Type.Object({ id: Type.String({ minLength: 1 }), created: Type.Optional(Type.Number()) })

/** An error in the shape that OpenAI's clients know. */
export const OpenAIError = Type.Object(
  {
    error: Type.Object({
      message: Type.String(),
      type: Type.String({ description: '`invalid_request_error` or `server_error`.' }),
      param: Type.Union([Type.String(), Type.Null()]),
      code: Type.String({ description: "A code of Hestia's; see `ErrorCode`." }),
    }),
  },
  { $id: 'OpenAIError' },
)

/** One model of `GET /v1/models`. */
export const Model = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('model'),
    created: Type.Number({ description: 'Seconds since 1970.' }),
    owned_by: Type.String({ description: 'The service that has it.' }),
    hestia: Type.Object({
      service: Type.String(),
      state: InstanceState,
      machine: Type.Union([Type.String(), Type.Null()]),
      alias_of: Type.Optional(Type.String({ description: 'What it stands for, if it is another name.' })),
    }),
  },
  { $id: 'Model' },
)

/** `GET /v1/models`. */
export const ModelList = Type.Object({ object: Type.Literal('list'), data: Type.Array(Model) }, { $id: 'ModelList' })

/** An error in the shape that Ollama's clients know. */
export const OllamaError = Type.Object({ error: Type.String() }, { $id: 'OllamaError' })

/** What Ollama says of models at `GET /api/tags` and `GET /api/ps`. */
export const OllamaModelList = Type.Object(
  { models: Type.Array(Type.Object({ name: Type.String() }, { additionalProperties: true })) },
  { $id: 'OllamaModelList' },
)

/** `GET /api/version`. */
export const OllamaVersion = Type.Object({ version: Type.String() }, { $id: 'OllamaVersion' })

/** The part that is read of what services answer at `GET /v1/models`, as OpenAI does. */
export const OpenAIModels = Type.Object({ data: Type.Array(Named) })

/** The part that is read of what Ollama answers at `GET /api/tags` and `GET /api/ps`. */
export const OllamaModels = Type.Object({ models: Type.Array(Type.Object({ name: Type.String({ minLength: 1 }) })) })
