import type { TraceContext } from 'hestia'

const TRACEPARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/
const NO_TRACE = '0'.repeat(32)
const NO_SPAN = '0'.repeat(16)

/**
 * Reads a `traceparent` header (https://www.w3.org/TR/trace-context/, 3.2); undefined for what is none, as which it counts when
 * it came twice. Of versions that are not known yet, what is known of the first counts.
 */
export function readTraceparent(header: string | string[] | undefined): Omit<TraceContext, 'tracestate'> | undefined {
  if (typeof header !== 'string') return undefined
  const [, version, traceId = NO_TRACE, spanId = NO_SPAN, flags = '', more] = TRACEPARENT.exec(header) ?? []
  if (traceId === NO_TRACE || spanId === NO_SPAN || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}
