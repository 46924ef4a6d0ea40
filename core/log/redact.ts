const HEADERS = '(?:proxy-)?authorization|(?:set-)?cookie|x-api-key'
/** Names of options, query parameters and form fields whose values are secrets. */
const NAMES = [
  '(?:[\\w-]*(?:api|access|private|secret|auth|signing)[_-]?)?key(?:[_-]hash)?',
  '[\\w-]*(?:token|secret|passphrase|passw(?:or)?d(?:[_-]hash)?)',
  '(?:[\\w-]*[_-])?(?:signature|sig|credentials?)',
].join('|')

const SECRET_NAME = new RegExp(`^(?:${HEADERS}|${NAMES})$`, 'i')
/** `name: value`, up to the end of the line. */
const HEADER_LINE = new RegExp(`\\b(${HEADERS}): ?.+`, 'gi')
/** `name=value` in a query, a form or a text. */
const PARAMETER = new RegExp(`(^|[?&;\\s"'{,(])(${NAMES})=(?:"[^"]*"|'[^']*'|[^\\s&"',;)}]+)`, 'gi')
/** Credentials in a text (RFC 9110, 11.4; RFC 6750), and in a URL (RFC 3986, 3.2.1). */
const CREDENTIALS = /\b(Bearer|Basic) +[\w.~+/=-]{8,}|(:\/\/[^\s/:@"?#]*):[^\s/@"?#]+@/gi
/** Lines without anything that looks like one of these are let pass at a glance: almost all. */
const SUSPICIOUS = /key|token|secret|passw|passphrase|authorization|cookie|sig|credential|bearer|basic|:\/\/[^\s/"]*@/i

const CENSORED = '***'

/**
 * A finished log line (a JSON object) without what is secret in it: values of header fields, options and query parameters by
 * their names, and credentials by their looks. Nothing passes it: no field however deep, no error's message or stack.
 */
export function redact(line: string): string {
  if (!SUSPICIOUS.test(line)) return line
  return `${JSON.stringify(clean(JSON.parse(line)))}\n`
}

function clean(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    // Names and values in turn, as raw headers are.
    return value.map((item, i) => (typeof item === 'string' && isSecret(value[i - 1]) ? CENSORED : clean(item)))
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, isSecret(name) && hides(item) ? CENSORED : clean(item)]),
  )
}

const isSecret = (name: unknown): boolean => typeof name === 'string' && SECRET_NAME.test(name)

/** Numbers and the like are counts and switches. */
const hides = (value: unknown): boolean => typeof value === 'string' || (typeof value === 'object' && value !== null)

/** A text without what looks like a secret in it. */
export const redactText = (text: string): string =>
  text
    .replace(HEADER_LINE, `$1: ${CENSORED}`)
    .replace(CREDENTIALS, (_, scheme?: string, user?: string) => (scheme ? `${scheme} ${CENSORED}` : `${user}:${CENSORED}@`))
    .replace(PARAMETER, `$1$2=${CENSORED}`)
