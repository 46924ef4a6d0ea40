/** One of those among which to pick. */
export interface Candidate {
  readonly key: string
  /** Share relative to the others; one with 0 is never picked. */
  readonly weight: number
}

/** Current weight of each candidate, by key: all that the picker remembers. */
export type Weights = Map<string, number>

/**
 * Smooth weighted round robin, as nginx does it: of any run of as many picks as the weights add up to, each candidate gets its
 * weight, evenly spread. Pure: says what to pick and what to remember, remembers nothing itself.
 * @returns undefined when no candidate has a weight.
 */
export function pick<C extends Candidate>(candidates: readonly C[], weights: Weights): { chosen: C; after: Weights } | undefined {
  const after = new Map(weights)
  let chosen: C | undefined
  let total = 0
  for (const candidate of candidates) {
    if (candidate.weight <= 0) continue
    total += candidate.weight
    const current = (weights.get(candidate.key) ?? 0) + candidate.weight
    after.set(candidate.key, current)
    if (!chosen || current > after.get(chosen.key)!) chosen = candidate
  }
  if (!chosen) return undefined
  after.set(chosen.key, after.get(chosen.key)! - total)
  return { chosen, after }
}
