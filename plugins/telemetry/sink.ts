import { createHash } from 'node:crypto'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { defaultResource, detectResources, envDetector, type Resource, resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace'
import type { Events } from 'hestia'
import type { TelemetryOptions } from '../../schemas/telemetry.ts'
import { finishedSpan, type SpanParts } from './span.ts'

const DEFAULT_ENDPOINT = 'http://127.0.0.1:4318/v1/traces'

/** How long the last spans may take when nobody needs the sink any more, in milliseconds. */
const FLUSH_TIMEOUT_MS = 3000

/** How often at most is told that a collector which works can't keep up, in milliseconds. */
const TELL_EVERY_MS = 60_000

/** Where spans go; it outlives generations as long as its options stay the same. */
export interface Sink {
  readonly processor: BatchSpanProcessor
  readonly resource: Resource
  /** Without what may be secret in it. */
  readonly endpoint: string
  readonly room: number
  readonly events: Events
  /** Spans that the exporter hasn't got yet, and those that it is sending. */
  waiting: number
  sending: number
  /** Spans that were thrown away and not told of yet. */
  dropped: number
  toldAt: number
  /** Since when the collector takes nothing; undefined while it does. */
  failingSince: number | undefined
  closed: boolean
}

/** The same for the same collector and the same way to send. It is a hash, as there are secrets among the headers. */
export const sinkKey = ({ endpoint, headers, service_name, batch }: TelemetryOptions): string =>
  `telemetry.sink@1:${createHash('sha256')
    .update(JSON.stringify([endpoint, headers, service_name, batch]))
    .digest('hex')}`

/** What isn't set in the options, the exporter reads from the environment (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). */
export function openSink({ endpoint, headers, service_name, batch }: TelemetryOptions, events: Events): Sink {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: forTraces, OTEL_EXPORTER_OTLP_ENDPOINT: forAll } = process.env
  const url = endpoint ?? (forTraces || forAll ? undefined : DEFAULT_ENDPOINT)
  const otlp = new OTLPTraceExporter({ headers, timeoutMillis: batch.timeout_ms, ...(url === undefined ? {} : { url }) })
  const exporter: SpanExporter = {
    export: (spans, done) => {
      sink.waiting -= spans.length
      sink.sending += spans.length
      otlp.export(spans, (result) => {
        done(result)
        sink.sending -= spans.length
        // What is still under way at the end has been counted as lost.
        if (sink.closed) return
        if (result.error) failed(sink, spans.length, result.error)
        else succeeded(sink)
      })
    },
    shutdown: () => otlp.shutdown(),
  }
  const sink: Sink = {
    processor: new BatchSpanProcessor({
      exporter,
      maxQueueSize: batch.queue,
      maxExportBatchSize: Math.min(batch.size, batch.queue),
      scheduledDelayMillis: batch.delay_ms,
      exportTimeoutMillis: batch.timeout_ms,
    }),
    resource: resourceOf(service_name),
    endpoint: withoutSecrets(url ?? forTraces ?? forAll ?? ''),
    room: batch.queue,
    events,
    waiting: 0,
    sending: 0,
    dropped: 0,
    toldAt: 0,
    failingSince: undefined,
    closed: false,
  }
  return sink
}

function resourceOf(name: string | undefined): Resource {
  const own = defaultResource().merge(resourceFromAttributes({ 'service.name': 'hestia' }))
  const told = own.merge(detectResources({ detectors: [envDetector] }))
  return name === undefined ? told : told.merge(resourceFromAttributes({ 'service.name': name }))
}

function withoutSecrets(url: string): string {
  if (!URL.canParse(url)) return url
  const { origin, pathname } = new URL(url)
  return origin + pathname
}

/** Hands a span over; never waits and never throws. */
export function put(sink: Sink, parts: SpanParts): void {
  if (sink.waiting >= sink.room) {
    sink.dropped++
    return
  }
  sink.waiting++
  sink.processor.onEnd(finishedSpan(parts, sink.resource))
}

function succeeded(sink: Sink): void {
  const { events, endpoint, failingSince } = sink
  if (failingSince !== undefined) {
    sink.failingSince = undefined
    events.emit('telemetry.recovered', { endpoint, failedForMs: performance.now() - failingSince })
    tellDropped(sink)
  } else if (performance.now() - sink.toldAt > TELL_EVERY_MS) tellDropped(sink)
}

function failed(sink: Sink, spans: number, error: Error): void {
  const { events, endpoint } = sink
  sink.dropped += spans
  if (sink.failingSince !== undefined) return
  sink.failingSince = performance.now()
  events.emit('telemetry.failed', { endpoint, error: error.message })
}

function tellDropped(sink: Sink): void {
  if (sink.dropped === 0) return
  sink.events.emit('events.dropped', { consumer: 'telemetry', count: sink.dropped })
  sink.dropped = 0
  sink.toldAt = performance.now()
}

/** Sends what there is, but waits no longer than {@link FLUSH_TIMEOUT_MS}. */
export async function closeSink(sink: Sink): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FLUSH_TIMEOUT_MS)
  })
  // Whether it went well, the exporter has told already.
  await Promise.race([sink.processor.shutdown().catch(() => undefined), late])
  clearTimeout(timer)
  sink.closed = true
  sink.dropped += sink.waiting + sink.sending
  tellDropped(sink)
}
