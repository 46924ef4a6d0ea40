/** What can go wrong between a request and its answer on the wire. */
export type WireErrorCode =
  /** No connection in time. */
  | 'CONNECT_TIMEOUT'
  /** The other side closed the connection before its answer was whole. */
  | 'CLOSED'
  /** No head of an answer in time. */
  | 'HEAD_TIMEOUT'
  /** Silence in the middle of an answer. */
  | 'BODY_TIMEOUT'
  /** What came is no HTTP/1.1. */
  | 'BAD_ANSWER'
  /** The request itself can't be written. */
  | 'BAD_REQUEST'

/** An error of the HTTP/1.1 client; errors of the connection itself (`ECONNREFUSED`, TLS) pass as they are. */
export class WireError extends Error {
  readonly code: WireErrorCode

  constructor(code: WireErrorCode, message: string) {
    super(message)
    this.name = 'WireError'
    this.code = code
  }
}
