import { parseArgs } from 'node:util'

/** How much is measured. */
export interface Options {
  /** Letters or names of the workloads; all if absent. */
  readonly only: readonly string[] | undefined
  readonly rounds: number
  /** Length of one measurement. */
  readonly seconds: number
  /** Requests held by one cold service. */
  readonly callers: number
  /** Cold starts. */
  readonly starts: number
  readonly quick: boolean
}

const FULL = { rounds: 7, seconds: 3, callers: 5_000, starts: 200 }
const QUICK = { rounds: 2, seconds: 1, callers: 1_000, starts: 24 }

export const USAGE = `npm run bench -- [--quick] [--only a,small-get,...] [--rounds N] [--seconds N] [--callers N] [--starts N]`

function positive(name: string, text: string | undefined, absent: number): number {
  const value = text === undefined ? absent : Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number from 1 on, not ${text}\n${USAGE}`)
  return value
}

export function readOptions(args: readonly string[]): Options {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...args],
    options: { quick: { type: 'boolean' }, only: text, rounds: text, seconds: text, callers: text, starts: text },
  })
  const usual = values.quick ? QUICK : FULL
  return {
    only: values.only?.split(',').map((name) => name.trim()),
    rounds: positive('rounds', values.rounds, usual.rounds),
    seconds: positive('seconds', values.seconds, usual.seconds),
    callers: positive('callers', values.callers, usual.callers),
    starts: positive('starts', values.starts, usual.starts),
    quick: values.quick ?? false,
  }
}
