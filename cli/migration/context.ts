import type { Draft } from './draft.ts'
import type { OldPair } from './old-file.ts'
import type { Remarks } from './remarks.ts'

/** What a service depends on beyond itself. */
export interface Surroundings {
  readonly remarks: Remarks
  /** Names of sections that services may have. */
  readonly sections: ReadonlySet<string>
  /** Names of machines that the new file has. */
  readonly machines: ReadonlySet<string>
  readonly hasAuth: boolean
}

/** A service that is being put together. */
export interface Context {
  readonly id: string
  readonly draft: Draft
  readonly pairs: readonly OldPair[]
  readonly find: (key: string) => OldPair | undefined
  readonly around: Surroundings
}
