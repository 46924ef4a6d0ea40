import { type Attributes, createTraceState, type SpanContext, SpanKind } from '@opentelemetry/api'
import type { EventOf, TraceContext } from 'hestia'
import type { Noted } from './begin.ts'
import { newSpanId } from './ids.ts'
import { contextOf, type SpanParts } from './span.ts'

/** Where an instance answers, taken apart. */
export interface Target {
  /** Scheme, host and port, and the path in front of each request's own. */
  readonly base: string
  readonly host: string
  readonly port: number
}

type Finished = EventOf<'request.finished'>

/** Methods that are told by their names; of others there may be any number (semantic conventions of HTTP). */
const METHODS = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE'])
const LONGEST_PATH = 1024
const LONGEST_HOST = 255
const CLIENT_LEFT = 499

/**
 * The spans of a request that is over: one for all of it (server), one for the way to the service (client), and one for its wait
 * between them. Names and attributes are those of the semantic conventions of HTTP
 * (https://opentelemetry.io/docs/specs/semconv/http/http-spans/), and Hestia's own. `start` is that of the instance it waited for.
 */
export function requestSpans(
  event: Finished,
  trace: TraceContext,
  noted: Noted,
  { target, start }: { readonly target: Target | undefined; readonly start: SpanContext | undefined },
): SpanParts[] {
  const { traceId, tracestate } = trace
  const traceState = tracestate === undefined ? {} : { traceState: createTraceState(tracestate) }
  const contextWith = (spanId: string): SpanContext => ({ ...contextOf(traceId, spanId), ...traceState })
  const server = contextWith(trace.spanId)
  const began = event.at - event.totalMs
  const sentAt = event.sentMs === undefined ? undefined : began + event.sentMs
  const method = METHODS.has(event.method) ? event.method : 'HTTP'
  const spans: SpanParts[] = [
    {
      name: `${method} ${routeOf(event, noted)}`,
      kind: SpanKind.SERVER,
      context: server,
      parent: noted.parentSpanId === undefined ? undefined : { ...contextWith(noted.parentSpanId), isRemote: true },
      from: began,
      to: event.at,
      attributes: serverAttributes(event, noted),
      error: serverError(event),
    },
  ]
  if (event.queueMs > 0) {
    const until = sentAt ?? event.at
    const attributes: Attributes = { 'hestia.cold_start': event.coldStart }
    addWhere(attributes, event)
    spans.push({
      name: 'wait',
      context: contextWith(newSpanId()),
      parent: server,
      from: until - event.queueMs,
      to: until,
      attributes,
      error: sentAt === undefined ? event.error : undefined,
      link: event.coldStart ? start : undefined,
    })
  }
  if (sentAt !== undefined)
    spans.push({
      name: method,
      kind: SpanKind.CLIENT,
      context: contextWith(noted.clientSpanId),
      parent: server,
      from: sentAt,
      to: event.at,
      attributes: clientAttributes(event, noted, target),
      error: clientError(event),
    })
  return spans
}

/** Few values, however many different paths are asked for. */
const routeOf = ({ service }: Finished, { route }: Noted): string => route ?? `/services/${service ?? ':id'}/*`

// From here on attributes are assigned one by one: with spreads a span costs several times as much.

function serverAttributes(event: Finished, noted: Noted): Attributes {
  const { host } = noted
  const attributes: Attributes = {
    'url.path': pathOf(noted.url),
    'url.scheme': noted.scheme,
    'http.route': routeOf(event, noted),
    'hestia.request_id': event.requestId,
    'hestia.request.bytes': event.bytesIn,
    'hestia.response.bytes': event.bytesOut,
  }
  addMethod(attributes, event.method)
  addWhere(attributes, event)
  if (event.reason !== undefined) attributes['hestia.reason'] = event.reason
  if (event.strategy !== undefined) attributes['hestia.strategy'] = event.strategy
  if (host !== undefined) {
    const colon = host.endsWith(']') ? -1 : host.lastIndexOf(':')
    const port = colon === -1 ? 0 : Number(host.slice(colon + 1))
    attributes['server.address'] = (colon === -1 ? host : host.slice(0, colon)).slice(0, LONGEST_HOST)
    if (port > 0) attributes['server.port'] = port
  }
  // No client ever sees the status of one that has left.
  if (event.status !== CLIENT_LEFT) attributes['http.response.status_code'] = event.status
  const type = errorType(event)
  if (type !== undefined) attributes['error.type'] = type
  if (event.coldStart) attributes['hestia.cold_start'] = true
  if (event.aborted) attributes['hestia.aborted'] = true
  return attributes
}

function clientAttributes(event: Finished, noted: Noted, target: Target | undefined): Attributes {
  const attributes: Attributes = {}
  addMethod(attributes, event.method)
  addWhere(attributes, event)
  if (target) {
    attributes['server.address'] = target.host
    attributes['server.port'] = target.port
    // A front door may ask for another path than its client.
    if (noted.route === undefined) attributes['url.full'] = target.base + pathOf(event.path)
  }
  if (event.upstreamMs !== undefined) {
    attributes['http.response.status_code'] = event.status
    attributes['hestia.first_byte_ms'] = event.upstreamMs
  }
  const type = clientError(event)
  if (type !== undefined) attributes['error.type'] = type
  return attributes
}

function addMethod(attributes: Attributes, method: string): void {
  const isKnown = METHODS.has(method)
  attributes['http.request.method'] = isKnown ? method : '_OTHER'
  if (!isKnown) attributes['http.request.method_original'] = method
}

function addWhere(attributes: Attributes, { service, instance }: Finished): void {
  if (service !== undefined) attributes['hestia.service'] = service
  if (instance !== undefined) attributes['hestia.instance'] = instance
}

/** Never the query, where secrets are. */
const pathOf = (url: string): string => url.split('?', 1)[0]!.slice(0, LONGEST_PATH)

const errorType = ({ error, status }: Finished): string | undefined => error ?? (status >= 500 ? String(status) : undefined)

/** What the client did wrong is no error of a server, unless the answer broke off. */
function serverError(event: Finished): string | undefined {
  const isOurs = event.status >= 500 || (event.error !== undefined && event.status < 400)
  return isOurs ? errorType(event) : undefined
}

/** To a client every answer of 400 and above is an error, whoever is to blame. */
const clientError = ({ error, status, upstreamMs }: Finished): string | undefined =>
  error ?? (upstreamMs !== undefined && status >= 400 ? String(status) : undefined)
