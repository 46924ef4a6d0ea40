import { once } from 'node:events'
import http, { type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'

export interface Answer {
  readonly status: number
  readonly reason: string
  readonly raw: string[]
  readonly headers: IncomingMessage['headers']
  readonly trailers: IncomingMessage['trailers']
  readonly body: Buffer
  readonly text: string
}

export interface Ask {
  readonly method?: string
  /** As an object, or names and values in turn. */
  readonly headers?: OutgoingHttpHeaders | string[]
  readonly body?: string | Buffer
  /** Request target, if it is none that a URL can say. */
  readonly path?: string
}

/**
 * Sends a request on a connection of its own and waits for the whole answer.
 * @throws when the connection breaks before the answer is complete.
 */
export async function ask(url: string, { method = 'GET', headers = {}, body, path }: Ask = {}): Promise<Answer> {
  const { hostname, port, pathname, search } = new URL(url)
  const options = { hostname, port, path: path ?? pathname + search, method, headers: headers as OutgoingHttpHeaders }
  const request = http.request({ ...options, agent: false })
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const whole = Buffer.concat(chunks)
  const { statusCode = 0, statusMessage = '', rawHeaders, trailers } = response
  return {
    status: statusCode,
    reason: statusMessage,
    raw: rawHeaders,
    headers: response.headers,
    trailers,
    body: whole,
    text: whole.toString(),
  }
}

/** All values of a header, in their order. */
export const valuesOf = (raw: readonly string[], name: string): string[] =>
  raw.flatMap((entry, i) => (i % 2 === 0 && entry.toLowerCase() === name.toLowerCase() ? [raw[i + 1]!] : []))
