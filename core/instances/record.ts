import type { StarterData } from './lifecycle.ts'
import type { InstanceState } from './state.ts'

/** How an instance was last seen; what a gateway that has ended, or was killed, leaves to the next. */
export interface InstanceRecord {
  readonly service: string
  readonly instance: string
  readonly state: InstanceState
  /** Where it answered; undefined in records of before this was written down. */
  readonly url?: string | undefined
  /** Records of the starters, by plugin. */
  readonly data: Readonly<Record<string, StarterData>>
  /** When its last request ended, in milliseconds since the epoch; while one is in flight, when this was written. */
  readonly idleSince: number
  /** Since when it is in that state, in milliseconds since the epoch. */
  readonly since: number
}
