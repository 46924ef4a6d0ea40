/** What stands between the addresses that a service knows and those that its clients know. */
export interface Mapping {
  /** What clients write in front: `/services/{id}`, or nothing under the service's own host name. */
  readonly prefix: string
  /** Scheme of the service's URL, without the colon. */
  readonly scheme: string
  /** Authority of the service's URL, in lower case, without a default port. */
  readonly authority: string
  /** Path of the service's URL, without a slash at its end; mostly empty. */
  readonly basePath: string
  /** `Host` of the client's request, which services may use in what they answer. */
  readonly clientHost: string | undefined
}

/** Scheme (optional), authority, and all the rest of an absolute or network-path reference (RFC 3986, 4.2). */
const ABSOLUTE = /^(?:(https?):)?\/\/([^/?#\\]*)(.*)$/is

/**
 * A URL reference of an answer (`Location`, `Content-Location`), as the client must see it. What points elsewhere, is relative
 * to the request, or is fitted already (by services that heed X-Forwarded-Prefix) stays as it is.
 */
export function rewriteUrl(url: string, mapping: Mapping): string {
  const absolute = ABSOLUTE.exec(url)
  if (!absolute) return url.startsWith('/') ? (toClientPath(url, mapping) ?? url) : url
  const [, scheme, authority, rest] = absolute as unknown as [string, string | undefined, string, string]
  const named = normalAuthority(authority, scheme)
  const path = rest.startsWith('/') ? rest : `/${rest}`
  const sameScheme = scheme === undefined || scheme.toLowerCase() === mapping.scheme
  if (sameScheme && named === mapping.authority) return toClientPath(path, mapping) ?? url
  if (mapping.clientHost === undefined || named !== normalAuthority(mapping.clientHost, scheme)) return url
  const mapped = toClientPath(path, mapping)
  return mapped === undefined || mapped === path ? url : url.slice(0, url.length - rest.length) + mapped
}

/** `Refresh: 5; url=/login`, a header of browsers that no RFC describes. */
export function rewriteRefresh(value: string, mapping: Mapping): string {
  const match = /^(\s*[\d.]+\s*[;,]\s*url\s*=\s*)(["']?)(.*?)(\2\s*)$/is.exec(value)
  if (!match) return value
  const [, before, quote, url, after] = match as unknown as [string, string, string, string, string]
  return before + quote + rewriteUrl(url, mapping) + after
}

/**
 * `Set-Cookie` (RFC 6265): the path gets the prefix, a domain that the client's host is no part of goes, as a browser would
 * refuse the cookie. Cookies named `__Host-...` must keep the path `/`.
 */
export function rewriteCookie(cookie: string, mapping: Mapping): string {
  const [pair = '', ...attributes] = cookie.split(';')
  const bound = pair.trimStart().startsWith('__Host-')
  const kept = attributes.flatMap((attribute) => {
    const match = /^\s*(path|domain)\s*=\s*(.*?)\s*$/is.exec(attribute)
    if (!match || bound) return [attribute]
    const [, name, value] = match as unknown as [string, string, string]
    if (name.toLowerCase() === 'path') return [` ${name}=${cookiePath(value, mapping)}`]
    return isPartOf(mapping.clientHost, value) ? [attribute] : []
  })
  return [pair, ...kept].join(';')
}

function cookiePath(path: string, mapping: Mapping): string {
  if (!path.startsWith('/')) return path
  // A cookie for all that lies above the service's own path is one for all of the service.
  const above = path.endsWith('/') ? path : `${path}/`
  if (`${mapping.basePath}/`.startsWith(above) && !begins(path, mapping.prefix)) return `${mapping.prefix}/`
  return toClientPath(path, mapping) ?? path
}

/** A path of the service as a path of the client; undefined when it lies outside of the service's own path. */
function toClientPath(path: string, { prefix, basePath }: Mapping): string | undefined {
  if (prefix !== '' && begins(path, prefix)) return path
  if (!begins(path, basePath)) return undefined
  const rest = path.slice(basePath.length)
  return prefix + (rest.startsWith('/') ? rest : `/${rest}`)
}

/** Whether a path is `start` or lies below it. */
function begins(path: string, start: string): boolean {
  if (!path.startsWith(start)) return false
  const next = path[start.length]
  return next === undefined || next === '/' || next === '?' || next === '#'
}

function isPartOf(host: string | undefined, domain: string): boolean {
  if (host === undefined) return false
  const name = host.replace(/:\d*$/, '').toLowerCase()
  const wanted = domain.replace(/^\./, '').toLowerCase()
  return name === wanted || name.endsWith(`.${wanted}`)
}

/** An authority in lower case, without the default port of its scheme; without a scheme (`//host`), of either. */
export function normalAuthority(authority: string, scheme: string | undefined): string {
  const plain = authority.slice(authority.lastIndexOf('@') + 1).toLowerCase()
  const port = scheme === undefined ? '(?:80|443)?' : scheme.toLowerCase() === 'https' ? '(?:443)?' : '(?:80)?'
  return plain.replace(new RegExp(`:${port}$`), '')
}
