import type { Decision, Instance } from 'hestia'

const NONE: readonly string[] = []

/** Ids of instances as a header can hold them. */
const ids = new WeakMap<Instance, string>()

function headerId(instance: Instance): string {
  const known = ids.get(instance)
  if (known !== undefined) return known
  const id = encodeURI(instance.id)
  ids.set(instance, id)
  return id
}

/**
 * What was decided for a request, for its client: names and values in turn. `coldStartMs`: how long it waited for a start,
 * undefined when it didn't. Names of instances may hold what a header can't.
 */
export function decisionHeaders(decision: Decision | undefined, coldStartMs: number | undefined): readonly string[] {
  if (!decision) return NONE
  const headers = ['X-Hestia-Instance', headerId(decision.instance), 'X-Hestia-Reason', decision.reason]
  if (coldStartMs !== undefined) headers.push('X-Hestia-Cold-Start', String(Math.round(coldStartMs)))
  return headers
}
