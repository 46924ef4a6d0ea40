import { type Attributes, type SpanContext, SpanKind } from '@opentelemetry/api'
import { type EventOf, type Instance, redactText } from 'hestia'
import { newSpanId, newTraceId } from './ids.ts'
import { contextOf, type SpanParts } from './span.ts'

/** A start of an instance; plain data, as newer versions of this file go on with it. */
export interface Start {
  readonly context: SpanContext
  readonly since: number
  /** The attempt under way. */
  attempt: { readonly spanId: string; readonly number: number; readonly since: number } | undefined
  error: string | undefined
  over: boolean
}

/** The newest start of each instance. */
export type Starts = WeakMap<Instance, Start>

export type StartEvent = EventOf<'instance.state' | 'instance.attempt' | 'instance.attempt_failed'>
export const START_EVENTS = ['instance.state', 'instance.attempt', 'instance.attempt_failed'] as const

/**
 * The spans of a start, as they come to an end. A start belongs to its instance and not to whoever asked first: it goes on when
 * that one leaves, and any number of requests wait for it. So it is a trace of its own, and the waits of all these link to it.
 * It is kept whatever share of the requests is: starts are rare, and are what one looks for.
 */
export function startSpans(event: StartEvent, instance: Instance, starts: Starts): SpanParts[] {
  const start = starts.get(instance)
  if (event.type === 'instance.state') {
    if (event.to === 'starting') {
      const context = contextOf(newTraceId(), newSpanId())
      starts.set(instance, { context, since: event.at, attempt: undefined, error: undefined, over: false })
      return []
    }
    if (event.from !== 'starting' || !start || start.over) return []
    start.over = true
    if (event.to !== 'hot') start.error ??= redactText(event.reason)
    const error = event.to === 'hot' ? undefined : start.error
    const { context, since } = start
    const whole = {
      name: `start ${event.service}`,
      context,
      from: since,
      to: event.at,
      attributes: whoOf(instance, error),
      error,
    }
    return [...endOfAttempt(start, instance, event.at, error), whole]
  }
  if (!start || start.over) return []
  if (event.type === 'instance.attempt') {
    start.attempt = { spanId: newSpanId(), number: event.attempt, since: event.at }
    return []
  }
  start.error = redactText(event.error)
  return endOfAttempt(start, instance, event.at, start.error)
}

function endOfAttempt(start: Start, instance: Instance, to: number, error: string | undefined): SpanParts[] {
  const { attempt, context: parent } = start
  if (!attempt) return []
  start.attempt = undefined
  const context = { ...parent, spanId: attempt.spanId }
  const attributes = { ...whoOf(instance, error), 'hestia.attempt': attempt.number }
  return [{ name: 'attempt', kind: SpanKind.INTERNAL, context, parent, from: attempt.since, to, attributes, error }]
}

function whoOf({ service, name, settings }: Instance, error: string | undefined): Attributes {
  return {
    'hestia.service': service.id,
    'hestia.instance': name,
    ...(settings.machine === undefined ? {} : { 'hestia.machine': settings.machine }),
    ...(error === undefined ? {} : { 'error.type': 'start_failed' }),
  }
}
