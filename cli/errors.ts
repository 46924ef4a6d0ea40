/** How `hestia` ends; part of what scripts may rely on. */
export const EXIT = {
  ok: 0,
  /** What was asked for went wrong. */
  failure: 1,
  /** The command line is not understood. */
  usage: 2,
  /** No gateway answers. */
  unreachable: 3,
  /** The gateway wants a key, or another one. */
  denied: 4,
} as const

/** Ends a command with one sentence that says what happened and what to do. */
export class CliError extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number = EXIT.failure) {
    super(message)
    this.name = 'CliError'
    this.exitCode = exitCode
  }
}

/** An answer that is an error of the gateway. */
export class GatewayError extends CliError {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>

  constructor(status: number, body: Readonly<Record<string, unknown>>, exitCode: number, message: string) {
    super(message, exitCode)
    this.status = status
    this.body = body
  }
}
