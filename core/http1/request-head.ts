import { WireError } from './errors.ts'
import { isName, NOT_IN_TARGET, NOT_IN_VALUE, TOKEN } from './syntax.ts'

/** What stands in the head of a request, `Host` apart from the rest. */
export interface RequestHead {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly host: string
  /** Names and values in turn, without those that belong to the connection. */
  readonly headers: readonly string[]
}

const bad = (message: string): WireError => new WireError('BAD_REQUEST', message)

/**
 * The head of a request on a connection that is kept, without the empty line at its end, one character for each byte.
 * @throws {WireError} `BAD_REQUEST` for what would say something else on the wire than it does here.
 */
export function writeRequestHead({ method, target, host, headers }: RequestHead): string {
  if (!TOKEN.test(method)) throw bad(`${JSON.stringify(method)} is no method`)
  if (NOT_IN_TARGET.test(target)) throw bad('the path has characters that must be percent-encoded')
  if (NOT_IN_VALUE.test(host)) throw bad('the Host header has characters that no header may have')
  let head = `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive\r\n`
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const value = headers[i + 1]!
    if (!isName(name)) throw bad(`${JSON.stringify(name)} is no name of a header`)
    if (NOT_IN_VALUE.test(value)) throw bad(`the header ${name} has characters that no header may have`)
    head += `${name}: ${value}\r\n`
  }
  return head
}
