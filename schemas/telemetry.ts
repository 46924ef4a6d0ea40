import { type Static, Type } from '@sinclair/typebox'
import { HttpUrl, Milliseconds } from './units.ts'

/** How spans are sent on; every bound holds however much happens. */
const Batch = Type.Object(
  {
    queue: Type.Integer({
      minimum: 1,
      maximum: 65_536,
      default: 2048,
      description: 'Spans that wait in memory; what finds no room is dropped and counted.',
    }),
    size: Type.Integer({ minimum: 1, maximum: 8192, default: 512, description: 'Most spans in one message to the collector.' }),
    delay_ms: Milliseconds({ minimum: 10, default: 5000, description: 'Longest wait before they are sent.' }),
    timeout_ms: Milliseconds({
      minimum: 100,
      maximum: 60_000,
      default: 10_000,
      description: 'How long the collector may take for a message, with everything tried again in that time.',
    }),
  },
  { additionalProperties: false, default: {} },
)

/** Options of the plugin `telemetry`: `plugins.telemetry`. */
export const TelemetryOptions = Type.Object(
  {
    endpoint: Type.Optional(
      HttpUrl({
        description:
          'Where spans are sent to as OTLP over HTTP (JSON), the whole URL; else what `OTEL_EXPORTER_OTLP_ENDPOINT` says, else `http://127.0.0.1:4318/v1/traces`.',
      }),
    ),
    headers: Type.Record(Type.String(), Type.String(), {
      default: {},
      description: 'Sent to the collector with each message; secrets among them are best taken from the environment.',
    }),
    service_name: Type.Optional(
      Type.String({ minLength: 1, description: 'Name of this gateway in traces; else `OTEL_SERVICE_NAME`, else `hestia`.' }),
    ),
    sample: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 1,
      description: 'Share of the requests that are traced when their client has not decided it: 1 all, 0.01 one in a hundred.',
    }),
    batch: Batch,
  },
  { additionalProperties: false, default: {} },
)
export type TelemetryOptions = Static<typeof TelemetryOptions>
