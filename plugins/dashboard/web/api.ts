import { signal } from '@preact/signals'

/** An answer that says no, or none at all (`status` 0). */
export class ApiError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** How often credentials were missing; whoever shows the log-in form watches it. */
export const refusals = signal(0)

const TIMEOUT_MS = 20_000

/** Calls the API; addresses are relative to this page. @throws {ApiError} */
export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let response: Response
  try {
    response = await fetch(path, {
      method,
      headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
  } catch {
    throw new ApiError(0, 'The gateway can’t be reached.')
  }
  const text = await response.text().catch(() => '')
  const answer = parse(text)
  if (response.ok) return answer as T
  if (response.status === 401) refusals.value++
  const { message } = (answer ?? {}) as { message?: string }
  throw new ApiError(response.status, message ?? `The gateway answered ${response.status}.`)
}

export const get = <T>(path: string): Promise<T> => call<T>('GET', path)

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
