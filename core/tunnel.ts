import type { Duplex } from 'node:stream'
import type { Lease } from './lease.ts'

/** How long the other direction may go on after one has ended (half-close), in milliseconds. */
const HALF_CLOSE_MS = 30_000

/** All tunnels of the gateway. They belong to no generation: a reload neither cuts one nor is held up by one. */
export class Tunnels {
  readonly #open = new Set<{ close(): void }>()

  get size(): number {
    return this.#open.size
  }

  /** Carries bytes both ways until both sides have ended or one breaks; holds the instance's lease meanwhile. */
  open(client: Duplex, upstream: Duplex, lease: Lease): void {
    lease.kind = 'tunnel'
    lease.touch()
    let timer: NodeJS.Timeout | undefined
    let ended = 0
    const tunnel = {
      close: () => {
        clearTimeout(timer)
        if (!this.#open.delete(tunnel)) return
        client.destroy()
        upstream.destroy()
        lease.release()
      },
    }
    this.#open.add(tunnel)
    const connect = (from: Duplex, to: Duplex) => {
      from.on('data', () => lease.touch())
      from.once('error', tunnel.close)
      from.once('close', () => (from.readableEnded && !to.writableFinished ? to.once('finish', tunnel.close) : tunnel.close()))
      from.once('end', () => {
        ended++
        timer ??= setTimeout(tunnel.close, HALF_CLOSE_MS)
        if (ended === 2) to.once('finish', tunnel.close)
      })
      from.pipe(to)
    }
    connect(client, upstream)
    connect(upstream, client)
  }

  /** Ends all of them, when the gateway itself ends. */
  closeAll(): void {
    for (const tunnel of [...this.#open]) tunnel.close()
  }
}
