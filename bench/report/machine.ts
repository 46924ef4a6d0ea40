import { loadavg, totalmem } from 'node:os'
import { coreCount, isPinned } from '../measure/cores.ts'
import { loadGenerator } from '../measure/load.ts'
import type { Options } from '../options.ts'

/** Where and how it was measured, in general words: what somebody else needs in order to judge the figures. */
export function conditions({ rounds, seconds, quick }: Options): string {
  const cores = coreCount === 1 ? '1 core' : `${coreCount} cores`
  const shared = coreCount === 2 ? 'the services behind them and the load share the other' : 'services and load have others'
  const places = isPinned ? `contestants have one for themselves, ${shared}` : 'contestants, services and load share them'
  return [
    `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${process.platform} ${process.arch}, ${cores}`,
    `(${places}), ${Math.round(totalmem() / 2 ** 30)} GiB of memory; load by ${loadGenerator()};`,
    `medians of ${rounds} rounds of ${seconds} s${quick ? ' (--quick: read the order, not the digits)' : ''}.`,
  ].join(' ')
}

/** What makes the figures worth less; undefined if nothing does. */
export function disturbance(): string | undefined {
  const [load = 0] = loadavg()
  if (load < coreCount / 2) return undefined
  return `The machine was busy with other things when this began (load ${load.toFixed(1)}): figures may be far off.`
}
