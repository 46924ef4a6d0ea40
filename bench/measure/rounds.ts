/** What each contestant did, round by round, in the order of the contestants. */
export type Rounds<T> = ReadonlyMap<string, readonly T[]>

/**
 * Each round lets all contestants run one after the other, so that what the machine does besides hits all alike; every other
 * round goes backwards, so that nobody always runs after the same one. A round before the first is not counted: compilers warm up.
 */
export async function interleave<C extends { readonly name: string }, T>(
  contestants: readonly C[],
  rounds: number,
  measure: (contestant: C, warming: boolean) => Promise<T>,
): Promise<Rounds<T>> {
  const results = new Map<string, T[]>(contestants.map(({ name }) => [name, []]))
  for (let round = -1; round < rounds; round++) {
    for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
      const result = await measure(contestant, round < 0)
      if (round >= 0) results.get(contestant.name)!.push(result)
    }
  }
  return results
}
