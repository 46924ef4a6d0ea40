import type { IncomingMessage } from 'node:http'

const BODY = Symbol('body')
type Held = IncomingMessage & { [BODY]?: Buffer }

/** The body of a request that came with its head, all of it; undefined where it has to be read. */
export const wholeBodyOf = (request: Held): Buffer | undefined => request[BODY]

/** Gives a request its body: for whoever asks for it, and for whoever reads the stream. */
export function setWholeBody(request: Held, body: Buffer): void {
  request[BODY] = body
  request.push(body)
}
