import { batch, computed, type Signal, signal } from '@preact/signals'
import type { ServiceStatus } from '../../../schemas/api.ts'
import { call, get } from './api.ts'
import { historyOf, noteSample } from './history.ts'

type Instance = ServiceStatus['instances'][number]
export type State = Instance['state']

/** An instance with moments in place of durations, so that nothing changes while only time goes by. */
export interface InstanceView extends Instance {
  readonly usedAt: number | null
  readonly stopsAt: number | null
  readonly coolsAt: number | null
}

export interface ServiceView extends Omit<ServiceStatus, 'instances'> {
  readonly instances: readonly InstanceView[]
  readonly inFlight: number
  readonly usedAt: number | null
  readonly stopsAt: number | null
  /** Why it can't be started now. */
  readonly trouble: string | null
}

/** Ids in the order of the configuration. */
export const ids = signal<readonly string[]>([])
export const loaded = signal(false)
const views = new Map<string, Signal<ServiceView>>()

export const serviceOf = (id: string): Signal<ServiceView> | undefined => views.get(id)

/** Moments that are told as durations differ a little each time they are told. */
const SAME_MS = 1500
const moment = (at: number | null, before: number | null | undefined): number | null =>
  at !== null && before !== null && before !== undefined && Math.abs(at - before) < SAME_MS ? before : at

const FORGOTTEN = { sinceUsedMs: null, idleMs: null, stopsInMs: null, coolingMs: null, requests: 0 }

const latest = (moments: readonly (number | null)[]): number | null =>
  moments.reduce((a, b) => (b !== null && (a === null || b > a) ? b : a), null)

function viewOf(status: ServiceStatus, before: ServiceView | undefined): ServiceView {
  const at = Date.now()
  const instances = status.instances.map((one): InstanceView => {
    const { name, sinceUsedMs, stopsInMs, coolingMs } = one
    const old = before?.instances.find((each) => each.name === name)
    return {
      ...one,
      ...FORGOTTEN,
      usedAt: moment(sinceUsedMs === null ? null : at - sinceUsedMs, old?.usedAt),
      stopsAt: moment(stopsInMs === null ? null : at + stopsInMs, old?.stopsAt),
      coolsAt: moment(coolingMs === null ? null : at + coolingMs, old?.coolsAt),
    }
  })
  return {
    ...status,
    instances,
    inFlight: instances.reduce((sum, { inFlight }) => sum + inFlight, 0),
    usedAt: latest(instances.map(({ usedAt }) => usedAt)),
    stopsAt: latest(instances.map(({ stopsAt }) => stopsAt)),
    trouble: instances.find(({ lastError }) => lastError !== null)?.lastError ?? null,
  }
}

function take(status: ServiceStatus): void {
  const known = views.get(status.serviceId)
  const view = viewOf(status, known?.peek())
  noteSample(
    view,
    status.instances.reduce((sum, { requests }) => sum + requests, 0),
  )
  if (!known) views.set(status.serviceId, signal(view))
  else if (JSON.stringify(known.peek()) !== JSON.stringify(view)) known.value = view
}

/** Reads all services. */
export async function refreshAll(): Promise<void> {
  const statuses = await get<ServiceStatus[]>('v1/services')
  batch(() => {
    for (const status of statuses) take(status)
    const list = statuses.map(({ serviceId }) => serviceId)
    for (const id of views.keys()) if (!list.includes(id)) views.delete(id)
    if (list.join('\n') !== ids.peek().join('\n')) ids.value = list
    loaded.value = true
  })
}

/** Reads one service. */
export async function refresh(id: string): Promise<void> {
  take(await get<ServiceStatus>(`v1/services/${encodeURIComponent(id)}/status`))
}

const LIVELIEST: readonly State[] = ['hot', 'starting', 'stopping', 'cold']

/** What an event tells is shown at once; the rest of the status follows. */
export function setState(id: string, instance: string, state: State): void {
  const known = views.get(id)
  const view = known?.peek()
  if (!known || !view) return
  const instances = view.instances.map((one) => (one.name === instance ? { ...one, state, stopsAt: null } : one))
  const liveliest = LIVELIEST.find((one) => instances.some((each) => each.state === one)) ?? 'cold'
  known.value = { ...view, instances, state: liveliest, stopsAt: latest(instances.map(({ stopsAt }) => stopsAt)) }
}

/** Cold, as its last start has failed. */
export const isFailed = ({ serviceId, state, trouble }: ServiceView): boolean =>
  state === 'cold' && (trouble !== null || historyOf(serviceId).starts.value.at(-1)?.durationMs === null)

/** How many services are in each state, and what they are doing together. */
export const totals = computed(() => {
  const sums = { services: 0, hot: 0, starting: 0, stopping: 0, cold: 0, inFlight: 0, waiting: 0, failed: 0 }
  for (const id of ids.value) {
    const view = views.get(id)?.value
    if (!view) continue
    sums.services++
    sums[view.state]++
    sums.inFlight += view.inFlight
    sums.waiting += view.queuePending
    if (isFailed(view)) sums.failed++
  }
  return sums
})

const pathOf = (id: string, action: string) => `v1/services/${encodeURIComponent(id)}/${action}`

export const start = (id: string): Promise<unknown> => call('POST', pathOf(id, 'start'))
export const stop = (id: string): Promise<unknown> => call('POST', pathOf(id, 'stop'))

const RESTART_MS = 120_000

/** Stops it, and starts it as soon as it is cold. */
export async function restart(id: string): Promise<void> {
  await stop(id)
  await new Promise<void>((resolve, reject) => {
    const end = Date.now() + RESTART_MS
    const timer = setInterval(() => {
      if (serviceOf(id)?.peek().state === 'cold') resolve()
      else if (Date.now() > end) reject(new Error(`${id} did not stop in time; it was not started again.`))
      else return
      clearInterval(timer)
    }, 100)
  })
  await start(id)
}
