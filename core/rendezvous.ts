import { hash } from 'node:crypto'

/**
 * Picks one of the candidates for a key: always the same one for a key, each for its share of all keys. A candidate that goes
 * takes only its own keys to others, one that comes takes only as many as are its share, and a changed weight moves no more
 * than that (weighted rendezvous hashing: Thaler and Ravishankar 1998, Schindelhauer and Schomaker 2005).
 * @returns undefined when no candidate has a weight above 0.
 */
export function rendezvous<C extends { readonly name: string }>(
  key: string,
  candidates: readonly C[],
  weightOf: (candidate: C) => number,
): C | undefined {
  let best: C | undefined
  let least = Infinity
  for (const candidate of candidates) {
    const weight = weightOf(candidate)
    if (!(weight > 0)) continue
    const distance = -Math.log(evenly(`${candidate.name}\n${key}`)) / weight
    if (distance >= least) continue
    best = candidate
    least = distance
  }
  return best
}

/** A number above 0 and below 1 for a text, always the same, as good as random for different texts. */
const evenly = (text: string): number => (Buffer.from(hash('sha1', text, 'hex'), 'hex').readUIntBE(0, 6) + 0.5) / 2 ** 48
