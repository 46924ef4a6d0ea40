import type { FastifyInstance } from 'fastify'
import type { Static } from 'hestia'
import { type ApiOptions, EventsQuery } from '../../schemas/api.ts'

/**
 * `GET /v1/events`: everything that happens, as server-sent events (WHATWG HTML, 9.2). A stream lives until its client leaves or
 * the gateway ends; it needs nothing of its generation, so a reload doesn't cut it.
 */
export function eventRoutes(app: FastifyInstance, options: ApiOptions): void {
  const { events } = app.hestia

  app.get<{ Querystring: Static<typeof EventsQuery> }>(
    '/v1/events',
    { exposeHeadRoute: false, schema: { querystring: EventsQuery } },
    (request, reply) => {
      const isWanted = wantedTypes(request.query.types)
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
          if (event.type === 'server.stopping') end()
          else write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
        },
        (type) => type === 'server.stopping' || isWanted(type),
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
