import { randomBytes } from 'node:crypto'

const POOL_BYTES = 4096
let pool = ''
let at = 0

/** Random hexadecimal digits, made for many at a time, as each call for random bytes costs more than all the rest of a request. */
function digits(count: number): string {
  if (at + count > pool.length) {
    pool = randomBytes(POOL_BYTES).toString('hex')
    at = 0
  }
  at += count
  return pool.slice(at - count, at)
}

export const newTraceId = (): string => digits(32)
export const newSpanId = (): string => digits(16)
