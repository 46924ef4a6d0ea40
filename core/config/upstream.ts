import type { ServerConfig } from '../../schemas/config.ts'
import type { Path } from './check.ts'
import type { ProblemList } from './problem-list.ts'

const PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' }

/** Host and port of a URL, the port also where it is the default one. */
export const hostAndPort = ({ hostname, port, protocol }: URL): string => `${hostname}:${port || PORTS[protocol]}`

const bare = (host: string): string => host.toLowerCase().replaceAll(/^\[|\]$|\.$/g, '')

const isThisMachine = (host: string): boolean =>
  /^(localhost|.+\.localhost|127(\.\d+){3}|0\.0\.0\.0|::|::1|::ffff:(7f[\da-f]{2}:[\da-f]+|127(\.\d+){3}))$/.test(host)

/** True when a request to `url` would arrive at the gateway that listens as `server` says. */
function isOwnAddress(url: URL, server: Pick<ServerConfig, 'host' | 'port'>): boolean {
  if (server.port === 0 || String(server.port) !== (url.port || PORTS[url.protocol])) return false
  const [theirs, own] = [bare(url.hostname), bare(server.host)]
  return theirs === own || (isThisMachine(theirs) && isThisMachine(own))
}

const LOOP = "this is Hestia's own address, so a request would come back to it for ever; name the address of the service itself"

/** Adds what is wrong with the URL of an upstream beyond its schema; `server` is absent while it isn't valid itself. */
export function checkUpstream(url: unknown, path: Path, server: ServerConfig | undefined, problems: ProblemList): void {
  if (typeof url !== 'string' || !/^https?:\/\//.test(url)) return
  if (!URL.canParse(url)) {
    problems.add(path, 'this is not a URL', 'value', { found: url })
    return
  }
  if (server === undefined || !isOwnAddress(new URL(url), server)) return
  const variables = problems.originOf(path)?.variables ?? []
  const clients = variables.length > 0 ? `; ${variables.join(', ')} is for clients of Hestia to set, not for Hestia` : ''
  problems.add(path, `${LOOP}${clients}`)
}
