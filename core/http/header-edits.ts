import type { FastifyInstance, FastifyRequest } from 'fastify'

/** By name in lower case: the value that the service gets instead of what the client sent, or undefined for none at all. */
export type HeaderEdits = ReadonlyMap<string, string | undefined>

const KEY = 'headerEdits'

declare module 'fastify' {
  interface FastifyRequest {
    /** What plugins changed in the headers for the service; null, the rule, when nothing. Written by {@link editHeader}. */
    [KEY]: Map<string, string | undefined> | null
  }
}

export function decorateHeaderEdits(app: FastifyInstance): void {
  app.decorateRequest(KEY, null)
}

/**
 * Changes one header of a request on its way to the service, for `onRequest` hooks of plugins; what the client sent stays as it
 * is in `request.headers`. `value` undefined withholds all headers of that name.
 * @throws {TypeError} for what is neither, as the types of a plugin that is loaded live are checked by nobody.
 */
export function editHeader(request: FastifyRequest, name: string, value: string | number | undefined): void {
  if (value !== undefined && typeof value !== 'string' && typeof value !== 'number')
    throw new TypeError(
      `the header ${name} can be given a text, a number or undefined, not ${value === null ? 'null' : typeof value}`,
    )
  request[KEY] ??= new Map()
  request[KEY].set(name.toLowerCase(), value === undefined ? undefined : String(value))
}
