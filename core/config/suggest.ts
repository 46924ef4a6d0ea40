import { distance } from 'fastest-levenshtein'

const plain = (word: string): string => word.toLowerCase().replaceAll(/[^a-z0-9]/g, '')

/** The candidate that `word` is most likely a misspelling of, if any is near enough. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let least = Math.max(2, Math.floor(word.length / 3) + 1)
  for (const candidate of candidates) {
    const steps = plain(word) === plain(candidate) ? 0 : distance(word.toLowerCase(), candidate.toLowerCase())
    if (steps < least) [best, least] = [candidate, steps]
  }
  return best
}

const LISTED = 12

/** `; did you mean "x"?`, or the candidates when there are few and none is near; to be put behind a message. */
export function suggest(word: string, candidates: Iterable<string>): string {
  const all = [...candidates]
  const near = nearest(word, all)
  if (near !== undefined) return `; did you mean "${near}"?`
  return all.length > 0 && all.length <= LISTED ? `; known are ${all.join(', ')}` : ''
}
