/** A table with a sentence about it, and what was aimed at. */
export interface Section {
  readonly title: string
  /** What is measured, in a sentence or two. */
  readonly about: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
  readonly targets: readonly Target[]
}

/** Something to be reached. */
export interface Target {
  readonly what: string
  readonly measured: string
  readonly wanted: string
  /** Undefined if who it is compared with did not take part. */
  readonly reached: boolean | undefined
}

/** A number with as many digits as mean something; a dash for what was not measured. */
export function figure(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return '–'
  if (Math.abs(value) >= 10 ** (digits - 1)) return String(Math.round(value))
  return value
    .toPrecision(digits)
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '')
}

export const percent = (part: number): string => (Number.isFinite(part) ? `±${Math.round(part * 100)} %` : '–')

export const atLeast = (what: string, value: number, wanted: number, unit = ''): Target => ({
  what,
  measured: `${figure(value)}${unit}`,
  wanted: `≥ ${wanted}${unit}`,
  reached: Number.isFinite(value) ? value >= wanted : undefined,
})

export const below = (what: string, value: number, wanted: number, unit = ''): Target => ({
  what,
  measured: `${figure(value)}${unit}`,
  wanted: `< ${wanted}${unit}`,
  reached: Number.isFinite(value) ? value < wanted : undefined,
})
