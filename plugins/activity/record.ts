import type { Activity, EventType, HestiaEvent } from 'hestia'

/** What the timeline tells: all events of these families and of these types ... */
const RECORDED = [
  'instance.',
  'service.',
  'strategy.',
  'reload.',
  'server.',
  'store.',
  'machine.',
  'exclusive.',
  'auth.',
  'hook.failed',
  'request.fallback',
]
/** ... but those that come in masses and are told elsewhere. */
const LEFT_OUT: readonly string[] = ['instance.output', 'instance.progress', 'auth.allowed']

/** Whether events of a type are part of the timeline. */
export const isRecorded = (type: EventType): boolean =>
  !LEFT_OUT.includes(type) && RECORDED.some((entry) => (entry.endsWith('.') ? type.startsWith(entry) : type === entry))

/** An event as an entry of the timeline: what all have in common in columns of its own, the rest as details. */
export function activityOf(event: HestiaEvent): Omit<Activity, 'id'> {
  const { type, at, service, instance, requestId, to, reason, error, ...details } = event as HestiaEvent & Record<string, unknown>
  const isState = type === 'instance.state'
  return {
    service: textOf(service),
    instance: textOf(instance),
    kind: type,
    state: isState ? textOf(to) : null,
    reason: textOf(reason) ?? textOf(error),
    details: isState || to === undefined ? details : { ...details, to },
    requestId: textOf(requestId),
    at,
  }
}

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null)
