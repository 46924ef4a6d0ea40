import type { IncomingMessage } from 'node:http'
import type { Config } from '../config/index.ts'
import { HestiaError } from '../errors.ts'

/** What a request names: a service, and what is meant below it. */
export interface Address {
  readonly service: string
  /** Path and query below the service, starting with a slash, byte for byte as the client sent them. */
  readonly target: string
  /** What was cut off in front: `/services/{id}`, or nothing under the service's own host name. */
  readonly prefix: string
}

const PREFIX = '/services/'
/** On the request itself: what stands in a WeakMap outlives young collections, and takes all of its request along. */
const ADDRESS = Symbol('address')
type Addressed = IncomingMessage & { [ADDRESS]?: Address }

/** The address of a request that Hestia's host has seen; undefined when it names no service. */
export const addressOf = (request: Addressed): Address | undefined => request[ADDRESS]

/** Host names at whose root a service answers, in lower case, with the service. */
export function hostNames(config: Config): ReadonlyMap<string, string> {
  return new Map(
    Object.values(config.services).flatMap(({ id, hosts }) => hosts.map((host) => [host.toLowerCase(), id] as const)),
  )
}

/**
 * Finds out which service a request names and remembers it; answers the URL that the router shall see. The router never sees
 * what follows the service's name, so that no part of it is decoded, normalised or refused on the way.
 */
export function routerUrl(request: Addressed, hosts: ReadonlyMap<string, string>): string {
  const url = originForm(request.url ?? '/')
  const byHost = hosts.size > 0 ? hosts.get(hostName(request)) : undefined
  if (byHost !== undefined) {
    request[ADDRESS] = { service: byHost, target: url, prefix: '' }
    return `${PREFIX}${byHost}/`
  }
  if (!url.startsWith(PREFIX)) {
    // Letters may be percent-encoded, and are the same letters (RFC 3986, 6.2.2.2); the router thinks so, too.
    const first = url.slice(1, endOfSegment(url, 1))
    if (!first.includes('%') || `/${decode(first)}/` !== PREFIX) return url
    return serviceUrl(request, PREFIX + url.slice(first.length + 2))
  }
  return serviceUrl(request, url)
}

function serviceUrl(request: Addressed, url: string): string {
  const end = endOfSegment(url, PREFIX.length)
  if (url[end] !== '/') return url
  const prefix = url.slice(0, end)
  request[ADDRESS] = { service: decode(prefix.slice(PREFIX.length)), target: url.slice(end), prefix }
  return `${prefix}/`
}

/**
 * Refuses paths that climb above the service's root, also when percent-encoded (RFC 3986, 5.2.4): joined to an upstream URL
 * with a path of its own they would reach what is not part of the service.
 * @throws {HestiaError} `bad_path`
 */
export function checkPath(target: string): void {
  const path = pathOf(target)
  if (!MAY_CLIMB.test(path)) return
  let depth = 0
  for (const segment of segmentsOf(path)) {
    if (segment === '..') depth--
    else if (segment !== '.' && segment !== '') depth++
    if (depth < 0) throw new HestiaError('bad_path', { message: `The path ${path} climbs above the service it names.` })
  }
}

/** Whether whoever normalises a path (RFC 3986, 5.2.4), decoded or not, finds another one in it. */
export function climbs(target: string): boolean {
  const path = pathOf(target)
  return MAY_CLIMB.test(path) && segmentsOf(path).includes('..')
}

const MAY_CLIMB = /(?:\.|%2e)(?:\.|%2e)/i

function pathOf(target: string): string {
  const end = target.indexOf('?')
  return end === -1 ? target : target.slice(0, end)
}

/** As whoever decodes it sees them. */
const segmentsOf = (path: string): string[] =>
  path
    .slice(1)
    .split(/\/|\\|%2f|%5c/i)
    .map((segment) => segment.replace(/%2e/gi, '.'))

/** A request target in absolute form (RFC 9112, 3.2.2) names the gateway itself; the rest counts. */
function originForm(url: string): string {
  if (url.startsWith('/') || url === '*') return url
  const match = /^https?:\/\/[^/?#]*/i.exec(url)
  if (!match) return url
  const rest = url.slice(match[0].length)
  return rest.startsWith('/') ? rest : `/${rest}`
}

const hostName = (request: IncomingMessage): string => (request.headers.host ?? '').replace(/:\d*$/, '').toLowerCase()

function endOfSegment(url: string, from: number): number {
  for (let i = from; i < url.length; i++) if (url[i] === '/' || url[i] === '?') return i
  return url.length
}

function decode(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
