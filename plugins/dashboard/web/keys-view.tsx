import { useSignal } from '@preact/signals'
import type { Static } from '@sinclair/typebox'
import type { KeyEntry, MadeKey } from '../../../schemas/auth.ts'
import { call } from './api.ts'
import { attempt } from './notices.tsx'
import { Ago, Confirm, CopyButton, Dialog, Empty, Scroll } from './parts.tsx'
import { usePolled } from './polled.ts'

type Made = Static<typeof MadeKey>

/** Keys for programs: list, make, switch off, revoke. */
export const KeysView = () => {
  const version = useSignal(0)
  const made = useSignal<Made | undefined>(undefined)
  const revoking = useSignal<KeyEntry | undefined>(undefined)
  const changed = () => void version.value++
  const { data, error } = usePolled<{ keys: readonly KeyEntry[] }>(`v1/keys?${version.value}`, 30_000).value
  return (
    <>
      <h1>Keys</h1>
      <MakeKey
        onMade={(key) => {
          made.value = key
          changed()
        }}
      />
      <KeyTable
        keys={data?.keys ?? []}
        onSwitch={(key) =>
          void attempt(async () => {
            await call('PATCH', `v1/keys/${encodeURIComponent(key.id)}`, { disabled: !key.disabled })
            changed()
          })
        }
        onRevoke={(key) => (revoking.value = key)}
      />
      {(data?.keys ?? []).length === 0 && <Empty>{error ?? (data ? 'There are no keys yet.' : 'Loading …')}</Empty>}
      {made.value && <ShowOnce made={made.value} onClose={() => (made.value = undefined)} />}
      {revoking.value && (
        <Confirm
          title={`Revoke ${revoking.value.name}?`}
          text="Programs that use it are refused from their next request on. This can’t be undone."
          verb="Revoke it"
          onYes={() => {
            const { id } = revoking.value!
            void attempt(async () => {
              await call('DELETE', `v1/keys/${encodeURIComponent(id)}`)
              changed()
            }, 'The key is revoked.')
          }}
          onClose={() => (revoking.value = undefined)}
        />
      )}
    </>
  )
}

const MakeKey = ({ onMade }: { onMade: (made: Made) => void }) => {
  const name = useSignal('')
  const scopes = useSignal('services:*')
  const make = (event: Event) => {
    event.preventDefault()
    void attempt(async () => {
      const list = scopes.value.split(/[\s,]+/).filter(Boolean)
      onMade(await call<Made>('POST', 'v1/keys', { name: name.value, scopes: list }))
      name.value = ''
    })
  }
  return (
    <form class="card padded make-key" onSubmit={make}>
      <label class="field">
        <span>Name</span>
        <input
          required
          value={name.value}
          onInput={({ currentTarget }) => (name.value = currentTarget.value)}
          placeholder="laptop"
        />
      </label>
      <label class="field wide">
        <span>Scopes</span>
        <input
          required
          class="mono"
          value={scopes.value}
          onInput={({ currentTarget }) => (scopes.value = currentTarget.value)}
          list="scopes"
        />
      </label>
      <datalist id="scopes">
        {['services:*', 'read', 'admin', 'models:*'].map((scope) => (
          <option key={scope} value={scope} />
        ))}
      </datalist>
      <button type="submit" class="primary">
        Make a key
      </button>
    </form>
  )
}

const ShowOnce = ({ made, onClose }: { made: Made; onClose: () => void }) => (
  <Dialog title={`The key of ${made.name}`} onClose={onClose}>
    <p>Copy it now: it is shown this once and kept nowhere.</p>
    <p class="address">
      <code class="secret">{made.key}</code>
      <CopyButton text={made.key} label="Copy the key" />
    </p>
    <form method="dialog" class="buttons">
      <button type="submit" class="primary">
        Done
      </button>
    </form>
  </Dialog>
)

interface TableProps {
  readonly keys: readonly KeyEntry[]
  readonly onSwitch: (key: KeyEntry) => void
  readonly onRevoke: (key: KeyEntry) => void
}

const KeyTable = ({ keys, onSwitch, onRevoke }: TableProps) => (
  <section class="card">
    <Scroll label="Keys">
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Scopes</th>
            <th scope="col">Made</th>
            <th scope="col">Last used</th>
            <th scope="col">
              <span class="hidden">Change</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {keys.map((key) => (
            <tr key={key.id} class={key.disabled ? 'off' : ''}>
              <th scope="row">
                {key.name} {key.disabled && <span class="tag">off</span>}
                <small class="mono">{key.id}</small>
              </th>
              <td class="mono">{key.scopes.join(' ')}</td>
              <td>{key.created_at === null ? 'in the configuration' : <Ago at={Date.parse(key.created_at)} />}</td>
              <td>{key.last_used_at === null ? '–' : <Ago at={Date.parse(key.last_used_at)} />}</td>
              <td class="right">
                {key.source === 'store' && (
                  <span class="buttons">
                    <button type="button" class="ghost" onClick={() => onSwitch(key)}>
                      {key.disabled ? 'Switch on' : 'Switch off'}
                    </button>
                    <button type="button" class="ghost bad" onClick={() => onRevoke(key)}>
                      Revoke
                    </button>
                  </span>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  </section>
)
