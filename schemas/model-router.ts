import { type Static, Type } from '@sinclair/typebox'
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

/** The part that is read of what services answer at `GET /v1/models`, as OpenAI does. */
export const OpenAIModels = Type.Object({ data: Type.Array(Named) })

/** The part that is read of what Ollama answers at `GET /api/tags` and `GET /api/ps`. */
export const OllamaModels = Type.Object({ models: Type.Array(Type.Object({ name: Type.String({ minLength: 1 }) })) })
