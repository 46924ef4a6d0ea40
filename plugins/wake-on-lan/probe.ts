import { type ClientRequest, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, type Socket } from 'node:net'
import { probeOver } from 'hestia'

/** What tells whether a machine is up; for people it is `text`. */
export type Probe =
  | { readonly kind: 'http'; readonly url: URL; readonly text: string }
  | {
      readonly kind: 'tcp'
      readonly host: string
      readonly port: number
      /** A connection that is refused counts too: somebody is there to refuse it. */
      readonly refusedIsFine: boolean
      readonly text: string
    }

/** A port that most machines know, and that the others refuse. */
const SSH = 22
/** Longest time of one probe, in milliseconds; to who is off, connections are not refused but get no answer. */
const PROBE_MS = 1000

const bare = (host: string): string => host.replace(/^\[|\]$/g, '')

/** @param configured `wake.probe`, whose form the schema has checked. */
export function probeOf(configured: string | undefined, address: string): Probe {
  if (configured === undefined) {
    const host = bare(address)
    return { kind: 'tcp', host, port: SSH, refusedIsFine: true, text: `${host} port ${SSH}` }
  }
  const url = new URL(configured)
  if (url.protocol !== 'tcp:') return { kind: 'http', url, text: configured }
  return { kind: 'tcp', host: bare(url.hostname), port: Number(url.port), refusedIsFine: false, text: configured }
}

/**
 * Asks once, over a connection of its own.
 * @returns undefined when the machine is up, else what was seen instead.
 * @throws the signal's reason when it is aborted.
 */
export function probeOnce(probe: Probe, signal: AbortSignal, withinMs = PROBE_MS): Promise<string | undefined> {
  const timeoutMs = Math.max(1, Math.ceil(Math.min(withinMs, PROBE_MS)))
  const open = (settle: Settle) => (probe.kind === 'http' ? ask(probe.url, settle) : reach(probe, settle))
  return probeOver(open, timeoutMs, signal)
}

type Settle = (seen: string | undefined) => void

function ask(url: URL, settle: Settle): ClientRequest {
  const options = { agent: false, headers: { accept: '*/*', 'user-agent': 'hestia-wake' } } as const
  // It is about the machine, whoever it says it is.
  const request =
    url.protocol === 'https:' ? httpsRequest(url, { ...options, rejectUnauthorized: false }) : httpRequest(url, options)
  request.on('response', ({ statusCode = 0 }) => settle(statusCode < 500 ? undefined : `status ${statusCode}`))
  request.end()
  return request
}

function reach({ host, port, refusedIsFine }: Extract<Probe, { kind: 'tcp' }>, settle: Settle): Socket {
  const socket = connect({ host, port }, () => settle(undefined))
  if (refusedIsFine)
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNREFUSED') settle(undefined)
    })
  return socket
}
