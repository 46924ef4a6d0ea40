import { useSignal, useSignalEffect } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { dateTime, dayOf, timeOfDay } from './format.ts'
import { attempt } from './notices.tsx'
import { Empty } from './parts.tsx'
import { hrefOf } from './route.ts'
import { tell } from './sentences.ts'
import { ids, serviceOf } from './services.ts'
import { has, may } from './session.ts'
import { type Entry, type Filter, happenings, liveEntries, matches, readEntries, reopened } from './timeline.ts'

/** Entries that are in the page at a time; older ones come when they are asked for. */
const MOST = 200

/** The timeline, live at its top. */
export const Timeline = ({ filter, short = false }: { filter: Filter; short?: boolean }) => {
  const { service, kind, text } = filter
  const read = useSignal<{ entries: readonly Entry[]; next: string | null }>({ entries: [], next: null })
  const again = useSignal(0)
  const canRead = has('activity') && (may('read') || (service !== '' && may('read', service)))
  useSignalEffect(() => {
    again.value = reopened.value
  })
  useEffect(() => {
    let over = false
    read.value = { entries: [], next: null }
    if (canRead) {
      readEntries(filter, null).then(
        (page) => {
          if (!over) read.value = page
        },
        () => undefined,
      )
    }
    return () => {
      over = true
    }
  }, [service, kind, again.value, canRead])

  const more = () =>
    attempt(async () => {
      const { entries, next } = await readEntries(filter, read.value.next)
      read.value = { entries: [...read.value.entries, ...entries], next }
    })
  // The read makes this follow what happens.
  const live = happenings.value >= 0 ? liveEntries(filter) : []
  const known = read.value.entries.filter((entry) => matches(filter, entry))
  const newest = known[0]?.at ?? 0
  const fresh = live.filter(
    ({ at, kind, service }) => at > newest || !known.some((one) => one.at === at && one.kind === kind && one.service === service),
  )
  // The name of the only one says nothing.
  const hasSeveral = (serviceOf(service)?.value.instances.length ?? 0) > 1
  const all = [...fresh, ...known].slice(0, short ? 40 : Math.max(MOST, known.length))
  return (
    <>
      <ol class="timeline" aria-label="What happened, newest first">
        {all.map((entry, i) => (
          <Line
            key={entry.id}
            entry={entry}
            day={dayBreak(entry, all[i - 1])}
            withService={service === ''}
            withInstance={hasSeveral}
          />
        ))}
      </ol>
      {all.length === 0 && <Empty>{text || kind ? 'Nothing of that kind has happened.' : 'Nothing has happened yet.'}</Empty>}
      {!short && read.value.next !== null && (
        <button type="button" class="more" onClick={() => void more()}>
          Older
        </button>
      )}
    </>
  )
}

const dayBreak = ({ at }: Entry, newer: Entry | undefined): string | undefined => {
  const day = dayOf(at)
  return day === dayOf(newer?.at ?? Date.now()) ? undefined : day
}

interface LineProps {
  readonly entry: Entry
  readonly day: string | undefined
  readonly withService: boolean
  readonly withInstance: boolean
}

const Line = ({ entry, day, withService, withInstance }: LineProps) => {
  const { word, tone, text, who = 'gateway' } = tell(entry)
  const { service, instance, at } = entry
  return (
    <>
      {day !== undefined && <li class="day">{day}</li>}
      <li class={`entry ${tone}`}>
        <time dateTime={new Date(at).toISOString()} title={dateTime(at)} class="num">
          {timeOfDay(at)}
        </time>
        <i class="dot" aria-hidden="true" />
        <span class="what">
          {withService && service !== null && <a href={hrefOf('services', service)}>{service}</a>}
          {withService && service === null && <span class="soft">{who}</span>}
          {withInstance && instance !== null && <span class="soft mono">{instance}</span>} <b class="word">{word}</b>{' '}
          <span class="soft">{text}</span>
        </span>
      </li>
    </>
  )
}

const KINDS: readonly [kind: string, label: string][] = [
  ['', 'Everything'],
  ['instance.', 'Instances'],
  ['instance.start_failed', 'Failed starts'],
  ['instance.ready', 'Cold starts'],
  ['instance.step', 'Steps of starts'],
  ['instance.state', 'Changes of state'],
  ['service.', 'Configured services'],
  ['reload.', 'Reloads'],
  ['strategy.', 'Strategies'],
  ['machine.', 'Machines'],
  ['exclusive.', 'Shared devices'],
  ['auth.', 'Log-ins and keys'],
]

/** The whole timeline with its filters. */
export const TimelineView = () => {
  const filter = useSignal<Filter>({ service: '', kind: '', text: '' })
  const set = (change: Partial<Filter>) => {
    filter.value = { ...filter.value, ...change }
  }
  return (
    <>
      <h1>Timeline</h1>
      <div class="tools">
        <label class="field">
          <span>Service</span>
          <select value={filter.value.service} onChange={({ currentTarget }) => set({ service: currentTarget.value })}>
            <option value="">All</option>
            {ids.value.map((id) => (
              <option key={id} value={id}>
                {id}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Kind</span>
          <select value={filter.value.kind} onChange={({ currentTarget }) => set({ kind: currentTarget.value })}>
            {KINDS.map(([kind, label]) => (
              <option key={kind} value={kind}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <input
          type="search"
          placeholder="Contains"
          aria-label="Only entries that contain"
          value={filter.value.text}
          onInput={({ currentTarget }) => set({ text: currentTarget.value })}
        />
      </div>
      <div class="card">
        <Timeline filter={filter.value} />
      </div>
      {!has('activity') && <p class="soft">The plugin activity is off: this begins when the page is opened.</p>}
    </>
  )
}
