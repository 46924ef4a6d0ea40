import { readFileSync } from 'node:fs'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { definePlugin, HestiaError } from 'hestia'
import { DashboardFacts, DashboardOptions } from '../../schemas/dashboard.ts'
import { type Build, Page } from './page.ts'
import { shell } from './shell.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

/** Everything comes from here, nothing is run that stands in the page itself, and nobody may frame it. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

const factsSchema = {
  operationId: 'getDashboardFacts',
  summary: 'What the dashboard has to know before it asks for anything else',
  tags: ['gateway'],
  response: { 200: DashboardFacts },
}

/**
 * The web page at `/dashboard`, and at `/`. It is files and nothing else: what it shows comes from the HTTP API, with the
 * permissions of whoever looks at it.
 */
export default definePlugin({
  name: 'dashboard',
  options: DashboardOptions,
  dependencies: ['api'],
  setup(app, { root }) {
    const { hestia } = app
    const page = new Page(hestia.keep<Build[]>('dashboard.builds@1', () => []))

    const show = async (_request: FastifyRequest, reply: FastifyReply) =>
      reply
        .headers({
          'content-security-policy': POLICY,
          'x-content-type-options': 'nosniff',
          'referrer-policy': 'no-referrer',
          'cross-origin-opener-policy': 'same-origin',
          'cache-control': 'no-store',
        })
        .type('text/html; charset=utf-8')
        .send(shell(await current()))

    /** Sources that can't be built are told in the log; what was built of them before goes on. */
    const current = (): Promise<Build> => page.current((error) => log.error({ err: error }, 'the dashboard could not be built'))
    const { log } = hestia

    app.decorate('loginPage', '/login')
    app.get('/login', { schema: { hide: true }, config: { permission: 'public' } }, show)
    for (const url of root ? ['/', '/dashboard'] : ['/dashboard'])
      app.get(url, { schema: { hide: true }, config: { permission: 'known' } }, show)
    app.get(
      '/dashboard/',
      { exposeHeadRoute: false, schema: { hide: true }, config: { permission: 'public' } },
      (_request, reply) => reply.redirect('../dashboard', 308),
    )

    app.get<{ Params: { file: string } }>(
      '/dashboard/assets/:file',
      { exposeHeadRoute: false, schema: { hide: true }, config: { permission: 'public' } },
      async (request, reply) => {
        const { file } = request.params
        // After a restart nothing is built until somebody asks.
        if (!page.asset(file)) await current()
        const asset = page.asset(file)
        if (!asset) throw new HestiaError('not_found', { message: `There is no ${file} of the dashboard; load the page again.` })
        void reply
          .headers({
            'x-content-type-options': 'nosniff',
            'cache-control': 'max-age=31536000, immutable',
            vary: 'accept-encoding',
          })
          .type(asset.type)
        if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return reply.send(asset.plain)
        return reply.header('content-encoding', 'gzip').send(asset.gzip)
      },
    )

    app.get(
      '/dashboard/facts',
      { exposeHeadRoute: false, config: { permission: 'known' }, schema: factsSchema },
      async (_request, reply): Promise<DashboardFacts> => {
        void reply.header('cache-control', 'no-store')
        const { config, generation } = hestia
        return {
          version,
          build: (await current()).script,
          generation,
          auth: app.authenticates !== undefined,
          exposed: !isLoopback(config.server.host),
          plugins: [...config.plugins.keys()],
        }
      },
    )
  },
})

const isLoopback = (host: string): boolean => /^(127(\.\d+){3}|\[?::1\]?|localhost)$/.test(host)
