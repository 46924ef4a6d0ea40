/** The bytes that end a line (RFC 9112, 2.2). */
export const CR = 13
export const LF = 10

/** A method, or the name of a header (RFC 9110, 5.6.2). */
export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** Names that are valid; almost all heads have the same few. */
const names = new Set<string>()
const MOST_NAMES = 1000

/** Whether a header can have this name. */
export function isName(name: string): boolean {
  if (names.has(name)) return true
  if (!TOKEN.test(name)) return false
  if (names.size < MOST_NAMES) names.add(name)
  return true
}

/** What no value of a header may hold, one character for each byte (RFC 9110, 5.5). */
export const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/

/** What no request target may hold. */
export const NOT_IN_TARGET = /[^\x21-\x7e\x80-\xff]/

/** Header lines, each with its end: no white space before the colon, no folded lines (RFC 9112, 5.1 and 5.2). */
const HEADER_LINES = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/

const SPACE = 0x20
const TAB = 0x09

/**
 * Takes header lines apart.
 * @param text one character for each byte, every line with its end.
 * @returns names and values in turn; undefined when one of the lines is none.
 */
export function parseHeaderLines(text: string, from: number): string[] | undefined {
  const lines = from === 0 ? text : text.slice(from)
  if (!HEADER_LINES.test(lines)) return undefined
  const headers: string[] = []
  for (let at = 0; at < lines.length; ) {
    const colon = lines.indexOf(':', at)
    const end = lines.indexOf('\r\n', colon)
    headers.push(lines.slice(at, colon), trimmed(lines, colon + 1, end))
    at = end + 2
  }
  return headers
}

const isBlank = (code: number): boolean => code === SPACE || code === TAB

/** Only the white space of HTTP goes; other characters that JavaScript takes for such are part of the value. */
function trimmed(text: string, from: number, end: number): string {
  let [first, last] = [from, end]
  while (first < last && isBlank(text.charCodeAt(first))) first++
  while (last > first && isBlank(text.charCodeAt(last - 1))) last--
  return text.slice(first, last)
}
