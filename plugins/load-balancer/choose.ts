import { type Candidate, pick, type Weights } from './pick.ts'

/** What matters of an instance when requests are spread. */
export interface Choosable extends Candidate {
  readonly region: string | undefined
  readonly state: 'cold' | 'starting' | 'hot' | 'stopping'
  /** False when it failed lately, or has to be left alone. */
  readonly usable: boolean
}

export interface Preferences {
  readonly region: string | undefined
  readonly preferReady: boolean
}

/** Where the request goes; which instance, not running yet, should be started meanwhile; and what to remember. */
export interface Verdict<C> {
  readonly chosen: C
  readonly start: C | undefined
  readonly after: Weights
}

const prefer = <C>(candidates: readonly C[], test: (candidate: C) => boolean): readonly C[] => {
  const preferred = candidates.filter(test)
  return preferred.length > 0 ? preferred : candidates
}

/**
 * Narrows the candidates down to usable ones of the region, if there are any, and picks by weight. With `preferReady` the pick
 * is among those that run (or else start already); if it would have been another one's turn, that one may be started meanwhile.
 */
export function choose<C extends Choosable>(
  all: readonly C[],
  { region, preferReady }: Preferences,
  weights: Weights,
): Verdict<C> | undefined {
  const weighted = all.filter(({ weight }) => weight > 0)
  const usable = prefer(weighted, (candidate) => candidate.usable)
  const near = region === undefined ? usable : prefer(usable, (candidate) => candidate.region === region)
  const turn = pick(near, weights)
  if (!turn) return undefined
  if (!preferReady || turn.chosen.state === 'hot') return { ...turn, start: undefined }
  const ready = prefer(
    prefer(near, ({ state }) => state === 'hot' || state === 'starting'),
    ({ state }) => state === 'hot',
  )
  if (ready.length === near.length) return { ...turn, start: undefined }
  return { ...pick(ready, weights)!, start: turn.chosen.state === 'starting' ? undefined : turn.chosen }
}
