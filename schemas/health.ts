import { type Static, Type } from '@sinclair/typebox'
import { Milliseconds } from './units.ts'

/** `plugins.health`, and the section `services.<id>.health`. */
export const HealthOptions = Type.Object(
  {
    url: Type.Optional(
      Type.String({
        title: 'a path that begins with "/", or an absolute http(s) URL',
        pattern: '^(/|https?://)\\S*$',
        description: 'What to ask with GET: a path below the URL of the instance, or an absolute URL.',
      }),
    ),
    status: Type.Array(
      Type.Union([
        Type.Integer({ minimum: 100, maximum: 599 }),
        Type.String({ title: 'a status as 200 or a range as "200-399"', pattern: '^[1-5]\\d\\d(-[1-5]\\d\\d)?$' }),
      ]),
      { minItems: 1, default: ['200-399'], description: 'Statuses that count as well: single ones and ranges.' },
    ),
    tcp: Type.Boolean({ default: false, description: 'Without `url`: a TCP connection that is accepted counts as well.' }),
    timeout_ms: Milliseconds({ default: 2000, minimum: 1, description: 'Longest time of one probe.' }),
    interval_ms: Milliseconds({
      default: 5000,
      minimum: 1,
      description: 'Pause between two probes of an instance that runs, but has been marked unhealthy.',
    }),
    unhealthy_after: Type.Integer({
      minimum: 1,
      default: 1,
      description: 'Failed requests in a row after which an instance counts as unhealthy.',
    }),
    healthy_after: Type.Integer({
      minimum: 1,
      default: 1,
      description: 'Good probes in a row after which it counts as healthy again.',
    }),
  },
  { additionalProperties: false, default: {} },
)
export type HealthOptions = Static<typeof HealthOptions>
