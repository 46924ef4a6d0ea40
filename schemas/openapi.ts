import { type Static, Type } from '@sinclair/typebox'

/** `plugins.openapi`: the description of the HTTP API. */
export const OpenApiOptions = Type.Object(
  {
    docs: Type.Boolean({ default: true, description: 'Whether there is a page for people too, at `/docs`.' }),
  },
  { additionalProperties: false, default: {} },
)
export type OpenApiOptions = Static<typeof OpenApiOptions>
