import { createHash, randomBytes } from 'node:crypto'
import type { Instance } from 'hestia'

export type Action = 'start' | 'stop'

/** Crockford's base 32: no I, L, O, U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const TIME_DIGITS = 10
const ULID = /^[0-9A-HJKMNP-TV-Z]{26}$/
/** The field takes 250 characters; databases that are strict about it refuse more. */
const LONGEST_SUBJECT = 200

/** An id that tells its time: ULID (github.com/ulid/spec). */
function ulid(now: number): string {
  let time = ''
  for (let rest = now; time.length < TIME_DIGITS; rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32] + time
  return time + [...randomBytes(16)].map((byte) => ALPHABET[byte % 32]).join('')
}

/** For whom a task is: the service, with the instance where there are several. */
function subjectOf({ name, service }: Instance): string {
  const subject = name === 'default' || name === service.id ? service.id : `${service.id}/${name}`
  if (subject.length <= LONGEST_SUBJECT && /^[\x21-\x7e]+$/.test(subject)) return subject
  return `${service.id.slice(0, LONGEST_SUBJECT - 18)}/${createHash('sha256').update(subject).digest('hex').slice(0, 16)}`
}

const prefixOf = (instance: Instance, action: Action): string => `hestia:${subjectOf(instance)}:${action}:`

/** A message by which a task can be found again, whatever became of the answer to its start: `hestia:<subject>:<action>:<ulid>`. */
export const newMarker = (instance: Instance, action: Action): string => prefixOf(instance, action) + ulid(Date.now())

/** Whether a task's message is that of a task of this instance. */
export function isOurs(message: string, instance: Instance, action: Action): boolean {
  const prefix = prefixOf(instance, action)
  return message.startsWith(prefix) && ULID.test(message.slice(prefix.length))
}

/** When a marker was made, in milliseconds since the epoch, by Hestia's own clock. */
export const markedAt = (marker: string): number =>
  Array.from(marker.slice(-26, -26 + TIME_DIGITS)).reduce((time, digit) => time * 32 + ALPHABET.indexOf(digit), 0)

/** The id in a marker. */
export const idOf = (marker: string): string => marker.slice(-26)
