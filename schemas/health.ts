import { type Static, Type } from '@sinclair/typebox'
import { StatusList } from './status-list.ts'
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
    status: StatusList(1, 5, {
      minItems: 1,
      default: ['200-399'],
      description: 'Statuses that count as well: single ones and ranges.',
    }),
    tcp: Type.Boolean({ default: false, description: 'Without `url`: a TCP connection that is accepted counts as well.' }),
    timeout_ms: Milliseconds({ default: 2000, minimum: 1, description: 'Longest time of one probe.' }),
    interval_ms: Milliseconds({
      default: 5000,
      minimum: 1,
      description: 'Pause between two probes of an instance that runs.',
    }),
    active: Type.Boolean({
      default: false,
      description: 'Whether an instance that runs is probed all the time; else only after it has been marked unhealthy.',
    }),
    unhealthy_status: StatusList(4, 5, {
      default: [],
      description:
        'Statuses of its answers that count as failures, such as `[502, 503, 504]`; none unless you say so, as they may be ' +
        'what the service means to say. The client gets them unchanged.',
    }),
    unhealthy_after: Type.Integer({
      minimum: 1,
      default: 1,
      description: 'Failures in a row, of requests or of probes, after which an instance counts as unhealthy.',
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
