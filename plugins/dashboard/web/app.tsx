import { useSignal, useSignalEffect } from '@preact/signals'
import type { ComponentChild } from 'preact'
import { useEffect } from 'preact/hooks'
import {
  Flame,
  KeysIcon,
  LeaveIcon,
  MachinesIcon,
  ModelsIcon,
  ServicesIcon,
  SystemIcon,
  ThemeIcon,
  TimelineIcon,
  WarnIcon,
} from './icons.tsx'
import { KeysView } from './keys-view.tsx'
import { connection } from './live.ts'
import { Login } from './login.tsx'
import { MachinesView } from './machines-view.tsx'
import { ModelsView } from './models-view.tsx'
import { attempt, Notices } from './notices.tsx'
import { ProblemBanner } from './problems.tsx'
import { hrefOf, route, view } from './route.ts'
import { ServiceList } from './service-list.tsx'
import { ServicePage } from './service-page.tsx'
import { facts, has, logOut, may, outdated, phase, session } from './session.ts'
import { problems } from './system.ts'
import { SystemView } from './system-view.tsx'
import { nextTheme, theme } from './theme.ts'
import { TimelineView } from './timeline-view.tsx'

interface View {
  readonly id: string
  readonly label: string
  readonly icon: () => ComponentChild
  readonly show: () => ComponentChild
  readonly isThere?: () => boolean
}

const VIEWS: readonly View[] = [
  { id: 'services', label: 'Services', icon: ServicesIcon, show: () => <Services /> },
  { id: 'timeline', label: 'Timeline', icon: TimelineIcon, show: TimelineView, isThere: () => may('read') },
  { id: 'models', label: 'Models', icon: ModelsIcon, show: ModelsView, isThere: () => has('model-router') },
  { id: 'machines', label: 'Machines', icon: MachinesIcon, show: MachinesView, isThere: () => may('read') },
  { id: 'system', label: 'System', icon: SystemIcon, show: SystemView, isThere: () => may('read') },
  { id: 'keys', label: 'Keys', icon: KeysIcon, show: KeysView, isThere: () => (facts.value?.auth ?? false) && may('administer') },
]

const Services = () => {
  const id = route.value[1]
  return id === undefined ? <ServiceList /> : <ServicePage key={id} id={id} />
}

export const App = () => {
  useTitle()
  if (phase.value === 'out') return <Login />
  if (phase.value === 'loading') return null
  if (phase.value === 'unreachable') {
    return (
      <main class="login">
        <p role="status">The gateway can’t be reached; trying again …</p>
      </main>
    )
  }
  const views = VIEWS.filter(({ isThere }) => isThere?.() ?? true)
  const current = views.find(({ id }) => id === view.value) ?? views[0]!
  const Show = current.show
  return (
    <>
      <button type="button" class="skip" onClick={skip}>
        To the content
      </button>
      <header class="top">
        <a class="brand" href={hrefOf()} aria-label="Hestia, all services">
          <Flame />
          <span>Hestia</span>
        </a>
        <nav aria-label="Views">
          {views.map(({ id, label, icon: Icon }) => (
            <a key={id} href={hrefOf(id)} aria-current={id === current.id ? 'page' : undefined}>
              <Icon />
              <span>{label}</span>
              {id === 'system' && problems.value.length > 0 && <b class="badge">{problems.value.length}</b>}
            </a>
          ))}
        </nav>
        <div class="aside">
          <Connection />
          <button
            type="button"
            class="square ghost"
            onClick={nextTheme}
            aria-label={`Colours: ${theme.value}`}
            title={`Colours: ${theme.value}`}
          >
            <ThemeIcon />
          </button>
          {session.value?.kind === 'user' && (
            <button
              type="button"
              class="square ghost"
              onClick={() => void attempt(logOut)}
              aria-label={`Log out ${session.value.name}`}
              title={`Log out ${session.value.name}`}
            >
              <LeaveIcon />
            </button>
          )}
        </div>
      </header>
      <OpenWarning />
      <ProblemBanner />
      {outdated.value && (
        <div class="banner">
          <p>This page has changed.</p>
          <button type="button" onClick={() => location.reload()}>
            Load it again
          </button>
        </div>
      )}
      <main id="main" tabIndex={-1}>
        <Show key={current.id} />
      </main>
      <Notices />
    </>
  )
}

const Connection = () => {
  const words = { connecting: 'connecting', live: 'live', lost: 'reconnecting' }[connection.value]
  return (
    <span class={`connection ${connection.value}`} role="status">
      <i aria-hidden="true" />
      {words}
    </span>
  )
}

const OpenWarning = () => {
  const away = useSignal(sessionStorage.getItem('hestia.open-warning') === 'away')
  const { auth, exposed } = facts.value ?? {}
  if (auth !== false || away.value) return null
  const close = () => {
    sessionStorage.setItem('hestia.open-warning', 'away')
    away.value = true
  }
  return (
    <aside class={`banner warn ${exposed ? 'exposed' : ''}`} aria-label="Authentication is off">
      <WarnIcon />
      <p>
        <b>Auth is off.</b>{' '}
        {exposed
          ? 'Every machine that reaches this port may use, start and stop everything.'
          : 'Every program on this machine may use, start and stop everything.'}{' '}
        <span class="soft">
          Switch it on with <code>plugins: auth</code> in the configuration.
        </span>
      </p>
      <button type="button" class="ghost" onClick={close}>
        Hide
      </button>
    </aside>
  )
}

const skip = () => document.getElementById('main')?.focus()

function useTitle(): void {
  const place = useSignal('')
  useSignalEffect(() => {
    const [name = 'services', id] = route.value
    place.value = phase.value === 'out' ? 'Log in' : (id ?? VIEWS.find((one) => one.id === name)?.label ?? '')
  })
  useEffect(() => {
    document.title = place.value === '' ? 'Hestia' : `${place.value} · Hestia`
  }, [place.value])
}
