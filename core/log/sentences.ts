import type { EventOf, EventType, HestiaEvent } from '../events.ts'
import { formatProblem, type Problem } from '../problem.ts'

export type Level = 'error' | 'warn' | 'info' | 'debug' | 'trace'

interface Line<T extends EventType> {
  /** Where it depends on the event: the most important one. */
  readonly level: Level
  readonly levelOf?: (event: EventOf<T>) => Level
  readonly say: (event: EventOf<T>) => string
}

const listed = (problems: readonly Problem[]): string => problems.map(formatProblem).join('; ')
const seconds = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`)
const where = ({
  service,
  instance,
}: {
  readonly service?: string | undefined
  readonly instance?: string | undefined
}): string => (instance === undefined ? (service ?? 'no service') : `${service}/${instance}`)

/** Level and sentence for each type of event; the event's fields go with it. */
const LINES: { readonly [T in EventType]: Line<T> } = {
  'instance.state': { level: 'debug', say: (event) => `${where(event)}: ${event.from} -> ${event.to} (${event.reason})` },
  'instance.attempt': {
    level: 'info',
    say: (event) => {
      const { attempt, attempts } = event
      return `${where(event)}: starting${attempts > 1 ? `, attempt ${attempt} of ${attempts}` : ''}`
    },
  },
  'instance.step': {
    level: 'debug',
    say: (event) => {
      const { plugin, durationMs, error } = event
      return `${where(event)}: ${plugin} ${error === undefined ? 'has done its part' : 'failed'} in ${seconds(durationMs)}`
    },
  },
  'instance.progress': { level: 'debug', say: (event) => `${where(event)}: ${event.note}` },
  'instance.ready': {
    level: 'info',
    say: (event) => {
      const { durationMs, waitedMs } = event
      const first = waitedMs < 1 ? '' : `, ${seconds(waitedMs)} of which it waited for its turn`
      return `${where(event)}: ready after ${seconds(durationMs)}${first}`
    },
  },
  'instance.adopted': {
    level: 'info',
    say: (event) => {
      const { starters } = event
      return `${where(event)}: runs still, taken over from an earlier gateway${starters.length > 0 ? ` (${starters.join(', ')})` : ''}`
    },
  },
  'instance.not_adopted': {
    level: 'warn',
    levelOf: ({ orphaned }) => (orphaned ? 'warn' : 'info'),
    say: (event) => `${where(event)}: not taken over from an earlier gateway, where it was ${event.was}: ${event.reason}`,
  },
  'instance.attempt_failed': {
    level: 'warn',
    say: (event) => `${where(event)}: attempt ${event.attempt} of ${event.attempts} failed: ${event.error}`,
  },
  'instance.start_failed': {
    level: 'error',
    say: (event) => `${where(event)}: could not be started: ${event.error}; left alone for ${seconds(event.retryAfterMs)}`,
  },
  'instance.crashed': { level: 'error', say: (event) => `${where(event)}: ended by itself: ${event.error}` },
  'instance.stopped': {
    level: 'info',
    say: (event) => `${where(event)}: stopped (${event.reason}) in ${seconds(event.durationMs)}`,
  },
  'instance.kept': { level: 'debug', say: (event) => `${where(event)}: kept for ${seconds(event.keepForMs)} by ${event.plugin}` },
  'instance.health': {
    level: 'warn',
    levelOf: ({ healthy }) => (healthy ? 'info' : 'warn'),
    say: (event) => `${where(event)}: ${event.healthy ? 'healthy again' : 'unhealthy'}: ${event.reason}`,
  },
  'instance.output': { level: 'debug', say: (event) => `${where(event)}: ${event.line}` },
  'exclusive.decided': { level: 'info', say: (event) => `${where(event)}: ${event.reason}` },
  'machine.state': {
    level: 'info',
    levelOf: ({ to }) => (to === 'waking' || to === 'sleeping' ? 'info' : 'debug'),
    say: ({ machine, from, to, reason }) => `machine ${machine}: ${from} -> ${to} (${reason})`,
  },
  'machine.woken': {
    level: 'info',
    say: ({ machine, durationMs, packets }) => `machine ${machine}: woke in ${seconds(durationMs)}, after ${packets} packets`,
  },
  'machine.wake_failed': {
    level: 'error',
    say: ({ machine, error, retryAfterMs }) =>
      `machine ${machine}: did not wake: ${error}; counts as unavailable for ${seconds(retryAfterMs)}`,
  },
  'machine.slept': {
    level: 'info',
    say: ({ machine, durationMs }) => `machine ${machine}: fell asleep in ${seconds(durationMs)}`,
  },
  'machine.sleep_failed': {
    level: 'error',
    say: ({ machine, error, retryAfterMs }) =>
      `machine ${machine}: could not be put to sleep: ${error}; the next try is in ${seconds(retryAfterMs)}`,
  },
  'hook.failed': {
    level: 'error',
    say: (event) => `${where(event)}: ${event.hook} of plugin ${event.plugin} failed: ${event.error}`,
  },
  'request.routed': {
    level: 'debug',
    say: (event) => `${where(event)}: chosen by ${event.strategy ?? event.plugin} (${event.reason})`,
  },
  'request.admitted': { level: 'debug', say: (event) => `${where(event)}: let in after ${seconds(event.waitedMs)}` },
  'request.fallback': {
    level: 'warn',
    say: (event) => `${event.service}: ${event.from} failed, trying ${event.to}: ${event.error}`,
  },
  'request.failed': { level: 'warn', say: (event) => `${where(event)}: ${event.code}: ${event.error}` },
  // Its level is that of the access log.
  'request.finished': {
    level: 'info',
    say: (event) => {
      const { method, path, status, totalMs, aborted } = event
      return `${where(event)}: ${method} ${path} ${status} in ${seconds(totalMs)}${aborted ? ', broken off' : ''}`
    },
  },
  // Who changes something is to be seen; who looks, as dashboards and scrapers do all day, is not.
  'request.answered': {
    level: 'info',
    levelOf: ({ method }) => (/^(?:GET|HEAD|OPTIONS)$/.test(method) ? 'debug' : 'info'),
    say: ({ method, path, status, totalMs, caller }) =>
      `${method} ${path} ${status} in ${seconds(totalMs)}${caller === undefined ? '' : ` for ${caller}`}`,
  },
  'events.dropped': {
    level: 'warn',
    say: (event) =>
      `${event.consumer} did not keep up: ${event.count} ${event.consumer === 'telemetry' ? 'spans' : 'events'} were thrown away`,
  },
  'service.added': { level: 'info', say: (event) => `service ${event.service} added` },
  'service.changed': { level: 'info', say: (event) => `service ${event.service} changed` },
  'service.removed': { level: 'info', say: (event) => `service ${event.service} removed` },
  'strategy.loaded': { level: 'info', say: (event) => `strategy ${event.strategy} loaded (${event.file})` },
  'strategy.removed': { level: 'info', say: (event) => `strategy ${event.strategy} removed (${event.file})` },
  'strategy.failed': { level: 'error', say: (event) => `strategy refused: ${listed(event.problems)}` },
  'strategy.recovered': { level: 'info', say: ({ file }) => `strategy no longer refused (${file})` },
  'reload.applied': {
    level: 'info',
    say: (event) => `generation ${event.generation} serves after ${seconds(event.durationMs)}: ${event.changes.join(', ')}`,
  },
  'reload.rejected': {
    level: 'error',
    say: (event) => `refused, the previous version keeps serving: ${listed(event.problems)}`,
  },
  'reload.recovered': {
    level: 'info',
    say: ({ plugin }) => `${plugin === undefined ? 'the configuration' : `plugin ${plugin}`} is no longer refused`,
  },
  'reload.restart_needed': {
    level: 'warn',
    levelOf: ({ files }) => (files.length > 0 ? 'warn' : 'info'),
    say: ({ files }) =>
      files.length > 0
        ? `${files.join(', ')} changed: the core cannot be reloaded, restart Hestia for it`
        : 'the core is again as it runs: no restart is needed',
  },
  'auth.allowed': {
    level: 'debug',
    say: ({ caller, permission, service }) => `${caller} may ${permission}${service === undefined ? '' : ` ${service}`}`,
  },
  'auth.denied': {
    level: 'warn',
    say: ({ caller, address, reason, untold }) =>
      `${caller}${address === undefined ? '' : ` (${address})`} refused: ${reason}${untold > 0 ? `; ${untold} more were not told` : ''}`,
  },
  'auth.logged_in': { level: 'info', say: ({ user, address }) => `${user} logged in from ${address}` },
  'auth.logged_out': { level: 'info', say: ({ user }) => `${user} logged out` },
  'auth.key_made': {
    level: 'info',
    say: ({ name, id, scopes, by }) => `key ${name} (${id}) made by ${by}: ${scopes.join(', ')}`,
  },
  'auth.key_changed': { level: 'info', say: ({ name, id, change, by }) => `key ${name} (${id}) ${change} by ${by}` },
  'store.failed': {
    level: 'error',
    say: (event) => `the database ${event.file} fails: ${event.error}; requests are served all the same`,
  },
  'store.recovered': {
    level: 'info',
    say: ({ file, failedForMs, dropped }) =>
      `the database ${file} works again after ${seconds(failedForMs)}; activities dropped: ${dropped}`,
  },
  'telemetry.failed': {
    level: 'warn',
    say: ({ endpoint, error }) => `the collector ${endpoint} takes no spans: ${error}; requests are served all the same`,
  },
  'telemetry.recovered': {
    level: 'info',
    say: ({ endpoint, failedForMs }) => `the collector ${endpoint} takes spans again after ${seconds(failedForMs)}`,
  },
  'generation.retired': {
    level: 'debug',
    say: (event) => `generation ${event.generation} retired${event.drained ? '' : ' with requests still open'}`,
  },
  'server.listening': { level: 'info', say: (event) => `listening on ${event.address}` },
  'server.open': {
    level: 'error',
    levelOf: ({ exposed }) => (exposed ? 'error' : 'warn'),
    say: ({ address, exposed }) =>
      exposed
        ? `AUTH IS OFF, and ${address} can be reached from other machines: whoever reaches it may use, start and stop every service; switch the plugin auth on`
        : `auth is off: every program on this machine may use, start and stop every service at ${address}`,
  },
  'server.stopping': { level: 'info', say: (event) => `ending (${event.signal})` },
}

/** What stands before the dot in types of events. */
export const EVENT_FAMILIES: readonly string[] = [...new Set(Object.keys(LINES).map((type) => type.slice(0, type.indexOf('.'))))]

/** The most important level that events of a type have. */
export const levelOfType = (type: EventType): Level => LINES[type].level

export function lineOf(event: HestiaEvent): { readonly level: Level; readonly sentence: string } {
  const { level, levelOf, say } = LINES[event.type] as Line<EventType>
  return { level: levelOf?.(event) ?? level, sentence: say(event) }
}
