import type { ExclusiveStatus } from '../../../schemas/exclusive.ts'
import type { MachineStatus } from '../../../schemas/wake-on-lan.ts'
import { duration, plural } from './format.ts'
import { Ago, Empty, StateBadge } from './parts.tsx'
import { usePolled } from './polled.ts'
import { hrefOf } from './route.ts'
import { type InstanceView, ids, type State, serviceOf } from './services.ts'
import { has } from './session.ts'

/** The machines that services run on, and the devices that they share. */
export const MachinesView = () => (
  <>
    <h1>Machines</h1>
    {has('wake-on-lan') ? <Known /> : <Used />}
    {has('exclusive') && <Shared />}
  </>
)

const Known = () => {
  const { data, error } = usePolled<readonly MachineStatus[]>('v1/machines', 5000).value
  return (
    <>
      <ul class="grid">
        {(data ?? []).map((machine) => (
          <li key={machine.name} class="card padded machine">
            <div class="line">
              <h2>{machine.name}</h2>
              {(machine.wakes || machine.state !== 'unknown') && (
                <span class={`tag ${machine.state === 'up' ? 'good' : machine.available ? '' : 'bad'}`}>{machine.state}</span>
              )}
            </div>
            <p class="soft">
              {machine.role} · <code>{machine.address}</code>
              {machine.since !== null && (
                <>
                  {' '}
                  · <Ago at={Date.parse(machine.since)} />
                </>
              )}
            </p>
            <p class="soft">
              {Object.entries(machine.capabilities)
                .map(([name, value]) => (value === true ? name : `${name} ${String(value)}`))
                .join(' · ')}
            </p>
            <p class="soft">
              {machine.wakes ? 'Woken when it is needed' : 'Taken to be on'}
              {machine.lastWakeMs !== null && `, took ${duration(machine.lastWakeMs)} the last time`}
              {machine.sleeps ? '; put to sleep when nothing runs there.' : '.'}
            </p>
            {machine.lastError !== null && <p class="callout bad">{machine.lastError}</p>}
            <Residents list={machine.services} />
          </li>
        ))}
      </ul>
      {(data ?? []).length === 0 && <Empty>{error ?? (data ? 'No machines are configured.' : 'Loading …')}</Empty>}
    </>
  )
}

/** Without the plugin that knows machines: those that instances name. */
const Used = () => {
  const byMachine = new Map<string, { service: string; instance: string; state: State }[]>()
  for (const id of ids.value) {
    for (const { name, machine, state } of serviceOf(id)?.value.instances ?? ([] as InstanceView[])) {
      const key = machine ?? 'not said where'
      byMachine.set(key, [...(byMachine.get(key) ?? []), { service: id, instance: name, state }])
    }
  }
  return (
    <ul class="grid">
      {[...byMachine].map(([name, list]) => (
        <li key={name} class="card padded machine">
          <div class="line">
            <h2>{name}</h2>
            <span class="soft">{plural(list.length, 'instance')}</span>
          </div>
          <Residents list={list} />
        </li>
      ))}
    </ul>
  )
}

const Residents = ({ list }: { list: readonly { service: string; instance: string; state: string }[] }) => (
  <ul class="residents">
    {list.map(({ service, instance, state }) => (
      <li key={`${service}/${instance}`}>
        <a href={hrefOf('services', service)}>{service}</a>
        <StateBadge state={state as State} />
      </li>
    ))}
  </ul>
)

const Shared = () => {
  const { data } = usePolled<ExclusiveStatus>('v1/exclusive', 2000).value
  return (
    <>
      <h2 class="apart">Shared devices</h2>
      <ul class="grid">
        {(data?.groups ?? []).map(({ group, capacity, used, holders, waiters }) => (
          <li key={group} class="card padded machine">
            <div class="line">
              <h3>{group}</h3>
              <span class="num soft">
                {used} of {capacity}
              </span>
            </div>
            {/* biome-ignore lint/a11y/useSemanticElements: no browser lets a <meter> have these colours */}
            <div
              class="bar"
              role="meter"
              aria-label={`Taken of ${group}`}
              aria-valuemin={0}
              aria-valuemax={capacity}
              aria-valuenow={used}
            >
              <i style={{ width: `${Math.min(100, (used / capacity) * 100)}%` }} />
            </div>
            <ul class="residents">
              {holders.map(({ service, instance, weight, state, held }) => (
                <li key={`${service}/${instance}`}>
                  <a href={hrefOf('services', service)}>{service}</a>
                  <span class="soft num">{weight}</span>
                  <StateBadge state={state as State} />
                  {held && <span class="tag">makes way</span>}
                </li>
              ))}
            </ul>
            {waiters.map(({ service, instance, waitedMs, behind }) => (
              <p key={`${service}/${instance}`} class="soft">
                <b>{service}</b> has waited {duration(waitedMs)}
                {behind.length > 0 && ` for ${behind.join(', ')}`}
              </p>
            ))}
          </li>
        ))}
      </ul>
    </>
  )
}
