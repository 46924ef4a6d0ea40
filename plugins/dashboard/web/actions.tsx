import { useSignal } from '@preact/signals'
import { plural } from './format.ts'
import { PlayIcon, RestartIcon, StopIcon } from './icons.tsx'
import { attempt } from './notices.tsx'
import { Confirm } from './parts.tsx'
import { restart, type ServiceView, start, stop } from './services.ts'
import { may } from './session.ts'

/** Start, stop and restart; always in the same place, whatever the state. */
export const Actions = ({ view }: { view: ServiceView }) => {
  const { serviceId: id, state, inFlight, automation } = view
  const asking = useSignal<'stop' | 'restart' | undefined>(undefined)
  const isUp = state === 'hot' || state === 'starting'
  const mayStop = may('administer', id)
  const isOff = state === 'stopping' || (isUp ? !mayStop : !may('wake', id))
  const act = (action: 'stop' | 'restart') => void attempt(() => (action === 'stop' ? stop(id) : restart(id)))
  const ask = (action: 'stop' | 'restart') => {
    if (inFlight > 0) asking.value = action
    else act(action)
  }
  const press = () => (isUp ? ask('stop') : void attempt(() => start(id)))
  const hint = automation.enabled ? '' : 'Nothing is configured that could start it; it is only looked whether it answers.'
  return (
    <span class="actions">
      <button
        type="button"
        class={isUp ? '' : 'start'}
        onClick={() => !isOff && press()}
        aria-disabled={isOff}
        aria-label={`${isUp || state === 'stopping' ? 'Stop' : 'Start'} ${id}`}
        title={hint}
      >
        {isUp || state === 'stopping' ? <StopIcon /> : <PlayIcon />}
        {isUp || state === 'stopping' ? 'Stop' : 'Start'}
      </button>
      <button
        type="button"
        class="square"
        onClick={() => state === 'hot' && mayStop && ask('restart')}
        aria-disabled={state !== 'hot' || !mayStop}
        aria-label={`Restart ${id}`}
        title="Restart"
      >
        <RestartIcon />
      </button>
      {asking.value && (
        <Confirm
          title={`${asking.value === 'stop' ? 'Stop' : 'Restart'} ${id}?`}
          text={`${plural(inFlight, 'request is', 'requests are')} under way and may be cut off.`}
          verb={asking.value === 'stop' ? 'Stop it' : 'Restart it'}
          onYes={() => act(asking.value!)}
          onClose={() => (asking.value = undefined)}
        />
      )}
    </span>
  )
}
