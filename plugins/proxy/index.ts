import { accessSync, constants } from 'node:fs'
import { METHODS } from 'node:http'
import { dirname, resolve } from 'node:path'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { addressOf, definePlugin, errorResponses, FORWARDING_ERRORS, leaveBodies, messageOf } from 'hestia'
import { ProxyOptions, ProxyServiceOptions } from '../../schemas/proxy.ts'
import { refusedRequest } from './account.ts'
import { makeForward } from './forward.ts'
import { Upstreams } from './upstreams.ts'

/** What Fastify takes for a media type; everything else it refuses before any handler runs. */
const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(?:;|$)/

const forwardSchema = {
  operationId: 'forward',
  summary: 'Any request to a service',
  description:
    'Any method, forwarded unchanged, body and headers included; so is the answer. Starts the service if it is cold. ' +
    '`path` may have slashes. WebSockets and other upgrades pass as well.',
  tags: ['services'],
  response: {
    default: { description: 'Whatever the service answers, its own errors included.', content: { '*/*': { schema: {} } } },
    ...errorResponses(FORWARDING_ERRORS),
  },
}

/**
 * The data path: `/services/{id}/...` is answered by the service, unchanged both ways. Other plugins send requests through
 * `app.forward`.
 */
export default definePlugin({
  name: 'proxy',
  options: ProxyOptions,
  service: ProxyServiceOptions,
  check: (config, report) => {
    for (const { id, sections } of Object.values(config.services)) {
      const file = (sections.proxy as ProxyServiceOptions | undefined)?.tls.ca_file
      if (file === undefined) continue
      try {
        accessSync(resolve(dirname(config.file), file), constants.R_OK)
      } catch (thrown) {
        report(['services', id, 'proxy', 'tls', 'ca_file'], `the file can't be read: ${messageOf(thrown)}`)
      }
    }
  },
  setup: async (app, options) => {
    const { hestia } = app
    const upstreams = new Upstreams(hestia, options)
    app.decorate('forward', makeForward(app, upstreams))
    app.addHook('onClose', () => {
      upstreams.closeUnused([...hestia.services].flatMap((service) => [...service.all]))
    })
    await app.register(async (scope) => routes(scope))
  },
})

const serviceOf = (request: FastifyRequest): string =>
  addressOf(request.raw)?.service ?? (request.params as { serviceId: string }).serviceId

function routes(app: FastifyInstance): void {
  const { hestia } = app
  // CONNECT never gets here: it asks for a tunnel to a host, not for a resource.
  const methods = METHODS.filter((method) => method !== 'CONNECT')
  for (const method of methods) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  leaveBodies(app)
  app.route({
    method: methods,
    url: '/services/:serviceId/*',
    exposeHeadRoute: false,
    config: { permission: 'use', serviceParam: 'serviceId' },
    schema: forwardSchema,
    // What the service is sent is read from the raw headers; this is only for Fastify's eyes, which would refuse the request.
    onRequest: (request, _reply, done) => {
      const { headers } = request.raw
      const type = headers['content-type']
      if (type === undefined ? request.method === 'QUERY' : !MEDIA_TYPE.test(type))
        headers['content-type'] = 'application/octet-stream'
      done()
    },
    // What is refused before it is on its way: a service that nobody knows, or whatever a plugin's hook throws.
    onError: (request, reply, error, done) => {
      const { events, services } = hestia
      if (events.wants('request.finished')) {
        const target = addressOf(request.raw)?.target ?? '/'
        const service = services.get(serviceOf(request))?.id
        events.tell(refusedRequest(request, { target, service, totalMs: reply.elapsedTime }, error))
      }
      done()
    },
    handler: (request, reply) => {
      app.forward?.stream(request, reply, hestia.services.require(serviceOf(request)))
    },
  })
  app.route({
    method: methods,
    url: '/services/:serviceId',
    exposeHeadRoute: false,
    config: { permission: 'use', serviceParam: 'serviceId' },
    schema: { hide: true },
    handler: (request, reply) => {
      const { id } = hestia.services.require(serviceOf(request))
      const query = (request.raw.url ?? '').indexOf('?')
      const search = query === -1 ? '' : request.raw.url!.slice(query)
      return reply.redirect(`/services/${encodeURIComponent(id)}/${search}`, 308)
    },
  })
}
