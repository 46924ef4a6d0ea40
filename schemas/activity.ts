import { type Static, Type } from '@sinclair/typebox'

/** Options of the plugin `activity`: it has none. */
export const ActivityOptions = Type.Object({}, { additionalProperties: false, default: {} })

const Nullable = (description: string) => Type.Union([Type.String(), Type.Null()], { description })

/** One entry of the timeline. */
export const ActivityEntry = Type.Object(
  {
    id: Type.String({ description: 'Unique, and sorted as time is (UUID version 7).' }),
    service_id: Nullable('The service it is about; null for what concerns the whole gateway.'),
    instance_id: Nullable('Name of the instance within its service.'),
    kind: Type.String({ description: 'Type of the event: `instance.ready`, `reload.applied`, ...' }),
    state: Nullable('State of the instance from then on, where it changed.'),
    reason: Nullable('Why, in words.'),
    details: Type.Record(Type.String(), Type.Unknown(), { description: 'What else the event told.' }),
    request_id: Nullable('The request that it happened to.'),
    at: Type.String({ description: 'When it happened, ISO 8601 in UTC.' }),
  },
  { $id: 'Activity', additionalProperties: false },
)
export type ActivityEntry = Static<typeof ActivityEntry>

/** `GET /v1/activities`: what of the timeline is wanted. */
export const ActivitiesQuery = Type.Object(
  {
    service: Type.Optional(Type.String({ minLength: 1, description: 'Id of a service, also of one that is gone.' })),
    kind: Type.Optional(
      Type.String({ pattern: '^[a-z_.]+$', description: 'A kind, or the beginning of kinds ending with a dot: `instance.`.' }),
    ),
    since: Type.Optional(
      Type.String({
        pattern: '^(\\d{1,14}|\\d{4}-\\d{2}-\\d{2}([T ][\\d:.]+(Z|[+-]\\d{2}:?\\d{2})?)?)$',
        description: 'Nothing older: a time in ISO 8601, or in milliseconds since 1970.',
      }),
    ),
    limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'How many at most.' }),
    cursor: Type.Optional(
      Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', description: '`next` of the page before.' }),
    ),
  },
  { additionalProperties: false, default: {} },
)
export type ActivitiesQuery = Static<typeof ActivitiesQuery>

/** Its answer, newest first. */
export const ActivitiesPage = Type.Object(
  {
    activities: Type.Array(ActivityEntry),
    next: Nullable('The `cursor` of the next page; null on the last.'),
  },
  { $id: 'ActivityPage', additionalProperties: false },
)
export type ActivitiesPage = Static<typeof ActivitiesPage>
