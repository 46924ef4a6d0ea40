/** One thing that is wrong in a file: where it is and what to do. Lines and columns count from 1. */
export interface Problem {
  readonly file: string
  readonly line?: number
  readonly column?: number
  /** Path in the configuration, joined with dots: `services.ollama.idle`. */
  readonly path?: string
  readonly value?: unknown
  /** The line as it stands there; of code only, since a configuration may have secrets anywhere. */
  readonly excerpt?: string
  readonly message: string
}

/** `file:line:column path: message`, with what is known of it. */
export function formatProblem({ file, line, column, path, message }: Problem): string {
  const place = [file, line, column].filter((part) => part !== undefined).join(':')
  return path ? `${place} ${path}: ${message}` : `${place} ${message}`
}

/** Why files were refused; everything that was found, not only the first. */
export class ProblemError extends Error {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[], cause?: unknown) {
    super(problems.map(formatProblem).join('\n'), cause === undefined ? undefined : { cause })
    this.name = 'ProblemError'
    this.problems = problems
  }
}
