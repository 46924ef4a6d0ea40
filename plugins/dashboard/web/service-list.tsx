import { computed, signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { Actions } from './actions.tsx'
import { count, plural } from './format.ts'
import { Ago, Countdown, Empty, Hidden, StateBadge } from './parts.tsx'
import { hrefOf } from './route.ts'
import { ids, isFailed, loaded, type ServiceView, type State, serviceOf, totals } from './services.ts'
import { RequestLine, StartBars } from './sparklines.tsx'

const text = signal('')
const state = signal<State | 'failed' | ''>('')

/** Who has a mouse has a keyboard. */
const HAS_KEYS = matchMedia('(hover: hover)').matches

const isWanted = (view: ServiceView): boolean =>
  (state.value === '' || (state.value === 'failed' ? isFailed(view) : view.state === state.value)) &&
  (text.value === '' || `${view.serviceId} ${view.machineId ?? ''}`.toLowerCase().includes(text.value.toLowerCase()))

/** As one string, which is the same as long as the same services are shown. */
const shown = computed(() =>
  ids.value
    .filter((id) => {
      const view = serviceOf(id)?.value
      return view !== undefined && isWanted(view)
    })
    .join('\n'),
)

export const ServiceList = () => {
  const list = shown.value === '' ? [] : shown.value.split('\n')
  return (
    <>
      <h1 class="hidden">Services</h1>
      <Overview />
      <Tools />
      <div class="card services">
        <div class="service-head" aria-hidden="true">
          <span>State</span>
          <span>Service</span>
          <span>Requests</span>
          <span>Cold starts</span>
          <span class="right">In flight</span>
          <span class="right">Queue</span>
          <span class="right">Last used</span>
          <span class="right">Stops in</span>
          <span />
        </div>
        <ul class="service-rows">
          {list.map((id) => (
            <Row key={id} id={id} />
          ))}
        </ul>
        {list.length === 0 && <Empty>{emptyText()}</Empty>}
      </div>
    </>
  )
}

function emptyText(): string {
  if (!loaded.value) return 'Loading …'
  if (ids.value.length > 0) return 'No service is like that.'
  return 'No services yet: add one below "services:" in hestia_config.yml, and it appears here.'
}

const Row = ({ id }: { id: string }) => {
  const view = serviceOf(id)?.value
  if (!view) return null
  const { instances, machineId, queuePending, inFlight, usedAt, stopsAt } = view
  const unhealthy = instances.filter(({ healthy }) => !healthy).length
  return (
    <li class={`service ${view.state}`}>
      <span class="cell-state">
        <StateBadge state={view.state} trouble={isFailed(view)} />
      </span>
      <span class="cell-name">
        <a href={hrefOf('services', id)}>{id}</a>
        <small>
          {[
            machineId ?? view.automation.provider ?? 'not managed',
            instances.length > 1 ? `${instances.filter(({ state }) => state === 'hot').length} of ${instances.length} hot` : '',
          ]
            .filter(Boolean)
            .join(' · ')}
          {unhealthy > 0 && <b class="bad"> · {plural(unhealthy, 'unhealthy', 'unhealthy')}</b>}
        </small>
      </span>
      <span class="cell-spark">
        <RequestLine id={id} />
      </span>
      <span class="cell-starts">
        <StartBars id={id} />
      </span>
      <span class="cell-flight num right">
        <Hidden>In flight</Hidden>
        <em aria-hidden="true">in flight</em>
        <b class={inFlight > 0 ? 'some' : 'none'}>{count(inFlight)}</b>
      </span>
      <span class="cell-queue num right">
        <Hidden>Queue</Hidden>
        <em aria-hidden="true">queue</em>
        <b class={queuePending > 0 ? 'some' : 'none'}>{count(queuePending)}</b>
      </span>
      <span class="cell-used num right">
        <Hidden>Last used</Hidden>
        <em aria-hidden="true">used</em>
        {usedAt === null ? <span class="none">–</span> : <Ago at={usedAt} />}
      </span>
      <span class="cell-idle num right">
        <Hidden>Stops in</Hidden>
        <em aria-hidden="true">stops in</em>
        {stopsAt === null ? <span class="none">–</span> : <Countdown at={stopsAt} />}
      </span>
      <Actions view={view} />
    </li>
  )
}

const Overview = () => {
  const { services, hot, starting, stopping, cold, inFlight, waiting, failed } = totals.value
  const figures: [value: number, label: string, tone: string][] = [
    [hot, 'hot', hot > 0 ? 'ember' : ''],
    [starting + stopping, 'on the way', starting + stopping > 0 ? 'ember' : ''],
    [cold, 'cold', ''],
    [inFlight, 'in flight', ''],
    [waiting, 'waiting', ''],
    [failed, 'failed', failed > 0 ? 'bad' : ''],
  ]
  return (
    <dl class="overview" aria-label={plural(services, 'service')}>
      {figures.map(([value, label, tone]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd class={`num ${tone}`}>{count(value)}</dd>
        </div>
      ))}
    </dl>
  )
}

const STATES: readonly [value: State | 'failed' | '', label: string][] = [
  ['', 'All'],
  ['hot', 'Hot'],
  ['starting', 'Starting'],
  ['cold', 'Cold'],
  ['failed', 'Failed'],
]

const Tools = () => {
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if (event.key !== '/' || event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey) return
      event.preventDefault()
      input.current?.focus()
    }
    addEventListener('keydown', focus)
    return () => removeEventListener('keydown', focus)
  }, [])
  return (
    <div class="tools">
      <input
        ref={input}
        type="search"
        placeholder={HAS_KEYS ? 'Find a service   /' : 'Find a service'}
        aria-label="Find a service by its name or machine"
        value={text.value}
        onInput={({ currentTarget }) => (text.value = currentTarget.value)}
      />
      <fieldset class="segments">
        <legend class="hidden">State</legend>
        {STATES.map(([value, label]) => (
          <label key={value}>
            <input type="radio" name="state" checked={state.value === value} onChange={() => (state.value = value)} />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
    </div>
  )
}
