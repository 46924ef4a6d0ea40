import type { Events } from './events.ts'
import type { HookLists } from './hooks.ts'

/** The four states of an instance: `cold -> starting -> hot -> stopping -> cold`; a start that fails leads back to `cold`. */
export type InstanceState = 'cold' | 'starting' | 'hot' | 'stopping'

/** Why an instance is brought down; `start_failed` and `crashed` clean up after what did not work. */
export type StopReason = 'idle' | 'manual' | 'evicted' | 'start_failed' | 'crashed' | 'removed' | 'shutdown'

/** What an instance needs of its surroundings; the hooks are those of the current generation each time. */
export interface Surroundings {
  readonly events: Events
  hooks(): HookLists
}

/** What a starter records in order to find, stop or adopt what it started: plain JSON. */
export type StarterData = Record<string, unknown>
