import { effect, signal } from '@preact/signals'
import type { SessionView } from '../../../schemas/auth.ts'
import type { DashboardFacts } from '../../../schemas/dashboard.ts'
import { ApiError, call, get, refusals } from './api.ts'

export const facts = signal<DashboardFacts | undefined>(undefined)
/** Who looks at the page; undefined while nobody asks. */
export const session = signal<SessionView | undefined>(undefined)
/** `out`: somebody has to log in. */
export const phase = signal<'loading' | 'in' | 'out' | 'unreachable'>('loading')
/** Whether the page itself has changed since it was loaded. */
export const outdated = signal(false)

let loadedBuild: string | undefined
const RETRY_MS = 1500

/** Finds out where we are and who asks. */
export async function boot(): Promise<void> {
  try {
    const found = await get<DashboardFacts>('dashboard/facts')
    const who = found.auth ? await get<SessionView>('v1/session') : undefined
    loadedBuild ??= found.build
    outdated.value = found.build !== loadedBuild
    session.value = who
    facts.value = found
    phase.value = 'in'
    if (location.pathname.endsWith('/login')) leaveLogin()
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) phase.value = 'out'
    else {
      if (phase.value === 'loading') phase.value = 'unreachable'
      setTimeout(() => void boot(), RETRY_MS)
    }
  }
}

/** A call was refused for want of credentials: the log-in has ended. */
effect(() => {
  if (refusals.value > 0 && phase.peek() === 'in') phase.value = 'out'
})

export async function logIn(name: string, password: string): Promise<void> {
  await call('POST', 'v1/session', { name, password })
  await boot()
}

export async function logOut(): Promise<void> {
  await call('DELETE', 'v1/session')
  session.value = undefined
  phase.value = 'out'
}

/** On to where somebody wanted to go before they had to log in; never to another site. */
function leaveLogin(): void {
  const wanted = new URL(new URLSearchParams(location.search).get('next') ?? 'dashboard', location.href)
  const next = wanted.origin === location.origin ? wanted : new URL('dashboard', location.href)
  if (next.hash === '') next.hash = location.hash
  location.replace(next.href)
}

/** Whether the one who looks may do that, to one service or to the gateway. */
export function may(permission: 'read' | 'wake' | 'administer', service?: string): boolean {
  const who = session.value
  if (!who || who.administer) return true
  if (permission === 'read' && who.read) return true
  return service !== undefined && (who.services[service]?.includes(permission) ?? false)
}

export const has = (plugin: string): boolean => facts.value?.plugins.includes(plugin) ?? false
