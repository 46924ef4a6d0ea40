import { fieldsOf, HEADER_LINES } from './syntax.ts'

/** A request with nothing unusual about it, but for the rest of a long body. */
export interface PlainRequest {
  readonly method: string
  readonly url: string
  /** Names and values in turn. */
  readonly headers: string[]
  /** As much of it as has come. */
  readonly body: Buffer | undefined
  /** How much of it is still to come, in bytes. */
  readonly left: number
  /** Whether the client wants to use the connection again. */
  readonly keepAlive: boolean
}

const END_OF_HEAD = Buffer.from('\r\n\r\n')
const REQUEST_LINE = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \/[\x21\x22\x24-\x7e]* HTTP\/1\.1\r\n/
const HEAD = new RegExp(`${REQUEST_LINE.source}${HEADER_LINES}$`)
/** Of what follows the target in its line. */
const VERSION = ' HTTP/1.1\r\n'.length

/** More are for whoever is made for it. */
const MOST_HEADERS = 200

/**
 * Reads a request if it is a plain one and nothing but it has come: HTTP/1.1, a path, one `Host`, a whole head, no body or one whose
 * length was said; nothing that asks for another treatment. It decides nothing: what is not plain, broken requests among it, is
 * read by node:http from its first byte on.
 * @returns undefined when it isn't one, or more of its head may come.
 */
export function readPlainRequest(bytes: Buffer, maxHeadBytes: number): PlainRequest | undefined {
  const end = bytes.indexOf(END_OF_HEAD)
  if (end === -1 || end + 4 > maxHeadBytes) return undefined
  const text = bytes.toString('latin1', 0, end + 2)
  if (!HEAD.test(text)) return undefined
  const target = text.indexOf(' ') + 1
  const version = text.indexOf(' ', target)
  const headers = fieldsOf(text, version + VERSION)
  if (headers.length > 2 * MOST_HEADERS) return undefined
  const framing = framingOf(headers)
  if (!framing) return undefined
  const { length, keepAlive } = framing
  const body = bytes.subarray(end + 4)
  if (body.length > length) return undefined
  const method = text.slice(0, target - 1)
  // Whether such a request has a body, not everybody agrees.
  if (length > 0 && (method === 'GET' || method === 'HEAD')) return undefined
  const left = length - body.length
  return {
    method,
    url: text.slice(target, version),
    headers,
    body: body.length > 0 ? Buffer.from(body) : undefined,
    left,
    keepAlive,
  }
}

/** What the headers say of the request as a whole; undefined when that is anything out of the ordinary. */
function framingOf(headers: readonly string[]): { length: number; keepAlive: boolean } | undefined {
  let hosts = 0
  let length: number | undefined
  let keepAlive = true
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    // Most names are told apart by their lengths.
    switch (name.length) {
      case 4:
        if (/^host$/i.test(name)) hosts++
        break
      case 6:
        if (/^expect$/i.test(name)) return undefined
        break
      case 7:
        if (/^(?:upgrade|trailer)$/i.test(name)) return undefined
        break
      case 10:
        if (/^connection$/i.test(name)) {
          const value = headers[i + 1]!.toLowerCase()
          if (value === 'close') keepAlive = false
          else if (value !== 'keep-alive') return undefined
        }
        break
      case 14:
        if (/^http2-settings$/i.test(name)) return undefined
        if (/^content-length$/i.test(name)) {
          if (length !== undefined || !/^\d{1,15}$/.test(headers[i + 1]!)) return undefined
          length = Number(headers[i + 1])
        }
        break
      case 16:
        if (/^proxy-connection$/i.test(name)) return undefined
        break
      case 17:
        if (/^transfer-encoding$/i.test(name)) return undefined
        break
    }
  }
  return hosts === 1 ? { length: length ?? 0, keepAlive } : undefined
}
