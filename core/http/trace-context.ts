import type { FastifyInstance, FastifyRequest } from 'fastify'

/** Where a request stands in a distributed trace (https://www.w3.org/TR/trace-context/). */
export interface TraceContext {
  /** 32 hexadecimal digits in lower case. */
  readonly traceId: string
  /** The span that whatever is done for the request belongs to: 16 hexadecimal digits in lower case. */
  readonly spanId: string
  /** Whether spans of the trace are kept. */
  readonly sampled: boolean
  /** What others noted about the trace, as it came. */
  readonly tracestate: string | undefined
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Null, the rule, when no plugin traces the request. Written by {@link setTrace}. */
    trace: TraceContext | null
  }
}

export function decorateTrace(app: FastifyInstance): void {
  app.decorateRequest('trace', null)
}

/**
 * Makes a request part of a trace, for `onRequest` hooks of plugins: it is told in the request's log lines and events. What the
 * service is sent is another matter, see `editHeader`.
 */
export function setTrace(request: FastifyRequest, trace: TraceContext): void {
  request.trace = trace
  const log = request.log as { setBindings?: (bindings: object) => void }
  log.setBindings?.({ trace_id: trace.traceId })
}

/** The `traceparent` header for what is asked of others in the name of a request. */
export const traceparentOf = ({ traceId, spanId, sampled }: Omit<TraceContext, 'tracestate'>): string =>
  `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
