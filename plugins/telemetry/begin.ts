import type { FastifyRequest } from 'fastify'
import { addressOf, editHeader, setTrace, type TraceContext, traceparentOf } from 'hestia'
import { newSpanId, newTraceId } from './ids.ts'
import { readTraceparent } from './traceparent.ts'

/** What must be known of a request when it is over and isn't in its event. */
export interface Noted {
  readonly parentSpanId: string | undefined
  readonly clientSpanId: string
  /** As the client sent it, with its query. */
  readonly url: string
  readonly scheme: 'http' | 'https'
  readonly host: string | undefined
  /** Of a front door or a user's own; undefined below `/services`. */
  readonly route: string | undefined
}

/** Under a symbol it goes nowhere with the event. A newer version of this file meets what an older one noted. */
const NOTED = Symbol.for('hestia.telemetry@1')
type Traced = TraceContext & { readonly [NOTED]?: Noted }

/** What was noted of a request; undefined for those that leave no spans. */
export const notedOf = (trace: Traced | undefined): Noted | undefined => trace?.[NOTED]

/**
 * Makes a request part of its client's trace, or of a new one; whether it leaves spans the client decides, else the share. One
 * that leaves none passes with the headers it has, or with new ones that say so.
 */
export function begin(request: FastifyRequest, share: number): void {
  const { headers } = request.raw
  const given = headers.tracestate as string | undefined
  const parent = readTraceparent(headers.traceparent)
  // Without the one the other has no meaning.
  if (!parent && given !== undefined) editHeader(request, 'tracestate', undefined)
  const tracestate = parent ? given : undefined
  const traceId = parent?.traceId ?? newTraceId()
  if (parent?.sampled ?? (share === 1 || Math.random() < share)) {
    const noted: Noted = {
      parentSpanId: parent?.spanId,
      clientSpanId: newSpanId(),
      url: request.originalUrl,
      scheme: 'encrypted' in request.raw.socket ? 'https' : 'http',
      host: headers.host,
      route: addressOf(request.raw) ? undefined : request.routeOptions.url,
    }
    const trace: Traced = { traceId, spanId: newSpanId(), sampled: true, tracestate, [NOTED]: noted }
    setTrace(request, trace)
    editHeader(request, 'traceparent', traceparentOf({ traceId, spanId: noted.clientSpanId, sampled: true }))
  } else {
    const trace = { traceId, spanId: parent?.spanId ?? newSpanId(), sampled: false, tracestate }
    setTrace(request, trace)
    if (!parent) editHeader(request, 'traceparent', traceparentOf(trace))
  }
}
