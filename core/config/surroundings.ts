import type { TObject } from '@sinclair/typebox'
import type { ServerConfig } from '../../schemas/config.ts'
import type { Strategy } from '../strategy.ts'
import type { ProblemList } from './problem-list.ts'
import type { SectionKind } from './sections.ts'

/** What the rest of the configuration says, as far as services depend on it. */
export interface Surroundings {
  readonly problems: ProblemList
  /** Sections that services may have, by name. */
  readonly kinds: ReadonlyMap<string, SectionKind>
  /** Schema of everything in a service, for converting texts. */
  readonly schema: TObject
  /** Why a key that is neither the core's nor a section's is refused. */
  readonly explainUnknown: (key: string, known: readonly string[]) => string
  readonly machines: readonly string[]
  /** Names of the plugins that bring up what runs on a machine. */
  readonly startersOf: (machine: string) => readonly string[]
  readonly strategies: ReadonlyMap<string, Strategy>
  /** Absent when it isn't valid itself. */
  readonly server: ServerConfig | undefined
}
