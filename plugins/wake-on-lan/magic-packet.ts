import { createSocket } from 'node:dgram'

const REPETITIONS = 16

/**
 * The frame that wakes a network card: six times FF, then its address sixteen times (AMD, Magic Packet Technology, white paper
 * 20213, 1995). `mac` as `b4:2e:99:00:00:01`, also with dashes.
 */
export function magicPacket(mac: string): Buffer {
  const address = Buffer.from(mac.replaceAll(/[:-]/g, ''), 'hex')
  return Buffer.concat([Buffer.alloc(6, 0xff), ...Array.from({ length: REPETITIONS }, () => address)])
}

/** Sends one packet by UDP, as a broadcast where `host` is such an address. @throws what the system says, as ENETUNREACH. */
export function sendMagicPacket(mac: string, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    const settle = (error: Error | null) => {
      socket.close()
      if (error) reject(error)
      else resolve()
    }
    socket.once('error', settle)
    socket.bind(() => {
      socket.setBroadcast(true)
      socket.send(magicPacket(mac), port, host, settle)
    })
  })
}
