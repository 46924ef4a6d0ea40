import { createReadStream } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { HestiaError } from 'hestia'

/** Addresses are relative, so that the page also works where Hestia itself stands below a path. */
const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hestia: HTTP API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="api"><noscript>This page needs JavaScript; the document itself is at <a href="v1/openapi.json">v1/openapi.json</a>.</noscript></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`
const START = `SwaggerUIBundle({ url: 'v1/openapi.json', dom_id: '#api', deepLinking: true, validatorUrl: null })\n`

/** Everything comes from here, nothing is run that stands in the page itself, and nobody may frame it. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const TYPES: ReadonlyMap<string, string> = new Map([
  ['swagger-ui.css', 'text/css; charset=utf-8'],
  ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
])

/**
 * `/docs`: Swagger UI over the document. Only its files are taken from `@fastify/swagger-ui`: registering that would cost each
 * reload 4 ms.
 */
export function pageRoutes(app: FastifyInstance): void {
  app.get('/docs', { schema: { hide: true }, config: { permission: 'known' } }, (_request, reply) =>
    reply
      .headers({ 'content-security-policy': POLICY, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
      .type('text/html; charset=utf-8')
      .send(PAGE),
  )
  app.get<{ Params: { file: string } }>(
    '/docs/:file',
    { exposeHeadRoute: false, schema: { hide: true }, config: { permission: 'public' } },
    (request, reply) => {
      const { file } = request.params
      reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'max-age=3600' })
      if (file === 'start.js') return reply.type('text/javascript; charset=utf-8').send(START)
      const type = TYPES.get(file)
      if (type === undefined) throw new HestiaError('not_found', { message: `There is no ${file} in /docs.` })
      return reply.type(type).send(createReadStream(join(folder(), file)))
    },
  )
}

const folder = (): string => join(dirname(createRequire(import.meta.url).resolve('@fastify/swagger-ui/package.json')), 'static')
