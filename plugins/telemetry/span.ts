import { type Attributes, type HrTime, type SpanContext, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api'
import type { Resource } from '@opentelemetry/resources'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'

/** What there is to tell of something that is over. */
export interface SpanParts {
  readonly name: string
  readonly kind?: SpanKind
  readonly context: SpanContext
  readonly parent?: SpanContext | undefined
  /** Milliseconds since the epoch, with fractions. */
  readonly from: number
  readonly to: number
  readonly attributes: Attributes
  /** Why it went wrong; undefined when it went well. */
  readonly error?: string | undefined
  /** A span of another trace that it has to do with. */
  readonly link?: SpanContext | undefined
}

const SCOPE = { name: 'hestia' }
const UNSET = { code: SpanStatusCode.UNSET }

/** The context of a sampled span. */
export const contextOf = (traceId: string, spanId: string): SpanContext => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED })

/**
 * A span as exporters take it, made whole when everything is known: what is under way needs no object, and a request that is not
 * sampled costs nothing.
 */
export function finishedSpan(parts: SpanParts, resource: Resource): ReadableSpan {
  const { name, kind = SpanKind.INTERNAL, context, parent, from, attributes, error, link } = parts
  const to = Math.max(from, parts.to)
  return {
    name,
    kind,
    spanContext: () => context,
    ...(parent ? { parentSpanContext: parent } : {}),
    startTime: hrTime(from),
    endTime: hrTime(to),
    duration: hrTime(to - from),
    ended: true,
    status: error === undefined ? UNSET : { code: SpanStatusCode.ERROR, message: error },
    attributes,
    links: link ? [{ context: link }] : [],
    events: [],
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
}

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000)
  return [seconds, Math.floor((ms - seconds * 1000) * 1_000_000)]
}
