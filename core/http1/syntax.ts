/** The bytes that end a line (RFC 9112, 2.2). */
export const CR = 13
export const LF = 10

/** For each character up to U+00FF whether it is one of a kind: 1 or 0. */
export type Characters = Uint8Array

const charactersOf = (kind: RegExp): Characters =>
  Uint8Array.from({ length: 256 }, (_, code) => Number(kind.test(String.fromCharCode(code))))

/** A method, or the name of a header, is made of them (RFC 9110, 5.6.2). */
export const IN_TOKEN = charactersOf(/[!#$%&'*+\-.^_`|~0-9A-Za-z]/)

/** The value of a header is, one character for each byte (RFC 9110, 5.5). */
export const IN_VALUE = charactersOf(/[\t\x20-\x7e\x80-\xff]/)

/** A request target is. */
export const IN_TARGET = charactersOf(/[\x21-\x7e\x80-\xff]/)

/** Header lines, each with its end: no white space before the colon, no folded lines (RFC 9112, 5.1 and 5.2). Part of an expression. */
export const HEADER_LINES = /(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*/.source

const SPACE = 0x20
const TAB = 0x09

/**
 * Takes header lines apart.
 * @param text one character for each byte, of which what follows `from` is {@link HEADER_LINES}.
 * @returns names and values in turn.
 */
export function fieldsOf(text: string, from: number): string[] {
  const headers: string[] = []
  for (let at = from; at < text.length; ) {
    const colon = text.indexOf(':', at)
    // Only ends of lines have it; one character is looked for without leaving JavaScript.
    const end = text.indexOf('\r', colon)
    headers.push(text.slice(at, colon), trimmed(text, colon + 1, end))
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
