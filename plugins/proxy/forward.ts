import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { addressOf, asError, checkPath, type Forward, HestiaError, RequestView, upgradeOf } from 'hestia'
import { ClientAnswer } from './answer.ts'
import { Collector } from './collector.ts'
import { Exchange } from './exchange.ts'
import type { Upstreams } from './upstreams.ts'

/** What the proxy offers other plugins, and what its own routes use. */
export function makeForward(app: FastifyInstance, upstreams: Upstreams): Forward {
  return {
    stream: (request, reply, service, target) => {
      reply.hijack()
      const { raw } = request
      const address = addressOf(raw)
      const answer = new ClientAnswer(request, reply, upstreams.pseudonym, address !== undefined)
      const upgrade = upgradeOf(raw)
      const view = new RequestView({
        id: request.id,
        method: raw.method ?? 'GET',
        target: target ?? address?.target ?? raw.url ?? '/',
        headers: raw.headers,
        clientAddress: raw.socket.remoteAddress,
        body: upgrade || !hasBody(raw) ? undefined : raw,
        signal: signalOf(reply.raw),
      })
      try {
        checkPath(view.target)
      } catch (thrown) {
        answer.fail(thrown as HestiaError)
        return
      }
      const exchange = new Exchange(app, upstreams, {
        view,
        service,
        rawHeaders: raw.rawHeaders,
        scheme: 'encrypted' in raw.socket ? 'https' : 'http',
        prefix: address?.prefix ?? '',
        answer,
        upgrade,
        // For other routes the host has asked for the body already.
        waits: address !== undefined && view.rawBody !== undefined && asksFirst(raw),
      })
      exchange.start()
    },
    collect: async (view, service, rawHeaders, limit) => {
      checkPath(view.target)
      const answer = new Collector(limit, upstreams.pseudonym)
      const job = { view, service, rawHeaders, scheme: 'http', prefix: '', answer, upgrade: undefined, waits: false } as const
      const exchange = new Exchange(app, upstreams, job)
      const leave = () => {
        exchange.close()
        answer.fail(new HestiaError('invalid_request', { message: 'The client has left.', cause: asError(view.signal.reason) }))
      }
      view.signal.addEventListener('abort', leave, { once: true })
      exchange.start()
      try {
        const collected = await answer.answer
        return { ...collected, decision: exchange.decision! }
      } finally {
        view.signal.removeEventListener('abort', leave)
      }
    },
  }
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] !== undefined && headers['content-length'] !== '0')

const asksFirst = ({ headers, httpVersion }: IncomingMessage): boolean =>
  headers.expect !== undefined && httpVersion !== '1.0' && headers.expect.toLowerCase() === '100-continue'

/** The signal that is aborted when the client leaves, made when somebody wants it. */
function signalOf(response: ServerResponse): () => AbortSignal {
  let signal: AbortSignal | undefined
  return () => {
    signal ??= leaving(response)
    return signal
  }
}

function leaving(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  const leave = () => {
    if (!response.writableFinished) controller.abort(new Error('the client has left'))
  }
  if (response.closed || response.req.socket.destroyed) leave()
  else {
    response.once('close', leave)
    // Behind another answer on the same connection it has no socket yet.
    if (!response.socket) response.req.socket.once('close', leave)
  }
  return controller.signal
}
