/** How a client wants to wait (RFC 7240, 4.1 and 4.3). */
export interface Preference {
  /** At most so long, in milliseconds; undefined: it didn't say. */
  readonly waitMs: number | undefined
  /** It would rather come back than wait. */
  readonly respondAsync: boolean
}

/** Reads `Prefer`; undefined when it says nothing of waiting. What isn't understood is no preference. */
export function preferenceOf(header: string | readonly string[] | undefined): Preference | undefined {
  if (header === undefined) return undefined
  let waitMs: number | undefined
  let respondAsync = false
  for (const item of header.toString().split(',')) {
    const [name, value] = item.split(';', 1)[0]!.split('=', 2)
    const token = name!.trim().toLowerCase()
    if (token === 'respond-async') respondAsync = true
    // Of several the first counts (RFC 7240, 2).
    const seconds = token === 'wait' ? /^\s*"?(\d{1,9})"?\s*$/.exec(value ?? '')?.[1] : undefined
    if (seconds !== undefined) waitMs ??= Number(seconds) * 1000
  }
  return respondAsync || waitMs !== undefined ? { waitMs, respondAsync } : undefined
}
