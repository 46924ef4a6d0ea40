import { type HeaderEdits, HestiaError } from 'hestia'
import { byName } from './by-name.ts'

/** What the headers of a request to a service are made of. */
export interface OutgoingHead {
  /** Names and values in turn, as the client sent them. */
  readonly rawHeaders: readonly string[]
  /** What plugins want changed in them. */
  readonly edits: HeaderEdits | null
  /** The client's `Connection` header, which names further headers that end here. */
  readonly connection: string | undefined
  readonly clientAddress: string | undefined
  readonly clientHost: string | undefined
  readonly scheme: 'http' | 'https'
  readonly prefix: string
  /** Hestia's own name in `Via`. */
  readonly pseudonym: string
  readonly forwarded: boolean
  /** Whether `Content-Length` still holds; not for another body than the client's. */
  readonly keepLength: boolean
}

type Treatment = 'drop' | 'length' | 'te' | 'via' | 'for' | 'host' | 'proto' | 'prefix' | 'forwarded'

/** Hop-by-hop headers (RFC 9110, 7.6.1) and those that need a look; all others pass. `Host` is set by whoever sends. */
const treatmentOf = byName<Treatment>([
  ['host', 'drop'],
  ['connection', 'drop'],
  ['keep-alive', 'drop'],
  ['proxy-connection', 'drop'],
  ['proxy-authorization', 'drop'],
  ['transfer-encoding', 'drop'],
  ['upgrade', 'drop'],
  ['http2-settings', 'drop'],
  ['expect', 'drop'],
  // Announces request trailers; whoever can send these announces them anew.
  ['trailer', 'drop'],
  ['te', 'te'],
  ['content-length', 'length'],
  ['via', 'via'],
  ['forwarded', 'forwarded'],
  ['x-forwarded-for', 'for'],
  ['x-forwarded-host', 'host'],
  ['x-forwarded-proto', 'proto'],
  ['x-forwarded-prefix', 'prefix'],
])

/**
 * Headers of the request to the service, names and values in turn: the client's, in their order, without those that belong to
 * the connection, then what a gateway adds. A gateway in front may have said host and scheme already; that is kept.
 * @throws {HestiaError} `loop_detected` when Hestia's own name stands in `Via`.
 */
export function outgoingHeaders(head: OutgoingHead): string[] {
  const { rawHeaders, edits } = head
  const named = namedByConnection(head.connection)
  const headers: string[] = []
  let via = ''
  let forwardedFor = ''
  let forwarded = ''
  let host = head.clientHost
  let proto: string = head.scheme
  let outerPrefix = ''
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    const value = rawHeaders[i + 1]!
    if (named?.has(name.toLowerCase()) || edits?.has(name.toLowerCase())) continue
    switch (treatmentOf(name)) {
      case undefined:
        headers.push(name, value)
        break
      case 'drop':
        break
      case 'length':
        if (head.keepLength) headers.push(name, value)
        break
      case 'te':
        if (/(?:^|[,\s])trailers(?:$|[,\s;])/i.test(value)) headers.push(name, 'trailers')
        break
      case 'via':
        via = append(via, value)
        break
      case 'for':
        forwardedFor = append(forwardedFor, value)
        break
      case 'host':
        host = value
        break
      case 'proto':
        proto = value
        break
      case 'prefix':
        outerPrefix = value.replace(/\/+$/, '')
        break
      case 'forwarded':
        forwarded = append(forwarded, value)
        break
    }
  }
  if (edits) for (const [name, value] of edits) if (value !== undefined) headers.push(name, value)
  if (via !== '') refuseLoop(via, head.pseudonym)
  const address = head.clientAddress?.replace(/^::ffff:(?=\d+\.)/, '')
  headers.push('Via', append(via, `1.1 ${head.pseudonym}`))
  if (address !== undefined) headers.push('X-Forwarded-For', append(forwardedFor, address))
  else if (forwardedFor !== '') headers.push('X-Forwarded-For', forwardedFor)
  if (host !== undefined) headers.push('X-Forwarded-Host', host)
  headers.push('X-Forwarded-Proto', proto)
  if (outerPrefix + head.prefix !== '') headers.push('X-Forwarded-Prefix', outerPrefix + head.prefix)
  if (head.forwarded) headers.push('Forwarded', append(forwarded, forwardedElement(address, head)))
  else if (forwarded !== '') headers.push('Forwarded', forwarded)
  return headers
}

const append = (list: string, item: string): string => (list === '' ? item : `${list}, ${item}`)

/** Names in a `Connection` header, in lower case; undefined when it names no header, which is the rule. */
export function namedByConnection(connection: string | undefined): ReadonlySet<string> | undefined {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined
  return new Set(connection.split(',').map((token) => token.trim().toLowerCase()))
}

function refuseLoop(via: string, pseudonym: string): void {
  const received = via.split(',').map((entry) => entry.trim().split(/\s+/)[1])
  if (!received.includes(pseudonym)) return
  throw new HestiaError('loop_detected', {
    message: 'The request came back to the Hestia that had sent it: the URL of the service leads to Hestia itself.',
  })
}

/** RFC 7239, 4: what is no plain token stands in quotes, IPv6 addresses in brackets besides. */
function forwardedElement(address: string | undefined, { clientHost, scheme }: OutgoingHead): string {
  const node = address === undefined ? 'unknown' : address.includes(':') ? `"[${address}]"` : address
  const host = clientHost === undefined ? '' : `;host=${/^[\w.-]+$/.test(clientHost) ? clientHost : JSON.stringify(clientHost)}`
  return `for=${node}${host};proto=${scheme}`
}
