import { useSignal } from '@preact/signals'
import { call } from './api.ts'
import { dateTime, duration } from './format.ts'
import { attempt, say } from './notices.tsx'
import { Ago, Empty, Scroll } from './parts.tsx'
import { ProblemItem } from './problems.tsx'
import { hrefOf } from './route.ts'
import { facts, may } from './session.ts'
import { plugins, problems, strategies } from './system.ts'
import { Timeline } from './timeline-view.tsx'

/** What this gateway is made of, how its last reload went, and what is broken. */
export const SystemView = () => (
  <>
    <header class="page-head">
      <h1>System</h1>
      <span class="soft num">
        Hestia {facts.value?.version} · generation {plugins.value?.generation ?? '–'}
      </span>
      <ReloadButton />
    </header>
    <section class={`card ${problems.value.length > 0 ? 'broken' : ''}`}>
      <h2>{problems.value.length > 0 ? 'Refused' : 'Files'}</h2>
      {problems.value.length > 0 ? (
        <ul class="problems">
          {problems.value.map(({ of, problem }, i) => (
            <ProblemItem key={`${i} ${of}`} of={of} problem={problem} />
          ))}
        </ul>
      ) : (
        <Empty>Configuration, plugins and strategies are in force as they are on disk.</Empty>
      )}
    </section>
    <div class="columns">
      <div>
        <Plugins />
      </div>
      <div>
        <Strategies />
        <Hooks />
        <section class="card">
          <h2>Reloads</h2>
          <Timeline filter={{ service: '', kind: 'reload.', text: '' }} short />
        </section>
      </div>
    </div>
  </>
)

const ReloadButton = () => {
  const busy = useSignal(false)
  const reload = async () => {
    busy.value = true
    await attempt(async () => {
      const { changes, generation } = await call<{ changes: string[]; generation: number }>('POST', 'v1/reload')
      say(changes.length === 0 ? 'Nothing has changed.' : `Generation ${generation}: ${changes.join(', ')}`)
    })
    busy.value = false
  }
  if (!may('administer')) return null
  return (
    <button type="button" aria-disabled={busy.value} onClick={() => !busy.value && void reload()}>
      {busy.value ? 'Reloading …' : 'Reload now'}
    </button>
  )
}

const Plugins = () => (
  <section class="card">
    <h2>Plugins</h2>
    <Scroll label="Plugins">
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">State</th>
            <th scope="col">Hooks</th>
            <th scope="col" class="right">
              Set up
            </th>
            <th scope="col" class="right">
              Loaded
            </th>
          </tr>
        </thead>
        <tbody>
          {(plugins.value?.plugins ?? []).map(({ name, version, source, state, setupMs, loadedAt, hooks }) => (
            <tr key={name}>
              <th scope="row">
                {name} <span class="soft num">{version}</span>
                <small>{source}</small>
              </th>
              <td>{state === 'on' ? <span class="tag good">on</span> : <span class="tag bad">failed</span>}</td>
              <td class="soft">{Object.keys(hooks).join(', ') || '–'}</td>
              <td class="num right">{setupMs < 1 ? '< 1 ms' : duration(setupMs)}</td>
              <td class="num right" title={dateTime(loadedAt)}>
                <Ago at={loadedAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  </section>
)

const Strategies = () => {
  const list = strategies.value
  const users = Object.entries(list?.service_configurations ?? {})
  return (
    <section class="card">
      <h2>Strategies</h2>
      <ul class="items">
        {(list?.loaded_strategies ?? []).map(({ name, file, version, loaded_at }) => (
          <li key={file}>
            <div class="line">
              <b>{name}</b>
              <span class="soft num mono">{version.slice(0, 7)}</span>
              <span class="soft num">
                <Ago at={Date.parse(loaded_at)} />
              </span>
            </div>
            <small>{file}</small>
            <div class="soft">
              {users
                .filter(([, { strategy }]) => strategy === name)
                .map(([id]) => (
                  <a key={id} class="chip" href={hrefOf('services', id)}>
                    {id}
                  </a>
                ))}
            </div>
          </li>
        ))}
      </ul>
      {list?.loaded_strategies.length === 0 && <Empty>None: drop a .ts file into strategies/.</Empty>}
    </section>
  )
}

const Hooks = () => (
  <section class="card padded">
    <h2>Hooks, in their order</h2>
    <dl class="facts">
      {Object.entries(plugins.value?.hooks ?? {}).map(([hook, handlers]) => (
        <div key={hook}>
          <dt class="mono">{hook}</dt>
          <dd>{handlers.map(({ plugin }) => plugin).join(' → ') || '–'}</dd>
        </div>
      ))}
    </dl>
  </section>
)
