/** A duration in few characters: `350 ms`, `4.2 s`, `3 min`, `5 h`, `2 d`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`
  if (ms < 60_000) return `${Math.round(ms / 1000)} s`
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h`
  return `${Math.floor(ms / 86_400_000)} d`
}

/** How long ago, without the second-by-second noise of the first moments. */
export function ago(at: number, now: number): string {
  const ms = Math.max(0, now - at)
  if (ms < 5000) return 'just now'
  return ms < 60_000 ? `${Math.floor(ms / 5000) * 5} s ago` : `${duration(ms)} ago`
}

/** What is left, as a clock that counts down: `0:42`, `4:05`, `1:02:09`. */
export function countdown(at: number, now: number): string {
  const left = Math.max(0, Math.ceil((at - now) / 1000))
  const [hours, minutes, seconds] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60]
  const two = (n: number) => String(n).padStart(2, '0')
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
const day = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' })
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium', hour12: false })

export const timeOfDay = (at: number): string => clock.format(at)
export const dayOf = (at: number): string => day.format(at)
export const dateTime = (at: number): string => whole.format(at)

/** A count in few characters: `1 234`, `12.3k`. */
export function count(n: number): string {
  if (n < 10_000) return n.toLocaleString('en').replaceAll(',', ' ')
  return n < 1_000_000 ? `${(n / 1000).toFixed(1)}k` : `${(n / 1_000_000).toFixed(1)}M`
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`
