import { Actions } from './actions.tsx'
import { Chart } from './chart.tsx'
import { Figures } from './figures.tsx'
import { count } from './format.ts'
import { OpenIcon } from './icons.tsx'
import { Log } from './log.tsx'
import { Ago, CopyButton, Countdown, Empty, StateBadge } from './parts.tsx'
import { hrefOf } from './route.ts'
import { type InstanceView, isFailed, loaded, type ServiceView, serviceOf } from './services.ts'
import { has } from './session.ts'
import { strategies } from './system.ts'
import { Timeline } from './timeline-view.tsx'

/** Everything about one service. */
export const ServicePage = ({ id }: { id: string }) => {
  const view = serviceOf(id)?.value
  if (!view) {
    return (
      <>
        <h1>{id}</h1>
        <Empty>{loaded.value ? 'There is no service of this name.' : 'Loading …'}</Empty>
      </>
    )
  }
  const address = new URL(`services/${encodeURIComponent(id)}/`, location.href).href
  return (
    <>
      <nav class="crumbs" aria-label="Where this is">
        <a href={hrefOf('services')}>Services</a>
      </nav>
      <header class="page-head">
        <h1>{id}</h1>
        <StateBadge state={view.state} trouble={isFailed(view)} />
        <Actions view={view} />
      </header>
      <p class="address">
        <code>{address}</code>
        <CopyButton text={address} label="Copy the address" />
        <a class="button ghost" href={address} target="_blank" rel="noopener">
          <OpenIcon />
          Open
        </a>
      </p>
      {view.trouble !== null && <p class="callout bad">{view.trouble}</p>}
      <Figures key={id} view={view} />
      <div class="columns">
        <div>
          <section class="card padded">
            <h2>Load</h2>
            <Chart key={id} id={id} />
          </section>
          <section class="card">
            <h2>Output</h2>
            <Log key={id} id={id} />
          </section>
        </div>
        <div>
          <section class="card">
            <h2>Instances</h2>
            <ul class="instances">
              {view.instances.map((instance) => (
                <InstanceItem key={instance.name} instance={instance} />
              ))}
            </ul>
          </section>
          <Facts view={view} />
          <section class="card">
            <h2>Timeline</h2>
            <Timeline key={id} filter={{ service: id, kind: '', text: '' }} short={!has('activity')} />
          </section>
        </div>
      </div>
    </>
  )
}

const InstanceItem = ({ instance }: { instance: InstanceView }) => {
  const { name, url, machine, region, weight, state, healthy, inFlight, waiting, usedAt, stopsAt, coolsAt, lastError } = instance
  const facts = [machine, region, weight === 1 ? '' : `weight ${weight}`].filter(Boolean).join(' · ')
  return (
    <li>
      <div class="line">
        <b class="mono">{name}</b>
        <StateBadge state={state} trouble={lastError !== null && state === 'cold'} />
        {!healthy && <span class="tag bad">unhealthy</span>}
      </div>
      <code class="soft">{url}</code>
      <div class="soft num line">
        {facts && <span>{facts}</span>}
        <span>{count(inFlight)} in flight</span>
        <span>{count(waiting)} waiting</span>
        {usedAt !== null && (
          <span>
            used <Ago at={usedAt} />
          </span>
        )}
        {stopsAt !== null && (
          <span>
            stops in <Countdown at={stopsAt} />
          </span>
        )}
        {coolsAt !== null && (
          <span class="bad">
            left alone for <Countdown at={coolsAt} />
          </span>
        )}
      </div>
    </li>
  )
}

const Facts = ({ view: { serviceId, placement, automation } }: { view: ServiceView }) => {
  const task = automation.current_task ?? automation.last_task
  const strategy = strategies.value?.service_configurations[serviceId]
  return (
    <section class="card padded">
      <h2>How it is run</h2>
      <dl class="facts">
        <dt>Started by</dt>
        <dd>{automation.provider ?? 'nothing: it is only asked'}</dd>
        {strategy && (
          <>
            <dt>Routed by</dt>
            <dd>
              {strategy.strategy} {!strategy.loaded && <span class="tag bad">not loaded</span>}
            </dd>
          </>
        )}
        {placement?.machine && (
          <>
            <dt>Placed on</dt>
            <dd>
              {placement.machine} <span class="soft">{placement.reason}</span>
            </dd>
          </>
        )}
        {task && (
          <>
            <dt>{automation.current_task ? 'Task' : 'Last task'}</dt>
            <dd>
              {task.action} {task.id === null ? '' : `#${task.id}`} {task.status}{' '}
              {task.error && <span class="bad">{task.error}</span>}
            </dd>
          </>
        )}
      </dl>
    </section>
  )
}
