import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Lease } from '../instances/lease.ts'

/** How long a tunnel whose one side has ended may be silent, in milliseconds. */
const HALF_CLOSE_MS = 30_000
/** When to ask a silent peer whether it still exists (TCP keep-alive), in milliseconds. */
const KEEP_ALIVE_MS = 60_000

/** All tunnels of the gateway. They belong to no generation: a reload neither cuts one nor is held up by one. */
export class Tunnels {
  readonly #open = new Set<Tunnel>()

  get size(): number {
    return this.#open.size
  }

  /**
   * Carries bytes both ways until both sides have ended or one breaks; holds the instance's lease meanwhile. Both streams
   * must allow half-open connections: the end of one direction is passed on and leaves the other alone.
   */
  open(client: Duplex, upstream: Duplex, lease: Lease): void {
    lease.kind = 'tunnel'
    lease.touch()
    const tunnel = new Tunnel(client, upstream, lease, () => this.#open.delete(tunnel))
    this.#open.add(tunnel)
    tunnel.begin()
  }

  /** Ends all of them, when the gateway itself ends. */
  closeAll(): void {
    for (const tunnel of [...this.#open]) tunnel.close()
  }
}

class Tunnel {
  readonly #client: Duplex
  readonly #upstream: Duplex
  readonly #lease: Lease
  readonly #closed: () => void
  #halfClosed: NodeJS.Timeout | undefined
  #openSides = 2

  constructor(client: Duplex, upstream: Duplex, lease: Lease, closed: () => void) {
    this.#client = client
    this.#upstream = upstream
    this.#lease = lease
    this.#closed = closed
  }

  begin(): void {
    this.#connect(this.#client, this.#upstream)
    this.#connect(this.#upstream, this.#client)
  }

  close(): void {
    this.#client.destroy()
    this.#upstream.destroy()
  }

  #connect(from: Duplex, to: Duplex): void {
    prepare(from)
    from.on('data', () => {
      this.#lease.touch()
      this.#halfClosed?.refresh()
    })
    from.once('end', () => {
      this.#halfClosed ??= setTimeout(() => this.close(), HALF_CLOSE_MS)
    })
    // Told to the other side with the 'close' that follows.
    from.on('error', () => undefined)
    from.once('close', () => {
      if (from.errored) reset(to)
      else if (!from.readableEnded || !from.writableFinished) finish(to)
      if (--this.#openSides === 0) this.#end()
    })
    from.pipe(to)
    if (from.destroyed) finish(to)
  }

  #end(): void {
    clearTimeout(this.#halfClosed)
    this.#closed()
    this.#lease.release()
  }
}

/** The other side was reset: so is this one, as half of a message must not look like a whole one. */
function reset(stream: Duplex): void {
  // TLS has no resets of its own, and Node none for it.
  if ('resetAndDestroy' in stream && !('encrypted' in stream)) (stream as Socket).resetAndDestroy()
  else stream.destroy()
}

/** The other side has closed without waiting for the end: delivers what came from it before that, and closes. */
function finish(stream: Duplex): void {
  if (stream.destroyed) return
  if (stream.writableFinished) stream.destroy()
  else {
    stream.once('finish', () => stream.destroy())
    stream.end()
    // Somebody who reads no more must not hold it open.
    const timer = setTimeout(() => stream.destroy(), HALF_CLOSE_MS)
    stream.once('close', () => clearTimeout(timer))
  }
}

/** A socket that served HTTP before has its timeouts, and no probes for peers that have vanished. */
function prepare(stream: Duplex): void {
  if (!('setKeepAlive' in stream)) return
  const socket = stream as Socket
  socket.setTimeout(0)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
}
