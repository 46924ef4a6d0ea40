import { signal } from '@preact/signals'
import type { ActivitiesPage, ActivityEntry } from '../../../schemas/activity.ts'
import { get } from './api.ts'
import { bootMs, noteStart } from './history.ts'
import type { LiveEvent } from './live.ts'
import { has, may } from './session.ts'

/** One line of the timeline, whether it was read or has just happened. */
export interface Entry {
  readonly id: string
  readonly at: number
  readonly kind: string
  readonly service: string | null
  readonly instance: string | null
  readonly reason: string | null
  readonly details: Readonly<Record<string, unknown>>
}

/** Which entries somebody wants to see. */
export interface Filter {
  readonly service: string
  readonly kind: string
  readonly text: string
}

/** What has happened since the page is open, newest first. */
let happened: Entry[] = []
/** Grows when something was added to it; a few times a second at most. */
export const happenings = signal(0)
/** Grows when what was read has to be read again. */
export const reopened = signal(0)

const MOST = 1000
const TELL_MS = 250
let telling: ReturnType<typeof setTimeout> | undefined
let number = 0

export function openTimeline(): void {
  happened = []
  reopened.value++
  if (has('activity') && may('read')) void readStarts()
}

export function notePlainEvent({ type, at, service, instance, reason, error, ...details }: LiveEvent): void {
  happened.unshift({
    id: `live-${number++}`,
    at,
    kind: type,
    service: service ?? null,
    instance: instance ?? null,
    reason: (reason ?? error ?? null) as string | null,
    details,
  })
  if (happened.length > MOST) happened.length = MOST
  if (telling !== undefined) return
  telling = setTimeout(() => {
    telling = undefined
    happenings.value++
  }, TELL_MS)
}

export const matches = ({ service, kind, text }: Filter, entry: Entry): boolean =>
  (kind === entry.kind || !isNoise(entry)) &&
  (service === '' || entry.service === service) &&
  (kind === '' || (kind.endsWith('.') ? entry.kind.startsWith(kind) : entry.kind === kind)) &&
  (text === '' || JSON.stringify(entry).toLowerCase().includes(text.toLowerCase()))

/** What other entries tell better, unless somebody asks for just that. */
const isNoise = ({ kind, reason, details }: Entry): boolean =>
  kind === 'instance.step' ||
  (kind === 'instance.attempt' && Number(details.attempts) <= 1) ||
  (kind === 'instance.state' &&
    (details.to === 'cold' || details.to === 'stopping' || (details.to === 'hot' && reason === 'ready')))

export const liveEntries = (filter: Filter): readonly Entry[] => happened.filter((entry) => matches(filter, entry))

/** A page of what was written down, newest first. */
export async function readEntries({ service, kind }: Filter, cursor: string | null, limit = 100) {
  const query = new URLSearchParams({ limit: String(limit) })
  if (service !== '') query.set('service', service)
  if (kind !== '') query.set('kind', kind)
  if (cursor !== null) query.set('cursor', cursor)
  const { activities, next } = await get<ActivitiesPage>(`v1/activities?${query.toString()}`)
  return { entries: activities.map(entryOf), next }
}

const entryOf = ({ id, at, kind, service_id, instance_id, state, reason, details }: ActivityEntry): Entry => ({
  id,
  at: Date.parse(at),
  kind,
  service: service_id,
  instance: instance_id,
  reason,
  details: state === null ? details : { ...details, to: state },
})

/** The starts of earlier times, for the small charts. */
async function readStarts(): Promise<void> {
  const of = (kind: string) => readEntries({ service: '', kind, text: '' }, null, 500)
  const pages = await Promise.all([of('instance.ready'), of('instance.start_failed')]).catch(() => [])
  for (const { service, at, kind, details } of pages.flatMap(({ entries }) => entries)) {
    if (service === null) continue
    noteStart(service, { at, durationMs: kind === 'instance.ready' ? bootMs(details) : null })
  }
}
