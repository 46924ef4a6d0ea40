import { type Activity, definePlugin, errorResponses, HestiaError, isAllowed, requirePermission } from 'hestia'
import { ActivitiesPage, ActivitiesQuery, type ActivityEntry, ActivityOptions } from '../../schemas/activity.ts'
import { activityOf, isRecorded } from './record.ts'

const schema = {
  operationId: 'listActivities',
  summary: 'The timeline: what happened to which service, when and why',
  description: 'Newest first, a page at a time: `next` of a page is the `cursor` of the one after it.',
  tags: ['events'],
  querystring: ActivitiesQuery,
  response: { 200: ActivitiesPage, ...errorResponses({ invalid_request: {}, store_unavailable: {} }) },
}

/** The timeline: writes down what happens, each thing once however many generations there are, and shows it. */
export default definePlugin({
  name: 'activity',
  options: ActivityOptions,
  dependencies: ['store'],
  setup(app) {
    const { hestia } = app
    const { events, generation } = hestia
    const store = app.store!
    // Of the generations alive the one in force records. Each hears of its change in the same tick, before what comes after.
    const recorder = hestia.keep('activity@1', () => ({ generation }))
    const unsubscribe = events.subscribe((event) => {
      if (event.type === 'reload.applied' && event.generation === generation) recorder.generation = generation
      const byMe = event.type === 'reload.applied' ? event.generation === generation : recorder.generation === generation
      if (byMe) store.activities.append(activityOf(event))
    }, isRecorded)
    app.addHook('onClose', unsubscribe)

    app.get<{ Querystring: ActivitiesQuery }>(
      '/v1/activities',
      { config: { permission: 'known' }, schema },
      async (request): Promise<ActivitiesPage> => {
        const { query } = request
        const { service, kind, limit, cursor } = query
        if (!isAllowed(request.caller, 'read')) requirePermission(request, 'read', service)
        const since = query.since === undefined ? undefined : timeOf(query.since)
        // One more than wanted tells whether there is another page.
        const found = await store.activities.query({ service, kind, since, before: cursor, limit: limit + 1 })
        const activities = found.slice(0, limit).map(entryOf)
        return { activities, next: found.length > limit ? activities.at(-1)!.id : null }
      },
    )
  },
})

/** @throws {HestiaError} `invalid_request` */
function timeOf(since: string): number {
  const at = /^\d+$/.test(since) ? Number(since) : Date.parse(since)
  if (Number.isNaN(at)) {
    throw new HestiaError('invalid_request', {
      message: `query parameter "since": "${since}" is no time; write it as 2026-01-31T12:00:00Z.`,
    })
  }
  return at
}

const entryOf = ({ id, service, instance, kind, state, reason, details, requestId, at }: Activity): ActivityEntry => ({
  id,
  service_id: service,
  instance_id: instance,
  kind,
  state,
  reason,
  details: { ...details },
  request_id: requestId,
  at: new Date(at).toISOString(),
})
