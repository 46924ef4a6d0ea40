import { definePlugin } from 'hestia'
import { OpenApiOptions } from '../../schemas/openapi.ts'
import { describe } from './document.ts'
import { pageRoutes } from './page.ts'

const schema = {
  operationId: 'getOpenApi',
  summary: 'This document',
  description: 'Made from the routes of this build, those of plugins included.',
  tags: ['gateway'],
  response: { 200: { type: 'object', additionalProperties: true, description: 'An OpenAPI 3.1 document.' } },
}

/**
 * `GET /v1/openapi.json`: the HTTP API as an OpenAPI document, made from the schemas of the routes when somebody first asks;
 * `/docs`: the same for people.
 */
export default definePlugin({
  name: 'openapi',
  options: OpenApiOptions,
  setup(app, { docs }) {
    let document: Promise<Buffer> | undefined
    app.get('/v1/openapi.json', { schema, config: { permission: 'known' } }, async (_request, reply) => {
      document ??= describe(app).then((described) => Buffer.from(JSON.stringify(described)))
      return reply.type('application/json; charset=utf-8').send(await document)
    })
    if (docs) pageRoutes(app)
  },
})
