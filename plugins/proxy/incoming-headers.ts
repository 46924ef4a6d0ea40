import { byName } from './by-name.ts'
import { namedByConnection } from './outgoing-headers.ts'
import { type Mapping, rewriteCookie, rewriteRefresh, rewriteUrl } from './rewrite.ts'

/** Headers of a service's answer as the client gets them, and what was seen in them. */
export interface IncomingHead {
  /** Names and values in turn. */
  readonly headers: string[]
  readonly hasRequestId: boolean
  readonly isEventStream: boolean
}

type Treatment =
  | 'drop'
  | 'length'
  | 'connection'
  | 'upgrade'
  | 'trailer'
  | 'url'
  | 'refresh'
  | 'cookie'
  | 'type'
  | 'id'
  | 'via'
  | 'mark'

const treatmentOf = byName<Treatment>([
  ['connection', 'connection'],
  ['keep-alive', 'drop'],
  ['proxy-connection', 'drop'],
  ['proxy-authenticate', 'drop'],
  ['proxy-authentication-info', 'drop'],
  ['transfer-encoding', 'drop'],
  ['te', 'drop'],
  ['upgrade', 'upgrade'],
  ['trailer', 'trailer'],
  ['content-length', 'length'],
  ['via', 'via'],
  ['location', 'url'],
  ['content-location', 'url'],
  ['refresh', 'refresh'],
  ['set-cookie', 'cookie'],
  ['content-type', 'type'],
  ['x-request-id', 'id'],
  ['x-hestia-instance', 'mark'],
  ['x-hestia-reason', 'mark'],
  ['x-hestia-cold-start', 'mark'],
  ['x-hestia-error', 'mark'],
])

/**
 * Takes from an answer what belongs to the connection (RFC 9110, 7.6.1), fits addresses by `mapping` if there is one, and
 * appends to `Via`. `trailers`: whether the client can be sent any; `isMarked`: decisions of another gateway make way for one's own.
 */
export function incomingHeaders(
  raw: readonly string[],
  status: number,
  options: { mapping: Mapping | undefined; pseudonym: string; trailers: boolean; isMarked: boolean },
): IncomingHead {
  const { mapping } = options
  const headers: string[] = []
  let connection: string | undefined
  let via = ''
  let trailer = ''
  let hasLength = false
  let hasRequestId = false
  let isEventStream = false
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    const value = raw[i + 1]!
    switch (treatmentOf(name)) {
      case undefined:
        headers.push(name, value)
        break
      case 'drop':
        break
      case 'connection':
        connection = connection === undefined ? value : `${connection}, ${value}`
        break
      case 'upgrade':
        // The one answer that must say which protocol is wanted (RFC 9110, 15.5.22).
        if (status === 426) headers.push(name, value)
        break
      case 'length':
        hasLength = true
        headers.push(name, value)
        break
      case 'trailer':
        trailer = value
        break
      case 'via':
        via = via === '' ? value : `${via}, ${value}`
        break
      case 'url':
        headers.push(name, mapping ? rewriteUrl(value, mapping) : value)
        break
      case 'refresh':
        headers.push(name, mapping ? rewriteRefresh(value, mapping) : value)
        break
      case 'cookie':
        headers.push(name, mapping ? rewriteCookie(value, mapping) : value)
        break
      case 'type':
        isEventStream = /^text\/event-stream\b/i.test(value)
        headers.push(name, value)
        break
      case 'mark':
        if (!options.isMarked) headers.push(name, value)
        break
      case 'id':
        hasRequestId = true
        headers.push(name, value)
        break
    }
  }
  // Trailers need chunks.
  if (trailer !== '' && options.trailers && !hasLength) headers.push('Trailer', trailer)
  headers.push('Via', via === '' ? `1.1 ${options.pseudonym}` : `${via}, 1.1 ${options.pseudonym}`)
  const named = namedByConnection(connection?.toLowerCase())
  return { headers: named && status !== 426 ? without(headers, named) : headers, hasRequestId, isEventStream }
}

function without(headers: readonly string[], names: ReadonlySet<string>): string[] {
  const kept: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    if (!names.has(headers[i]!.toLowerCase())) kept.push(headers[i]!, headers[i + 1]!)
  }
  return kept
}
