import { lookup } from 'node:dns/promises'
import { connect, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'

/** A local connection is made or refused at once; what takes longer doesn't serve anybody. */
const CONNECT_MS = 1000

/** Host and port of an instance's URL, as a program takes them: an IPv6 address without its brackets. */
export function hostAndPort(url: string): { host: string; port: number } {
  const { hostname, port, protocol } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}

/** Whether something on this machine accepts connections at `url` already. Other machines are not asked. */
export async function isOccupied(url: string, signal: AbortSignal): Promise<boolean> {
  const { host, port } = hostAndPort(url)
  if (!(await isLocal(host)) || signal.aborted) return false
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal })
    const answer = (occupied: boolean) => {
      socket.destroy()
      resolve(occupied)
    }
    socket.setTimeout(CONNECT_MS, () => answer(false))
    socket.once('connect', () => answer(true))
    socket.on('error', () => answer(false))
  })
}

async function isLocal(host: string): Promise<boolean> {
  const addresses = isIP(host) ? [{ address: host }] : await lookup(host, { all: true }).catch(() => [])
  const own = new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address)))
  const isOwn = (address: string) => /^127\.|^::1$|^0\.0\.0\.0$|^::$/.test(address) || own.has(address)
  return addresses.length > 0 && addresses.every(({ address }) => isOwn(address))
}
