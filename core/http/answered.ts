import type { FastifyInstance } from 'fastify'
import { addressOf } from './address.ts'

/**
 * Tells of every request that Hestia itself answered, as `request.answered`. Those to services are not among them: they bypass
 * Fastify, or are refused, and are told as `request.finished`; nor are streams of events.
 */
export function tellAnswered(app: FastifyInstance, probeHost: string): void {
  app.addHook('onSend', (request, reply, _payload, done) => {
    const { id, method, url, raw, headers, caller } = request
    const { events } = app.hestia
    if (events.wants('request.answered') && !addressOf(raw) && headers.host !== probeHost) {
      events.emit('request.answered', {
        requestId: id,
        method,
        path: url.split('?', 1)[0]!,
        status: reply.statusCode,
        totalMs: reply.elapsedTime,
        ...(caller ? { caller: caller.name } : {}),
      })
    }
    done()
  })
}
