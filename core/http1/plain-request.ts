import { parseHeaderLines } from './syntax.ts'

/** A request with nothing unusual about it, whole. */
export interface PlainRequest {
  readonly method: string
  readonly url: string
  /** Names and values in turn. */
  readonly headers: string[]
  readonly body: Buffer | undefined
  /** Whether the client wants to use the connection again. */
  readonly keepAlive: boolean
}

const END_OF_HEAD = Buffer.from('\r\n\r\n')
const REQUEST_LINE = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (\/[\x21\x22\x24-\x7e]*) HTTP\/1\.1\r\n/

/** More are for whoever is made for it. */
const MOST_HEADERS = 200

/**
 * Reads a request if it is a plain one and nothing but it has come: HTTP/1.1, a path, one `Host`, no body or one whose length
 * was said and that is there already; nothing that asks for another treatment. It decides nothing: what is not plain, broken
 * requests among it, is read by node:http from its first byte on.
 * @returns undefined when it isn't one, or more of it may come.
 */
export function readPlainRequest(bytes: Buffer, maxHeadBytes: number): PlainRequest | undefined {
  const end = bytes.indexOf(END_OF_HEAD)
  if (end === -1 || end + 4 > maxHeadBytes) return undefined
  const text = bytes.toString('latin1', 0, end + 2)
  const line = REQUEST_LINE.exec(text)
  const headers = line && parseHeaderLines(text, line[0].length)
  if (!headers || headers.length > 2 * MOST_HEADERS) return undefined
  const framing = framingOf(headers)
  if (!framing) return undefined
  const { length, keepAlive } = framing
  const start = end + 4
  if (bytes.length !== start + (length ?? 0)) return undefined
  const method = line[1]!
  // Whether such a request has a body, not everybody agrees.
  if (length && (method === 'GET' || method === 'HEAD')) return undefined
  return { method, url: line[2]!, headers, body: length ? bytes.subarray(start) : undefined, keepAlive }
}

/** What the headers say of the request as a whole; undefined when that is anything out of the ordinary. */
function framingOf(headers: readonly string[]): { length: number | undefined; keepAlive: boolean } | undefined {
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
          if (length !== undefined || !/^\d{1,9}$/.test(headers[i + 1]!)) return undefined
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
  return hosts === 1 ? { length, keepAlive } : undefined
}
