import type { Attempt } from './attempt.ts'
import type { Job } from './job.ts'
import { sendByNode } from './node-request.ts'
import { outgoingHeaders } from './outgoing-headers.ts'
import type { RequestBody } from './request-body.ts'
import type { Mapping } from './rewrite.ts'
import type { Upstream } from './upstreams.ts'

/** What is sent where. */
export interface Dispatch {
  readonly upstream: Upstream
  /** Path and query below the upstream's own. */
  readonly target: string
  readonly headers: string[]
  readonly body: RequestBody | Buffer | undefined
  /** Called when a body that is held has gone out; maybe never. */
  readonly sent: (() => void) | undefined
  /** On a connection of its own, surely not one that the service is closing. */
  readonly fresh: boolean
}

/** Sends a request; `attempt` hears what comes of it. node:http sends what is no plain request. */
export function dispatch(job: Job, { upstream, target, headers, body, sent, fresh }: Dispatch, attempt: Attempt): void {
  const { view, upgrade } = job
  const { options } = upstream
  const { method } = view
  const clientHost = options.host === 'client' ? view.headers.host : undefined
  const path = upstream.basePath + target
  const isHeld = Buffer.isBuffer(body)
  const expects = job.waits && !isHeld
  // Trailers come behind chunks that are sent as they come; a body that is held has lost them with its own.
  const hasChunks = body !== undefined && !isHeld && view.headers['transfer-encoding'] !== undefined
  const trailer = hasChunks ? view.headers.trailer : undefined
  if (upgrade || expects || trailer !== undefined) {
    const all = ['Host', clientHost ?? upstream.host, ...headers]
    const asked = upgrade ? view.headers.upgrade : undefined
    sendByNode(upstream, { method, path, headers: all, upgrade: asked, expects, trailer, body }, attempt)
    return
  }
  const request = {
    method,
    target: path,
    host: clientHost ?? upstream.host,
    headers,
    body: body ?? null,
    sent,
    headTimeoutMs: options.first_byte_timeout_ms,
    bodyTimeoutMs: options.idle_timeout_ms,
  }
  upstream.connections.pool.send(request, attempt, fresh)
}

/** Headers for the service, with the body that it is sent. @throws {HestiaError} `loop_detected`. */
export function headersFor(job: Job, { options }: Upstream, pseudonym: string, body: RequestBody | Buffer | undefined): string[] {
  const { view, rawHeaders, edits, scheme, prefix } = job
  return outgoingHeaders({
    rawHeaders,
    edits,
    connection: view.headers.connection,
    clientAddress: view.client.address,
    clientHost: view.headers.host,
    scheme,
    prefix,
    pseudonym,
    forwarded: options.forwarded,
    keepLength: !Buffer.isBuffer(body) || Number(view.headers['content-length']) === body.length,
  })
}

/** How addresses in the answer are fitted to where the client sees the service. */
export function mappingOf({ view, prefix }: Job, { scheme, authority, basePath, options }: Upstream): Mapping | undefined {
  return options.rewrite_location ? { prefix, scheme, authority, basePath, clientHost: view.headers.host } : undefined
}
