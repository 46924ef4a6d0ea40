import type { ResolvedService, Section } from '../config/types.ts'
import type { Starter, StarterData } from './lifecycle.ts'
import type { InstanceRecord } from './record.ts'

/** Who has nothing but a record of being hot is asked no longer than this whether it answers, in milliseconds. */
export const PROBE_MS = 5000

/** Where a record is judged: what is configured there now. */
interface Present {
  readonly service: { readonly config: ResolvedService }
  section(plugin: string): Section | undefined
}

/** What becomes of a record: it is picked up as a start, or what it tells of is ended, or there is nothing to do. */
export interface Verdict {
  readonly action: 'resume' | 'end' | 'forget'
  /** What is left of the starters' records: those of which somebody can take care. */
  readonly data: Record<string, StarterData>
  /** Why not all of it is taken over. */
  readonly reason: string | undefined
  /** A starter is off, and nobody else knows how to stop what it started. */
  readonly orphaned: boolean
}

/**
 * Says what becomes of what an earlier gateway left. Nothing is ever started by it: what runs is picked up if it is still
 * configured to be run by those who started it, and ended if not, or if it was to end anyway.
 */
export function judge(record: InstanceRecord, present: Present, starters: ReadonlyMap<string, Starter<never>>): Verdict {
  const recorded = Object.entries(record.data)
  const orphanedBy = recorded.flatMap(([name]) => (starters.has(name) ? [] : [name]))
  const data = Object.fromEntries(recorded.filter(([name]) => starters.has(name))) as Record<string, StarterData>
  const names = Object.keys(data)
  const isUnwanted = (name: string): boolean =>
    present.section(name) === undefined && !(starters.get(name)?.ofMachine && present.service.config.starters.includes(name))
  const action = (): Verdict['action'] => {
    if (record.state === 'cold') return 'forget'
    if (names.length === 0) return record.state === 'hot' && orphanedBy.length === 0 ? 'resume' : 'forget'
    if (record.state === 'stopping' || names.some(isUnwanted)) return 'end'
    return 'resume'
  }
  const orphaned = record.state !== 'cold' && orphanedBy.length > 0
  const off = orphanedBy.join(' and ')
  const reason = orphaned
    ? `nothing can stop what ${off} had started, since that plugin is off: end it by hand`
    : action() === 'forget' && record.state !== 'cold'
      ? 'nothing had been started yet'
      : undefined
  return { action: action(), data: structuredClone(data), reason, orphaned }
}

/** What was to be picked up, or used as it was found, is not there any more; that is no failure of a start. */
export class Gone extends Error {}

/** A moment of the wall's clock (milliseconds since the epoch) on that of `performance.now()`, but no later than now. */
export const monotonic = (epochMs: number): number => performance.now() - Math.max(0, Date.now() - epochMs)

/** A service that is no longer configured, as far as it takes to stop what an earlier gateway started for it. */
export const strangerOf = ({ service: id, instance: name, url = 'http://hestia.invalid' }: InstanceRecord): ResolvedService => ({
  id,
  instances: [{ name, url, weight: 1, sections: {} }],
  fallback: null,
  hosts: [],
  tags: [],
  requires: {},
  models: undefined,
  aliases: {},
  warmup_ms: undefined,
  start: { attempts: 1, delay_ms: 0, timeout_ms: 0, cooldown_ms: 0, abandon: 'finish', linger_ms: 0 },
  strategy: undefined,
  routing: {},
  sections: {},
  named: [],
  starters: [],
})
