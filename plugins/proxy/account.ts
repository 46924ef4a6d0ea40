import type { FastifyRequest } from 'fastify'
import type { Decision, EventOf, HestiaError, Lease, RequestView, Service } from 'hestia'

/** nginx's status for a client that left before it had an answer; no client ever sees it. */
const CLIENT_LEFT = 499

/** How it ended, as far as its account doesn't know. */
export interface Ending {
  readonly service: Service | undefined
  readonly decision: Decision | undefined
  readonly bytesIn: number
  readonly bytesOut: number
  readonly aborted: boolean
}

/** What is noted of one request, to be told as `request.finished` when it is over. Made only if somebody wants to hear of it. */
export class Account {
  readonly #startedAt = performance.now()
  #queueMs = 0
  #waitingSince: number | undefined
  #coldStart = false
  #sentAt = 0
  #upstreamMs: number | undefined
  #status = 0
  #error: string | undefined

  /** It stands in line since then (`performance.now()`). */
  waits(since: number, forStart: boolean): void {
    this.#waitingSince = since
    this.#coldStart ||= forStart
  }

  /** Its wait has ended, one way or the other. */
  waited(until: number): void {
    if (this.#waitingSince !== undefined) this.#queueMs += until - this.#waitingSince
    this.#waitingSince = undefined
  }

  sent({ startedAt }: Lease): void {
    this.#sentAt = startedAt
  }

  answered(status: number): void {
    this.#status = status
    this.#upstreamMs = performance.now() - this.#sentAt
  }

  /** `answered`: the head of the service's answer has gone out already. */
  failed({ code, statusCode }: HestiaError, answered: boolean): void {
    this.#error = code
    if (!answered) this.#status = statusCode
  }

  /** All that is to be told, now that it is over. */
  finished(request: RequestView, { service, decision, bytesIn, bytesOut, aborted }: Ending): EventOf<'request.finished'> {
    const now = performance.now()
    this.waited(now)
    return {
      type: 'request.finished',
      at: Date.now(),
      requestId: request.id,
      method: request.method,
      path: request.path,
      service: decision?.instance.service.id ?? service?.id,
      instance: decision?.instance.name,
      reason: decision?.reason,
      strategy: decision?.strategy,
      status: this.#status || CLIENT_LEFT,
      error: this.#error,
      queueMs: this.#queueMs,
      sentMs: this.#sentAt === 0 ? undefined : this.#sentAt - this.#startedAt,
      upstreamMs: this.#upstreamMs,
      totalMs: now - this.#startedAt,
      bytesIn,
      bytesOut,
      coldStart: this.#coldStart,
      aborted,
      trace: request.trace,
    }
  }
}

/** The same of a request that was refused before it was on its way; told as its error is about to be answered. */
export function refusedRequest(
  { id, method, trace }: Pick<FastifyRequest, 'id' | 'method' | 'trace'>,
  { target, service, totalMs }: { readonly target: string; readonly service: string | undefined; readonly totalMs: number },
  error: { readonly statusCode?: number | undefined; readonly code?: string | undefined },
): EventOf<'request.finished'> {
  return {
    type: 'request.finished',
    at: Date.now(),
    requestId: id,
    method,
    path: target.split('?', 1)[0]!,
    service,
    instance: undefined,
    reason: undefined,
    strategy: undefined,
    status: error.statusCode ?? 500,
    error: error.code ?? 'internal_error',
    queueMs: 0,
    upstreamMs: undefined,
    totalMs,
    bytesIn: 0,
    bytesOut: 0,
    coldStart: false,
    aborted: false,
    trace: trace ?? undefined,
  }
}
