/**
 * What kept a task from being done. `unreachable`: nothing was sent; `lost`: sent, and no answer came; `misconfigured`: it would
 * go wrong, so that it was not tried; `task`: Semaphore ran it, and it failed; `gone`: Semaphore knows it no more.
 */
export type FailureKind =
  | 'unreachable'
  | 'lost'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'refused'
  | 'failing'
  | 'not_json'
  | 'misconfigured'
  | 'task'
  | 'deadline'
  | 'gone'

/** What went wrong between Hestia and Semaphore, or inside Semaphore; the message says what to do about it. */
export class SemaphoreError extends Error {
  readonly kind: FailureKind

  constructor(kind: FailureKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'SemaphoreError'
    this.kind = kind
  }
}

/** The kind of what was thrown, or of what that was caused by; told by its name, as another version of this file may have thrown it. */
export function kindOf(thrown: unknown): FailureKind | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause)
    if (error.name === 'SemaphoreError') return (error as SemaphoreError).kind
  return undefined
}

/** Whether asking again may go better, without anybody changing anything. */
export const isPassing = (thrown: unknown): boolean => ['unreachable', 'lost', 'failing'].includes(kindOf(thrown) ?? '')
