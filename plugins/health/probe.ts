import { readFile } from 'node:fs/promises'
import { type ClientRequest, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, type Socket } from 'node:net'
import { probeOver } from 'hestia'

/** What one probe asks, and what it takes for a good answer. */
export interface Probe {
  readonly url: URL
  /** Statuses that count as well; absent when a connection that is accepted is enough. */
  readonly accepts: ((status: number) => boolean) | undefined
  readonly timeoutMs: number
  /** PEM file of a certificate authority, for https. */
  readonly caFile: string | undefined
  readonly rejectUnauthorized: boolean
}

/**
 * Probes once, over a connection of its own that is closed afterwards; follows no redirect and reads no body.
 * @returns undefined when all is well, else what was seen instead.
 * @throws the signal's reason when it is aborted.
 */
export async function probeOnce(probe: Probe, signal: AbortSignal): Promise<string | undefined> {
  const ca = probe.caFile === undefined ? undefined : await readFile(probe.caFile)
  const open = (settle: Settle) => (probe.accepts ? ask(probe, probe.accepts, ca, settle) : reach(probe, settle))
  return probeOver(open, probe.timeoutMs, signal)
}

type Settle = (seen: string | undefined) => void

function ask(probe: Probe, accepts: (status: number) => boolean, ca: Buffer | undefined, settle: Settle): ClientRequest {
  const { url, rejectUnauthorized } = probe
  const headers = { accept: '*/*', 'user-agent': 'hestia-health' }
  const request =
    url.protocol === 'https:'
      ? httpsRequest(url, { agent: false, headers, rejectUnauthorized, ...(ca ? { ca } : {}) })
      : httpRequest(url, { agent: false, headers })
  request.on('response', ({ statusCode = 0 }) => settle(accepts(statusCode) ? undefined : `status ${statusCode}`))
  request.on('upgrade', ({ statusCode = 0 }, socket) => {
    socket.destroy()
    settle(accepts(statusCode) ? undefined : `status ${statusCode}`)
  })
  request.end()
  return request
}

function reach({ url }: Probe, settle: Settle): Socket {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  return connect({ host, port }, () => settle(undefined))
}
