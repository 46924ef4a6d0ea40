import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { addressOf, asError, type Forward, HestiaError, onceClosed, RequestView, upgradeOf, wholeBodyOf } from 'hestia'
import { ClientAnswer } from './answer.ts'
import { Collector } from './collector.ts'
import { Exchange } from './exchange.ts'
import { patienceOf } from './patience.ts'
import { PatientAnswer } from './patient-answer.ts'
import type { Upstreams } from './upstreams.ts'

/** What the proxy offers other plugins, and what its own routes use. */
export function makeForward(app: FastifyInstance, upstreams: Upstreams): Forward {
  return {
    stream: (request, reply, service, target, door) => {
      reply.hijack()
      const { raw } = request
      const address = addressOf(raw)
      const patience = patienceOf(raw, service)
      const client = new ClientAnswer(request, reply, {
        pseudonym: upstreams.pseudonym,
        isMapped: address !== undefined,
        errorBody: door?.errorBody?.bind(door),
        present: patience?.present,
      })
      const upgrade = upgradeOf(raw)
      // For other routes the host has asked for the body already.
      const waits = address !== undefined && !upgrade && hasBody(raw) && asksFirst(raw)
      const view = new RequestView({
        id: request.id,
        method: raw.method ?? 'GET',
        target: target ?? address?.target ?? raw.url ?? '/',
        headers: raw.headers,
        clientAddress: raw.socket.remoteAddress,
        body: upgrade || !hasBody(raw) ? undefined : (wholeBodyOf(raw) ?? raw),
        signal: signalOf(reply.raw),
        patienceMs: patience?.waitMs,
        trace: request.trace,
        caller: request.caller,
        askForBody: waits ? () => client.proceed() : undefined,
      })
      const answer = door?.keepsAlive ? new PatientAnswer(client, view, door) : client
      const exchange = new Exchange(app, upstreams, {
        view,
        service,
        // Comments and what is compressed can't stand in one body.
        rawHeaders: door?.keepsAlive ? without(raw.rawHeaders, 'accept-encoding') : raw.rawHeaders,
        edits: request.headerEdits,
        scheme: 'encrypted' in raw.socket ? 'https' : 'http',
        prefix: address?.prefix ?? '',
        answer,
        upgrade,
        waits,
        door,
      })
      client.decisions = exchange
      exchange.start()
    },
    collect: async (view, service, rawHeaders, limit) => {
      const answer = new Collector(limit, upstreams.pseudonym)
      const none = { edits: null, upgrade: undefined, waits: false, door: undefined }
      const exchange = new Exchange(app, upstreams, { view, service, rawHeaders, scheme: 'http', prefix: '', answer, ...none })
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

const without = (rawHeaders: readonly string[], name: string): readonly string[] =>
  rawHeaders.filter((_, i) => rawHeaders[i - (i % 2)]!.toLowerCase() !== name)

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
  else onceClosed(response, leave)
  return controller.signal
}
