import { type OnReadOpts, type Server, Socket } from 'node:net'
import { FOR_NOW, isLarge, type Place, READ_SIZE, ReadBuffer } from './read-buffer.ts'

/** Takes what is read from a socket. */
export interface Reader {
  /** Bytes have come, which lie at `place` until this returns. @returns whether more may. */
  read(bytes: Buffer, place: Place): boolean
  /** Whether more of one large thing is to come. */
  readonly inBody: boolean
  /** Where what comes next shall lie, if it matters. */
  readonly target?: Buffer | undefined
}

const READER = Symbol('reader')
const BUFFER = Symbol('buffer')

interface Read {
  [READER]?: Reader | undefined
  /** That which it reads to, if it has one of its own. */
  [BUFFER]?: ReadBuffer | undefined
}

/** Where all others read to: what was read is taken before anything else can be. */
const shared = Buffer.allocUnsafeSlow(READ_SIZE)
/** What the connection that has just read reads to next, if that is to change. */
let next: Buffer | undefined

/** Node calls it on the socket. */
function read(this: Socket & Read, size: number, buffer: Uint8Array): boolean {
  const bytes = Buffer.from(buffer.buffer, buffer.byteOffset, size)
  const reader = this[READER]
  // Read as a stream, as any socket.
  if (!reader) return this.push(Buffer.from(bytes))
  const own = this[BUFFER]
  const more = reader.read(bytes, own ?? FOR_NOW)
  const { target } = reader
  const takesOwn = !target && isLarge(size) && reader.inBody
  if (buffer === shared && !target && !takesOwn) return more
  own?.release()
  this[BUFFER] = takesOwn ? ReadBuffer.take() : undefined
  next = target ?? this[BUFFER]?.bytes ?? shared
  return more
}

/** Option of `net.connect` for sockets that are {@link readBy}: without it each read allocates, and passes a stream on its way. */
export const onread: OnReadOpts = {
  // Asked at the beginning, and after each read.
  buffer: () => {
    const buffer = next ?? shared
    next = undefined
    return buffer
  },
  callback: read,
}

/** From here on `reader` gets what a socket with {@link onread} reads; undefined: it is a stream as any other. */
export function readBy(socket: Socket, reader: Reader | undefined): void {
  const read = socket as Socket & Read
  read[READER] = reader
}

/** What net.Server and net.Socket know of each other. */
interface Accepted {
  _handle: object | null
  _server: Server | null
  server: Server | null
}

/**
 * A connection that a server has accepted, as a socket that reads by {@link onread}, which Node offers for those only that one
 * opens: its handle gets a new socket. The one that was there is of no use any more.
 * @returns undefined when it can't be, as it is none of Node's, or something was read from it already.
 */
export function adopt(socket: Socket): Socket | undefined {
  const accepted = socket as unknown as Accepted
  const { _handle: handle, _server: server } = accepted
  if (!handle || !('useUserBuffer' in handle) || socket.readableLength > 0) return undefined
  accepted._handle = null
  accepted._server = null
  const made = new Socket({ handle, allowHalfOpen: true, onread } as object)
  return Object.assign(made, { _server: server, server })
}
