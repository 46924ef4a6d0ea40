import { METHODS } from 'node:http'
import { type CollectedResponse, definePlugin, HestiaError, RequestView } from 'hestia'
import { GatewayRequest, GatewayResponse, RequestsOptions } from '../schemas/requests.ts'

/** Headers that Hestia sets itself, or that belong to one connection (RFC 9110, 7.6.1). */
const OWN = new Set([
  'host',
  'content-length',
  'connection',
  'transfer-encoding',
  'keep-alive',
  'upgrade',
  'te',
  'trailer',
  'expect',
])
const KNOWN_METHODS = new Set(METHODS.filter((method) => method !== 'CONNECT'))
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** `POST /v1/requests`: one request to a configured service, and never to anything else, as JSON both ways. */
export default definePlugin({
  name: 'requests',
  options: RequestsOptions,
  dependencies: ['proxy'],
  setup: (app, options) => {
    app.post<{ Body: GatewayRequest }>(
      '/v1/requests',
      {
        bodyLimit: options.max_request_bytes,
        schema: {
          body: GatewayRequest,
          response: { 200: GatewayResponse },
        },
      },
      async (request, reply) => {
        const service = app.hestia.services.require(request.body.serviceId)
        const { method, path } = request.body
        if (!KNOWN_METHODS.has(method))
          throw new HestiaError('invalid_request', { message: `The method "${method}" is none that can be sent.` })
        const rawHeaders = headersOf(request.body)
        const body = bodyOf(request.body, rawHeaders)
        const controller = new AbortController()
        const leave = () => controller.abort(new Error('the client has left'))
        reply.raw.once('close', leave)
        const view = new RequestView({
          id: request.id,
          method,
          target: path,
          headers: byName(rawHeaders),
          clientAddress: request.raw.socket.remoteAddress,
          body,
          signal: () => controller.signal,
        })
        return present(await app.forward!.collect(view, service, rawHeaders, options.max_response_bytes))
      },
    )
  },
})

function headersOf({ headers = {} }: GatewayRequest): string[] {
  const raw: string[] = []
  for (const [name, values] of Object.entries(headers)) {
    if (OWN.has(name.toLowerCase()) || name.toLowerCase().startsWith('proxy-')) continue
    for (const value of [values].flat()) raw.push(name, value)
  }
  return raw
}

/** The bytes to send; says in `rawHeaders` that they are JSON if nothing else is said. */
function bodyOf({ body }: GatewayRequest, rawHeaders: string[]): Buffer | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string') return Buffer.from(body)
  if (!rawHeaders.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type'))
    rawHeaders.push('Content-Type', 'application/json')
  return Buffer.from(JSON.stringify(body))
}

/** Headers as node:http shows them: of one name, joined by commas. */
function byName(rawHeaders: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    headers[name] = Object.hasOwn(headers, name) ? `${headers[name]}, ${rawHeaders[i + 1]}` : rawHeaders[i + 1]!
  }
  return headers
}

function present({ status, rawHeaders, body }: CollectedResponse): GatewayResponse {
  const headers: Record<string, string | string[]> = {}
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    const value = rawHeaders[i + 1]!
    headers[name] = Object.hasOwn(headers, name) ? [headers[name]!, value].flat() : value
  }
  const type = String(headers['content-type'] ?? '')
  const encoded = headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity'
  const text = encoded ? undefined : textOf(body, type)
  if (text === undefined) return { status, headers, body: body.toString('base64'), encoding: 'base64' }
  return { status, headers, body: isJson(type) ? parsed(text) : text }
}

const isJson = (type: string): boolean => /^application\/(?:[^;\s]+\+)?json\b/i.test(type)

/** Text, if it is any: valid in the encoding that the type names, without one in UTF-8. */
function textOf(body: Buffer, type: string): string | undefined {
  if (/^(?:image|audio|video|font)\/(?!svg)|^application\/octet-stream/i.test(type)) return body.length === 0 ? '' : undefined
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type)?.[1]
  try {
    return (charset === undefined ? utf8 : new TextDecoder(charset, { fatal: true })).decode(body)
  } catch {
    return undefined
  }
}

/** What calls itself JSON and isn't stays text. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}
