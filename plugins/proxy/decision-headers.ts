import type { Decision } from 'hestia'

const NONE: readonly string[] = []

/**
 * What was decided for a request, for its client: names and values in turn. `coldStartMs`: how long it waited for a start,
 * undefined when it didn't. Names of instances may hold what a header can't.
 */
export function decisionHeaders(decision: Decision | undefined, coldStartMs: number | undefined): readonly string[] {
  if (!decision) return NONE
  const headers = ['X-Hestia-Instance', encodeURI(decision.instance.id), 'X-Hestia-Reason', decision.reason]
  if (coldStartMs !== undefined) headers.push('X-Hestia-Cold-Start', String(Math.round(coldStartMs)))
  return headers
}
