import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import type { ServiceMetrics } from '../../../schemas/metrics.ts'
import { get } from './api.ts'
import { count, duration } from './format.ts'
import { Ago, Countdown } from './parts.tsx'
import type { ServiceView } from './services.ts'
import { has } from './session.ts'

const EVERY_MS = 5000

/** The most important figures of a service, those that are counted by the plugin `metrics` among them. */
export const Figures = ({ view }: { view: ServiceView }) => {
  const { serviceId: id, inFlight, queuePending, usedAt, stopsAt } = view
  const metrics = useSignal<ServiceMetrics | undefined>(undefined)
  useEffect(() => {
    if (!has('metrics')) return undefined
    const read = () => {
      if (document.hidden) return
      get<ServiceMetrics>(`v1/services/${encodeURIComponent(id)}/metrics`).then(
        (found) => (metrics.value = found),
        () => undefined,
      )
    }
    read()
    const timer = setInterval(read, EVERY_MS)
    return () => clearInterval(timer)
  }, [id])
  const { counters, timers } = metrics.value ?? {}
  const time = (ms: number | null | undefined) => (typeof ms === 'number' ? duration(ms) : '–')
  const failed = (counters?.requests_by_status['5xx'] ?? 0) + (counters?.starts.failed ?? 0)
  return (
    <dl class="overview">
      <Figure label="in flight">{count(inFlight)}</Figure>
      <Figure label="waiting">{count(queuePending)}</Figure>
      <Figure label="last used">{usedAt === null ? '–' : <Ago at={usedAt} />}</Figure>
      <Figure label="stops in">{stopsAt === null ? '–' : <Countdown at={stopsAt} />}</Figure>
      {has('metrics') && (
        <>
          <Figure label="requests">{counters ? count(counters.requests) : '–'}</Figure>
          <Figure label="median">{time(timers?.request.p50_ms)}</Figure>
          <Figure label="p95">{time(timers?.request.p95_ms)}</Figure>
          <Figure label="cold start">{time(timers?.cold_start_boot.p50_ms)}</Figure>
          <Figure label="5xx, failed starts" bad={failed > 0}>
            {counters ? count(failed) : '–'}
          </Figure>
        </>
      )}
    </dl>
  )
}

const Figure = (props: { label: string; bad?: boolean; children: ComponentChildren }) => (
  <div>
    <dt>{props.label}</dt>
    <dd class={`num ${props.bad ? 'bad' : ''}`}>{props.children}</dd>
  </div>
)
