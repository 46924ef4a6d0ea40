import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const SANE = /^[\w.:/+=@-]{1,128}$/

/** Different in each process, so that ids of two runs are told apart in one log. */
const run = randomBytes(4).toString('hex')
let count = 0

/** The id of a request: the client's own `x-request-id` if it is harmless in a log line, else a new one. */
export function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id']
  if (typeof given === 'string' && SANE.test(given)) return given
  count = (count + 1) % Number.MAX_SAFE_INTEGER
  return `${run}-${count.toString(36)}`
}
