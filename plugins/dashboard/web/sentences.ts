import { duration } from './format.ts'
import type { Entry } from './timeline.ts'

/** How an entry of the timeline is told: what stands first in a word, its weight, and the rest. */
export interface Told {
  readonly word: string
  readonly tone: 'good' | 'bad' | 'busy' | 'plain'
  readonly text: string
  /** Of what concerns no service: whose it is; the gateway's if that is not said. */
  readonly who?: string
}

type Details = Readonly<Record<string, unknown>>
const ms = (details: Details, key: string): string => duration(Number(details[key] ?? 0))
const list = (value: unknown): string => (Array.isArray(value) ? value.join(', ') : '')

const REASONS: Readonly<Record<string, string>> = {
  idle: 'idle',
  manual: 'by hand',
  request: 'for a request',
  shutdown: 'the gateway ends',
  evicted: 'makes room for another',
  removed: 'no longer configured',
  crashed: 'ended by itself',
  ready: 'ready',
  start_failed: 'the start failed',
}
/** What `exclusive` decides about a service. */
const DECISIONS: Readonly<Record<string, string>> = {
  wait: 'waits',
  grant: 'let in',
  evict: 'makes room',
  hold: 'held back',
  unhold: 'goes on',
}
const why = ({ reason }: Entry): string => (reason === null ? '' : (REASONS[reason] ?? reason))

const problemsOf = (details: Details): string => {
  const [first, ...others] = (details.problems ?? []) as { file: string; line?: number; column?: number; message: string }[]
  if (!first) return ''
  const place = [first.file, first.line, first.column].filter((part) => part !== undefined).join(':')
  return `${place} ${first.message}${others.length > 0 ? ` (and ${others.length} more)` : ''}`
}

