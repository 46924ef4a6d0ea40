import { isIPv6 } from 'node:net'

interface Window {
  count: number
  /** Milliseconds since the epoch. */
  endsAt: number
}

/** Counts of the windows that are open, by what is counted; plain data, as they outlive generations. */
export type Windows = Map<string, Window>

/** Of more the oldest are forgotten, so that who comes from ever new addresses fills no memory. */
const MAX_WINDOWS = 10_000

/**
 * Counts one more of something, in windows that begin with the first of it.
 * @returns undefined while there are no more than `max`; then the time until the next window, in milliseconds.
 */
export function count(windows: Windows, what: string, max: number, windowMs: number, now = Date.now()): number | undefined {
  const open = windows.get(what)
  if (open && open.endsAt > now) {
    open.count++
    return open.count > max ? open.endsAt - now : undefined
  }
  windows.delete(what)
  windows.set(what, { count: 1, endsAt: now + windowMs })
  if (windows.size > MAX_WINDOWS) windows.delete(windows.keys().next().value!)
  return max < 1 ? windowMs : undefined
}

/** An address as what belongs to one party: of IPv6 the first 64 bits, as every line has at least those for itself. */
export function partyOf(address = ''): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!isIPv6(plain)) return plain
  const [head = '', tail] = plain.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0')
  return [...before, ...zeros, ...after].slice(0, 4).join(':')
}
