import type { FastifyInstance } from 'fastify'
import { definePlugin, type EventOf, type Instance } from 'hestia'
import { TelemetryOptions } from '../../schemas/telemetry.ts'
import { begin, notedOf } from './begin.ts'
import { requestSpans, type Target } from './request-spans.ts'
import { closeSink, openSink, put, type Sink, sinkKey } from './sink.ts'
import { START_EVENTS, type StartEvent, type Starts, startSpans } from './start-spans.ts'

/** What outlives generations besides the sink. */
interface Kept {
  readonly starts: Starts
  /** Of the generations that live at a time, oldest first. */
  readonly generations: number[]
}

/**
 * OpenTelemetry: each request to a service is part of a trace, of which the service is told, and leaves spans when it is over; so
 * does each start. Nothing is registered globally.
 */
export default definePlugin({
  name: 'telemetry',
  options: TelemetryOptions,
  setup(app, options) {
    const { hestia } = app
    const kept = hestia.keep<Kept>('telemetry@1', () => ({ starts: new WeakMap(), generations: [] }))
    const sink = hestia.keep(sinkKey(options), () => openSink(options, hestia.events), closeSink)
    app.addHook('onRequest', (request, _reply, done) => {
      begin(request, options.sample)
      done()
    })
    record(app, kept, sink)
  },
})

/** Of the generations that live at a time the newest tells, whichever has served the request: nothing is told twice. */
function record(app: FastifyInstance, { starts, generations }: Kept, sink: Sink): void {
  const { events, generation, services } = app.hestia
  const targetOf = targets()
  const instanceOf = (service: string | undefined, name: string | undefined): Instance | undefined =>
    service === undefined ? undefined : services.get(service)?.all.find((instance) => instance.name === name)

  const finished = (event: EventOf<'request.finished'>): void => {
    const noted = notedOf(event.trace)
    if (!noted) return
    const instance = instanceOf(event.service, event.instance)
    const target = instance && targetOf(instance.url)
    const start = event.coldStart && instance ? starts.get(instance)?.context : undefined
    for (const span of requestSpans(event, event.trace!, noted, { target, start })) put(sink, span)
  }
  const started = (event: StartEvent): void => {
    const instance = instanceOf(event.service, event.instance)
    if (instance) for (const span of startSpans(event, instance, starts)) put(sink, span)
  }

  generations.push(generation)
  const unsubscribe = events.subscribe(
    (event) => {
      if (generations.at(-1) !== generation) return
      if (event.type === 'request.finished') finished(event)
      else started(event)
    },
    ['request.finished', ...START_EVENTS],
  )
  app.addHook('onClose', () => {
    unsubscribe()
    generations.splice(generations.indexOf(generation), 1)
  })
}

/** URLs of instances taken apart, each once. */
function targets(): (url: string) => Target {
  const known = new Map<string, Target>()
  return (url) => {
    const found = known.get(url)
    if (found) return found
    const { hostname, port, protocol, origin, pathname } = new URL(url)
    const host = hostname.replace(/^\[|\]$/g, '')
    const target = {
      base: origin + pathname.replace(/\/+$/, ''),
      host,
      port: Number(port) || (protocol === 'https:' ? 443 : 80),
    }
    known.set(url, target)
    return target
  }
}