const TOLD: Readonly<Record<string, (entry: Entry) => Told>> = {
  'instance.state': (entry) => {
    const to = String(entry.details.to)
    return { word: to, tone: to === 'hot' ? 'good' : to === 'starting' ? 'busy' : 'plain', text: why(entry) }
  },
  'instance.ready': ({ details }) => {
    const turn = Number(details.waitedMs ?? 0) < 1 ? '' : `, ${ms(details, 'waitedMs')} of which it waited for its turn`
    return { word: 'ready', tone: 'good', text: `after ${ms(details, 'durationMs')}${turn}` }
  },
  'instance.stopped': (entry) => ({
    word: 'stopped',
    tone: 'plain',
    text: `${why(entry)}, in ${ms(entry.details, 'durationMs')}`,
  }),
  'instance.attempt_failed': (entry) => ({
    word: 'attempt failed',
    tone: 'bad',
    text: `${String(entry.details.attempt)} of ${String(entry.details.attempts)}: ${why(entry)}`,
  }),
  'instance.start_failed': (entry) => ({
    word: 'start failed',
    tone: 'bad',
    text: `${why(entry)}; left alone for ${ms(entry.details, 'retryAfterMs')}`,
  }),
  'instance.crashed': (entry) => ({ word: 'crashed', tone: 'bad', text: why(entry) }),
  'instance.health': (entry) => ({
    word: entry.details.healthy ? 'healthy' : 'unhealthy',
    tone: entry.details.healthy ? 'good' : 'bad',
    text: why(entry),
  }),
  'instance.adopted': ({ details }) => ({ word: 'adopted', tone: 'good', text: `ran on; it was ${String(details.was)}` }),
  'instance.not_adopted': (entry) => ({ word: 'not adopted', tone: entry.details.orphaned ? 'bad' : 'plain', text: why(entry) }),
  'instance.kept': ({ details }) => ({
    word: 'kept',
    tone: 'plain',
    text: `${String(details.plugin)} is busy with it for ${ms(details, 'keepForMs')} more`,
  }),
  'reload.applied': ({ details }) => ({
    word: 'reload',
    tone: 'good',
    text: `generation ${String(details.generation)} in ${ms(details, 'durationMs')}: ${list(details.changes) || 'nothing changed'}`,
  }),
  'reload.rejected': ({ details }) => ({ word: 'reload refused', tone: 'bad', text: problemsOf(details) }),
  'reload.recovered': ({ details }) => ({
    word: 'refused no more',
    tone: 'good',
    text: typeof details.plugin === 'string' ? `plugin ${details.plugin}` : 'the configuration',
  }),
  'reload.restart_needed': ({ details }) => ({
    word: 'restart needed',
    tone: list(details.files) === '' ? 'good' : 'bad',
    text: list(details.files) || 'no more: the core is again as it runs',
  }),
  'strategy.recovered': ({ details }) => ({ word: 'refused no more', tone: 'good', text: String(details.file) }),
  'strategy.failed': ({ details }) => ({ word: 'strategy refused', tone: 'bad', text: problemsOf(details) }),
  'strategy.loaded': ({ details }) => ({
    word: 'strategy',
    tone: 'good',
    text: `${String(details.strategy)} loaded from ${String(details.file)}`,
  }),
  'hook.failed': (entry) => ({
    word: 'hook failed',
    tone: 'bad',
    text: `${String(entry.details.hook)} of ${String(entry.details.plugin)}: ${why(entry)}`,
  }),
  'request.fallback': (entry) => ({
    word: 'fallback',
    tone: 'bad',
    text: `${String(entry.details.from)} to ${String(entry.details.to)}: ${why(entry)}`,
  }),
  'exclusive.decided': (entry) => ({
    word: DECISIONS[String(entry.details.action)] ?? String(entry.details.action),
    tone: 'busy',
    text: why(entry),
  }),
  'machine.state': (entry) => ({
    who: String(entry.details.machine),
    word: String(entry.details.to),
    tone: entry.details.to === 'up' ? 'good' : 'plain',
    text: why(entry),
  }),
  'machine.woken': ({ details }) => ({
    who: String(details.machine),
    word: 'woke',
    tone: 'good',
    text: `in ${ms(details, 'durationMs')}`,
  }),
  'machine.wake_failed': (entry) => ({
    who: String(entry.details.machine),
    word: 'did not wake',
    tone: 'bad',
    text: `${why(entry)}; counts as unavailable for ${ms(entry.details, 'retryAfterMs')}`,
  }),
  'machine.slept': ({ details }) => ({
    who: String(details.machine),
    word: 'asleep',
    tone: 'plain',
    text: `in ${ms(details, 'durationMs')}`,
  }),
  'machine.sleep_failed': (entry) => ({
    who: String(entry.details.machine),
    word: 'stays awake',
    tone: 'bad',
    text: `${why(entry)}; the next try is in ${ms(entry.details, 'retryAfterMs')}`,
  }),
  'server.listening': ({ details }) => ({ word: 'listening', tone: 'good', text: `on ${String(details.address)}` }),
  'server.open': ({ details }) => ({
    word: 'auth is off',
    tone: details.exposed ? 'bad' : 'plain',
    text: details.exposed
      ? 'whoever reaches it over the network may do everything'
      : 'every program on this machine may do everything',
  }),
  'server.stopping': ({ details }) => ({ word: 'ending', tone: 'plain', text: String(details.signal) }),
}

const SKIPPED = new Set(['from', 'to', 'requestId'])

export function tell(entry: Entry): Told {
  const told = TOLD[entry.kind]?.(entry)
  if (told) return told
  const facts = Object.entries(entry.details)
    .filter(([key, value]) => !SKIPPED.has(key) && value !== null && typeof value !== 'object')
    .map(([key, value]) => (key.endsWith('Ms') ? duration(Number(value)) : `${key} ${String(value)}`))
  const text = [why(entry), ...facts].filter(Boolean).join(' · ')
  const [family = '', action = ''] = entry.kind.split('.')
  return { word: `${family} ${action.replaceAll('_', ' ')}`, tone: /fail|denied/.test(entry.kind) ? 'bad' : 'plain', text }
}
