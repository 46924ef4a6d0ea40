import type { FastifyInstance } from 'fastify'
import { type HestiaEvent, isAllowed, type Static } from 'hestia'
import { type ApiOptions, EventData, EventsQuery } from '../../schemas/api.ts'

const schema = {
  operationId: 'watchEvents',
  summary: 'Everything that happens, as it happens',
  description:
    'A stream of server-sent events (WHATWG HTML, 9.2) that ends with its client or with the gateway; reloads do not cut it, ' +
    'unless its caller is known no more. ' +
    'The name of each event is its type, its `data` is JSON, as described here; comments in between keep it alive.',
  tags: ['events'],
  querystring: EventsQuery,
  response: { 200: { description: 'Events from now on.', content: { 'text/event-stream': { schema: EventData } } } },
}

/**
 * `GET /v1/events`: everything that happens, as server-sent events (WHATWG HTML, 9.2). A stream lives until its client leaves or
 * the gateway ends; it needs nothing of its generation, so a reload doesn't cut it. What its caller may see follows the configuration in force.
 */
export function eventRoutes(app: FastifyInstance, options: ApiOptions): void {
  const { hestia } = app
  const { events } = hestia

  app.get<{ Querystring: Static<typeof EventsQuery> }>(
    '/v1/events',
    { exposeHeadRoute: false, config: { permission: 'known' }, schema },
    (request, reply) => {
      const isWanted = wantedTypes(request.query.types)
      let { caller } = request
      const { service: wanted } = request.query
      // What is about no service is about the gateway.
      const maySee = (event: HestiaEvent) => {
        const service = 'service' in event ? event.service : undefined
        return (wanted === undefined || service === wanted) && isAllowed(caller, 'read', service)
      }
      reply.hijack()
      const { raw } = reply
      for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value)
      raw.writeHead(200, {
        'x-request-id': request.id,
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      raw.write(': connected\nretry: 1000\n\n')
      let behind = 0
      const write = (text: string): void => {
        behind++
        raw.write(text, () => {
          behind--
        })
        // A reader that doesn't keep up is cut off rather than held in memory; it reconnects by itself.
        if (behind <= options.event_buffer) return
        unsubscribe()
        raw.destroy()
        events.emit('events.dropped', { consumer: 'api', count: behind })
      }
      const unsubscribe = events.subscribe(
        (event) => {
          if (event.type === 'reload.applied') caller = hestia.identify(request)
          // Whom the new configuration doesn't know any more is to show its credentials anew.
          if (event.type === 'server.stopping' || caller?.kind === 'anonymous') end()
          else if (isWanted(event.type) && maySee(event)) write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
        },
        (type) => type === 'server.stopping' || type === 'reload.applied' || isWanted(type),
      )
      const heartbeat = setInterval(() => write(': still here\n\n'), options.heartbeat_ms).unref()
      const end = (): void => {
        unsubscribe()
        clearInterval(heartbeat)
        raw.end()
      }
      raw.once('close', end)
    },
  )
}

function wantedTypes(list: string | undefined): (type: string) => boolean {
  if (!list) return () => true
  const names = list.split(',').map((name) => name.trim())
  return (type) => names.some((name) => (name.endsWith('.') ? type.startsWith(name) : type === name))
}
