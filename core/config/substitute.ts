/** Where a value came from that the file doesn't hold itself. Such a value may be a secret and is never printed. */
export interface Origin {
  /** True for an override by the environment, false for `${...}` in the file. */
  readonly override: boolean
  readonly variables: readonly string[]
  readonly files: readonly string[]
}

/** A text that came from outside the file, until the schema at its place tells what it stands for. */
export class Substituted {
  readonly text: string
  readonly origin: Origin

  constructor(text: string, origin: Origin) {
    this.text = text
    this.origin = origin
  }
}

const nameAll = (noun: string, names: readonly string[]): string[] =>
  names.length === 0 ? [] : [`the ${noun}${names.length > 1 ? 's' : ''} ${names.join(' and ')}`]

/** `the environment variables A and B`, for messages. */
export function nameOrigin({ variables, files }: Origin): string {
  return [...nameAll('environment variable', variables), ...nameAll('file', files)].join(' and ')
}

/** What `${...}` may refer to. */
export interface Lookup {
  variable(name: string): string | undefined
  /** @throws when the file can't be read. */
  file(path: string): string
}

export interface Substitution {
  readonly text: string
  readonly variables: readonly string[]
  readonly files: readonly string[]
  readonly problems: readonly string[]
}

const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g
const VARIABLE = /^([A-Za-z_]\w*)(?::-(.*))?$/s
const LITERAL = 'write "$${" where "${" is meant as it is'

/**
 * Replaces `${NAME}`, `${NAME:-default}` (the default also stands in for an empty variable, as in a shell) and
 * `${file:/path}` (without the newlines at the file's end); `$${` stands for `${`. What was put in is not looked at
 * again. Never throws: what can't be replaced is named in `problems`.
 */
export function substitute(text: string, lookup: Lookup): Substitution {
  const variables: string[] = []
  const files: string[] = []
  const problems: string[] = []
  const refuse = (message: string): string => {
    problems.push(message)
    return ''
  }
  const readFile = (path: string): string => {
    files.push(path)
    try {
      return lookup.file(path).replace(/[\r\n]+$/, '')
    } catch (error) {
      return refuse(`the file ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`)
    }
  }
  const readVariable = (name: string, fallback: string | undefined): string => {
    variables.push(name)
    const value = lookup.variable(name)
    if (fallback !== undefined) return value || fallback
    return value ?? refuse(`the environment variable ${name} is not set; set it, write "\${${name}:-default}", or ${LITERAL}`)
  }
  const replaced = text.replaceAll(REFERENCE, (_whole, body: string | undefined, end: string) => {
    if (body === undefined) return '${'
    if (body.includes('${')) return refuse(`"\${" inside of "\${...}" is not possible; ${LITERAL}`)
    if (end === '') return refuse(`"\${" is never closed by "}"; ${LITERAL}`)
    if (body.startsWith('file:')) return readFile(body.slice('file:'.length))
    const [, name, fallback] = VARIABLE.exec(body) ?? []
    if (name === undefined) return refuse(`"\${${body.slice(0, 40)}}" names no variable; ${LITERAL}`)
    return readVariable(name, fallback)
  })
  return { text: replaced, variables, files, problems }
}
