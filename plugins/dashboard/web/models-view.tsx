import { useSignal } from '@preact/signals'
import { CopyButton, Empty, Scroll, StateBadge } from './parts.tsx'
import { usePolled } from './polled.ts'
import { hrefOf } from './route.ts'
import type { State } from './services.ts'

interface Model {
  readonly id: string
  readonly hestia: {
    readonly service: string
    readonly state: State
    readonly machine: string | null
    readonly alias_of?: string
  }
}

/** Every model that the front door knows, and where it is. */
export const ModelsView = () => {
  const answer = usePolled<{ data: readonly Model[] }>('v1/models', 15_000)
  const text = useSignal('')
  const { data, error } = answer.value
  const wanted = text.value.toLowerCase()
  const models = (data?.data ?? []).filter(({ id, hestia }) => `${id} ${hestia.service}`.toLowerCase().includes(wanted))
  const base = new URL('v1', location.href).href
  return (
    <>
      <h1>Models</h1>
      <p class="address">
        <code>{base}</code>
        <CopyButton text={base} label="Copy the base URL" />
        <span class="soft">is the base URL for every OpenAI client.</span>
      </p>
      <div class="tools">
        <input
          type="search"
          placeholder="Find a model"
          aria-label="Find a model"
          value={text.value}
          onInput={({ currentTarget }) => (text.value = currentTarget.value)}
        />
      </div>
      <section class="card">
        <Scroll label="Models">
          <table>
            <thead>
              <tr>
                <th scope="col">Model</th>
                <th scope="col">Service</th>
                <th scope="col">State</th>
                <th scope="col">Machine</th>
              </tr>
            </thead>
            <tbody>
              {models.map(({ id, hestia }) => (
                <tr key={id}>
                  <th scope="row">
                    {id}
                    {hestia.alias_of !== undefined && <small>stands for {hestia.alias_of}</small>}
                  </th>
                  <td>
                    <a href={hrefOf('services', hestia.service)}>{hestia.service}</a>
                  </td>
                  <td>
                    <StateBadge state={hestia.state} />
                  </td>
                  <td class="soft">{hestia.machine ?? '–'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
        {models.length === 0 && <Empty>{error ?? (data ? 'No service has told of a model.' : 'Loading …')}</Empty>}
      </section>
    </>
  )
}
