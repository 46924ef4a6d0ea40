import { randomBytes } from 'node:crypto'

/** The last id that was given: how ids of the same millisecond keep their order. */
export interface LastId {
  at: number
  sequence: number
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

function uuid(at: number, sequence: number, random: Buffer): string {
  const time = hex(at, 12)
  const variant = hex(0x8000 | (random.readUInt16BE(0) & 0x3fff), 4)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(sequence, 3)}-${variant}-${random.toString('hex', 2, 8)}`
}

/**
 * A UUID of version 7 (RFC 9562, 5.7) for something that happened `at` that time: sorted as text it is sorted by time, it needs
 * no counter in the database, and what is written twice because an answer was lost is there once.
 */
export function nextId(last: LastId, at: number): string {
  last.sequence = at === last.at ? (last.sequence + 1) & 0xfff : 0
  last.at = at
  return uuid(at, last.sequence, randomBytes(8))
}

/** No id of that time or later is smaller. */
export const firstIdAt = (at: number): string => uuid(at, 0, Buffer.alloc(8))
