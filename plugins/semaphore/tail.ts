import { stripVTControlCharacters } from 'node:util'

const LONGEST = 1000
const LINES = 12
/** Of more than is shown, so that nothing that is cut in two passes for harmless. */
const LOOKED_THROUGH = 4 * LONGEST

/** `"db_password": "x"`, `token: x`, `secret=x`: what a playbook may print of what it was given. */
const SECRETS =
  /(\b[\w-]{0,40}(?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|credentials?)["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;}]+)/gi
const CREDENTIALS = /\b(authorization: ?).+|\b(Bearer|Basic) +[\w.~+/=-]{8,}|(:\/\/[^\s/:@"?#]*):[^\s/@"?#]+@/gi

const censor = (text: string): string =>
  text
    .replace(CREDENTIALS, (_, header?: string, scheme?: string, user?: string) =>
      header ? `${header}***` : scheme ? `${scheme} ***` : `${user}:***@`,
    )
    .replace(SECRETS, '$1***')

/** The end of what a task wrote, short enough for an error's message, without colours, `secrets`, and what looks like some. */
export function tailOf(output: string, secrets: readonly string[]): string {
  const lines = stripVTControlCharacters(output)
    .split(/\r?\n/)
    .map((line) => line.trimEnd())
    .filter((line) => line.trim() !== '')
  let text = lines.slice(-LINES).join('\n')
  for (const secret of secrets) text = text.replaceAll(secret, '***')
  if (text.length > LOOKED_THROUGH) text = text.slice(-LOOKED_THROUGH).replace(/^\S+/, '')
  text = censor(text).trim()
  return text.length > LONGEST ? `...${text.slice(-LONGEST)}` : text
}

/** The texts of the last lines in a piece of JSON that may begin anywhere: `[{"output":"..."},...]`. */
export function linesOfJson(json: string): string {
  const found = [...json.matchAll(/"output":\s*("(?:[^"\\]|\\.)*")/g)]
  return found.map(([, text]) => JSON.parse(text!) as string).join('\n')
}
