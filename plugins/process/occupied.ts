import { lookup } from 'node:dns/promises'
import { connect, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { probeOver } from 'hestia'

/** A local connection is made or refused at once; what takes longer doesn't serve anybody. */
const CONNECT_MS = 1000

/** Host and port of an instance's URL, as a program takes them: an IPv6 address without its brackets. */
export function hostAndPort(url: string): { host: string; port: number } {
  const { hostname, port, protocol } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}

/**
 * What is seen at `url`: it accepts connections, refuses them, or does neither within a second. Other machines are not asked,
 * and silent; so is what was aborted.
 */
export async function lookAt(url: string, signal: AbortSignal): Promise<'accepts' | 'refuses' | 'silent'> {
  const { host, port } = hostAndPort(url)
  if (!(await isLocal(host)) || signal.aborted) return 'silent'
  const open = (settle: (seen: string | undefined) => void) => connect({ host, port }, () => settle(undefined))
  const seen = await probeOver(open, CONNECT_MS, signal).catch(() => 'aborted')
  return seen === undefined ? 'accepts' : seen === 'ECONNREFUSED' ? 'refuses' : 'silent'
}

/** Whether something on this machine accepts connections at `url` already. */
export const isOccupied = async (url: string, signal: AbortSignal): Promise<boolean> => (await lookAt(url, signal)) === 'accepts'

async function isLocal(host: string): Promise<boolean> {
  const addresses = isIP(host) ? [{ address: host }] : await lookup(host, { all: true }).catch(() => [])
  const own = new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address)))
  const isOwn = (address: string) => /^127\.|^::1$|^0\.0\.0\.0$|^::$/.test(address) || own.has(address)
  return addresses.length > 0 && addresses.every(({ address }) => isOwn(address))
}
