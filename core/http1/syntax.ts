/** The bytes that end a line (RFC 9112, 2.2). */
export const CR = 13
export const LF = 10

export const SPACE = 0x20
const TAB = 0x09

// Parts of expressions: one character of a kind, one character for each byte.
/** Of a method, or of the name of a header (RFC 9110, 5.6.2). */
const TOKEN_CHARACTER = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.source
/** Of the value of a header, or of a reason (RFC 9110, 5.5). */
export const VALUE_CHARACTER = /[\t\x20-\x7e\x80-\xff]/.source
const TARGET_CHARACTER = /[\x21-\x7e\x80-\xff]/.source

/** Header lines, each with its end: no white space before the colon, no folded lines (RFC 9112, 5.1 and 5.2). Part of an expression. */
export const HEADER_LINES = `(?:${TOKEN_CHARACTER}+:${VALUE_CHARACTER}*\\r\\n)*`

/** For each character up to U+00FF whether it is one of a kind: 1 or 0. */
export type Characters = Uint8Array

const charactersOf = (kind: string): Characters =>
  Uint8Array.from({ length: 256 }, (_, code) => Number(new RegExp(kind).test(String.fromCharCode(code))))

export const IN_TOKEN = charactersOf(TOKEN_CHARACTER)
export const IN_VALUE = charactersOf(VALUE_CHARACTER)
export const IN_TARGET = charactersOf(TARGET_CHARACTER)

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
