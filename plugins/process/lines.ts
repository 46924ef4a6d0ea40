/** The unfinished line of one stream; plain data, since it outlives the code that works on it. */
export interface LineBuffer {
  pending: Buffer
  /** The line was cut; what follows up to its end is dropped. */
  cut: boolean
  /** The last byte was a carriage return: a line feed now belongs to it. */
  afterReturn: boolean
}

/** Longest line that is kept, in bytes. */
export const LONGEST_LINE = 8192
const CUT = ' [cut]'
const LINE_FEED = 10
const RETURN = 13

export const emptyLine = (): LineBuffer => ({ pending: Buffer.alloc(0), cut: false, afterReturn: false })

/**
 * Adds bytes and answers the lines that they complete, decoded as UTF-8 only when complete, so that no character is torn.
 * A lone carriage return ends a line too: progress bars write nothing else for minutes.
 */
export function addBytes(buffer: LineBuffer, bytes: Buffer): string[] {
  const lines: string[] = []
  let from = 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]
    if (byte !== LINE_FEED && byte !== RETURN) {
      buffer.afterReturn = false
      continue
    }
    const startsWithFeed = byte === LINE_FEED && buffer.afterReturn
    if (!startsWithFeed) {
      append(buffer, bytes.subarray(from, i))
      if (byte === LINE_FEED || buffer.pending.length > 0) lines.push(takeLine(buffer))
    }
    buffer.afterReturn = byte === RETURN
    from = i + 1
  }
  append(buffer, bytes.subarray(from))
  return lines
}

/** The line that was never ended; undefined when there is none. */
export const lastLine = (buffer: LineBuffer): string | undefined => (buffer.pending.length > 0 ? takeLine(buffer) : undefined)

function append(buffer: LineBuffer, bytes: Buffer): void {
  if (buffer.cut || bytes.length === 0) return
  const room = LONGEST_LINE - buffer.pending.length
  // One byte more than fits is kept to know whether the cut would tear a character.
  buffer.pending = Buffer.concat([buffer.pending, bytes.subarray(0, room + 1)])
  if (buffer.pending.length <= LONGEST_LINE) return
  let end = LONGEST_LINE
  while (end > 0 && isContinuation(buffer.pending[end])) end--
  buffer.pending = buffer.pending.subarray(0, end)
  buffer.cut = true
}

function takeLine(buffer: LineBuffer): string {
  const line = buffer.pending.toString('utf8') + (buffer.cut ? CUT : '')
  buffer.pending = Buffer.alloc(0)
  buffer.cut = false
  return line
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80
