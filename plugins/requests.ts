import { METHODS } from 'node:http'
import type { FastifyRequest } from 'fastify'
import {
  type CollectedResponse,
  definePlugin,
  errorResponses,
  FORWARDING_ERRORS,
  HestiaError,
  RequestView,
  requirePermission,
  traceparentOf,
} from 'hestia'
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
const TRACE = new Set(['traceparent', 'tracestate'])
const KNOWN_METHODS = new Set(METHODS.filter((method) => method !== 'CONNECT'))
const utf8 = new TextDecoder('utf-8', { fatal: true })

const schema = {
  operationId: 'sendRequest',
  summary: 'Send one request to a service, as JSON both ways',
  description: 'Starts the service if it is cold. Never goes to anything but a configured service.',
  tags: ['services'],
  body: GatewayRequest,
  response: { 200: GatewayResponse, ...errorResponses(FORWARDING_ERRORS) },
}

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
        config: { permission: 'known' },
        schema,
      },
      async (request, reply) => {
        requirePermission(request, 'use', request.body.serviceId)
        const service = app.hestia.services.require(request.body.serviceId)
        const { method, path } = request.body
        if (!KNOWN_METHODS.has(method))
          throw new HestiaError('invalid_request', { message: `The method "${method}" is none that can be sent.` })
        const rawHeaders = [...headersOf(request.body, request.trace !== null), ...traceHeaders(request)]
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
          trace: request.trace,
          caller: request.caller,
        })
        const answer = await app.forward!.collect(view, service, rawHeaders, options.max_response_bytes)
        return reply.type('application/json; charset=utf-8').send(present(answer))
      },
    )
  },
})

function headersOf({ headers = {} }: GatewayRequest, isTraced: boolean): string[] {
  const raw: string[] = []
  for (const [name, values] of Object.entries(headers)) {
    if (isTraced && TRACE.has(name.toLowerCase())) continue
    if (OWN.has(name.toLowerCase()) || name.toLowerCase().startsWith('proxy-')) continue
    for (const value of [values].flat()) raw.push(name, value)
  }
  return raw
}

/** Where requests are traced, the service is told of the trace that the request around its own belongs to. */
function traceHeaders({ trace, headerEdits }: FastifyRequest): string[] {
  if (!trace) return []
  const traceparent = headerEdits?.get('traceparent') ?? traceparentOf(trace)
  return ['traceparent', traceparent, ...(trace.tracestate === undefined ? [] : ['tracestate', trace.tracestate])]
}

/** The bytes to send; says in `rawHeaders` that they are JSON if nothing else is said. */
function bodyOf({ body }: GatewayRequest, rawHeaders: string[]): Buffer | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string') return Buffer.from(body)
  if (!rawHeaders.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type'))
    rawHeaders.push('Content-Type', 'application/json')
  try {
    return Buffer.from(JSON.stringify(body))
  } catch (thrown) {
    throw new HestiaError('invalid_request', { message: 'The body is nested too deeply; send it as a text.', cause: thrown })
  }
}

/** Headers as node:http shows them: of one name, joined by commas. */
function byName(rawHeaders: readonly string[]): Record<string, string> {
  const headers = Object.create(null) as Record<string, string>
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    headers[name] = Object.hasOwn(headers, name) ? `${headers[name]}, ${rawHeaders[i + 1]}` : rawHeaders[i + 1]!
  }
  return headers
}

/** A {@link GatewayResponse} as text. JSON of the service is put in as it came, however long its numbers and deep its nesting. */
function present({ status, rawHeaders, body }: CollectedResponse): string {
  const headers = Object.create(null) as Record<string, string | string[]>
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    const value = rawHeaders[i + 1]!
    headers[name] = Object.hasOwn(headers, name) ? [headers[name]!, value].flat() : value
  }
  const type = String(headers['content-type'] ?? '')
  const encoded = headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity'
  const text = encoded ? undefined : textOf(body, type)
  const head = `{"status":${status},"headers":${JSON.stringify(headers)},"body":`
  if (text === undefined) return `${head}"${body.toString('base64')}","encoding":"base64"}`
  return `${head}${isJson(type) && isValid(text) ? text : JSON.stringify(text)}}`
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
function isValid(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
