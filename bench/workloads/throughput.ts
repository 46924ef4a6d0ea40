import type { Running } from '../contestants/contestant.ts'
import type { Context } from '../context.ts'
import type { Load } from '../measure/load.ts'
import { type Reading, readingOf } from '../measure/reading.ts'
import { interleave, type Rounds } from '../measure/rounds.ts'
import { median, medianRatio, spread } from '../measure/statistics.ts'
import { figure, percent } from '../report/section.ts'

/** Loads all in turns, at the same path. */
export const readings = (
  running: readonly Running[],
  path: string,
  what: Omit<Load, 'url' | 'seconds'>,
  { options: { rounds, seconds } }: Context,
): Promise<Rounds<Reading>> =>
  interleave(running, rounds, (contestant, warming) =>
    readingOf(contestant, path, { ...what, seconds: warming ? Math.min(seconds, 2) : seconds }),
  )

/** Median over the rounds of what one did by what the other did in the same round; NaN if one of them did not take part. */
export function ratio(rounds: Rounds<Reading>, name: string, other: string): number {
  const [own, others] = [rounds.get(name), rounds.get(other)]
  if (!own || !others) return Number.NaN
  return medianRatio(
    own.map((reading) => reading.requestsPerSecond),
    others.map((reading) => reading.requestsPerSecond),
  )
}

export const COLUMNS = ['', 'requests/s', 'spread', 'to nginx', 'p50 ms', 'p99 ms', 'CPU µs/request', 'busy', 'peak RSS MiB']

/** A row of `COLUMNS` for each contestant. */
export const rows = (rounds: Rounds<Reading>): string[][] =>
  [...rounds].map(([name, own]) => {
    const all = (key: keyof Reading) => own.map((reading) => reading[key])
    return [
      name,
      figure(median(all('requestsPerSecond'))),
      percent(spread(all('requestsPerSecond'))),
      figure(ratio(rounds, name, 'nginx')),
      figure(median(all('p50Ms'))),
      figure(median(all('p99Ms'))),
      figure(median(all('cpuUs'))),
      figure(median(all('busy')), 2),
      figure(Math.max(...all('peakRssMiB'))),
    ]
  })
