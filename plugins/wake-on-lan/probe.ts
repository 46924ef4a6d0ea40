import { type ClientRequest, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

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
/** Shortest and longest pause between two probes, in milliseconds, and their part of the time waited so far. */
const SHORTEST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 250
const PAUSE_PART = 0.04

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
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const settle = (seen: string | undefined) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      connection.destroy()
      resolve(seen)
    }
    const abort = () => {
      settle(undefined)
      reject(signal.reason)
    }
    const timer = setTimeout(() => settle(`no answer within ${timeoutMs} ms`), timeoutMs)
    const connection = probe.kind === 'http' ? ask(probe.url, settle) : reach(probe.host, probe.port, settle)
    connection.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      const isUp = probe.kind === 'tcp' && probe.refusedIsFine && code === 'ECONNREFUSED'
      settle(isUp ? undefined : (code ?? message))
    })
    signal.addEventListener('abort', abort)
  })
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

const reach = (host: string, port: number, settle: Settle): Socket => connect({ host, port }, () => settle(undefined))

/** Waits between two probes: short at first, longer the longer it has taken. @throws the signal's reason when it is aborted. */
export async function pause(waitedMs: number, signal: AbortSignal): Promise<void> {
  const ms = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, waitedMs * PAUSE_PART))
  await sleep(ms, undefined, { signal }).catch(() => undefined)
  signal.throwIfAborted()
}
