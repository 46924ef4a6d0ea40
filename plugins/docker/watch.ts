import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import type { Instance } from 'hestia'
import { type Container, inspect, nameOf } from './container.ts'
import { Engine } from './engine.ts'
import { EngineError } from './errors.ts'
import type { DockerRecord, Kept, Watch } from './kept.ts'
import { readLog } from './logs.ts'
import { ndjson } from './ndjson.ts'

/** Pauses before a stream of events that has ended is asked for again, in milliseconds; they double. */
const SHORTEST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5000
const TAIL_LINES = 3

/** One event of `GET /events`. */
interface EngineEvent {
  readonly Action?: string
}

/**
 * Looks after the container of an instance until it is brought down: its end is the instance's, and its health as well. Here, and
 * not in a hook, so that no closure can hold on to a generation.
 */
export function watch(instance: Instance, record: DockerRecord, kept: Kept, timeoutMs: number): Watch {
  unwatch(instance, kept)
  const made: Watch = { controller: new AbortController(), emitter: new EventEmitter() }
  kept.watches.set(instance, made)
  follow(instance, record, kept, made, timeoutMs).catch((error: unknown) => {
    if (!made.controller.signal.aborted) instance.crashed(error as Error)
  })
  return made
}

export function unwatch(instance: Instance, { watches }: Kept): void {
  watches.get(instance)?.controller.abort()
  watches.delete(instance)
}

/** Ends with an error that says how the container ended. */
async function follow(
  instance: Instance,
  { id, target }: DockerRecord,
  kept: Kept,
  { controller, emitter }: Watch,
  timeoutMs: number,
) {
  const { signal } = controller
  let pauseMs = SHORTEST_PAUSE_MS
  for (;;) {
    try {
      const engine = await Engine.open(kept.pools, target, timeoutMs, signal)
      const filters = JSON.stringify({ type: ['container'], container: [id] })
      const stream = await engine.stream('GET', '/events', { query: { filters }, signal })
      // Looked at once the events flow: what happens from now on is told, what happened before is seen.
      await look(engine, instance, id, signal)
      pauseMs = SHORTEST_PAUSE_MS
      for await (const { Action = '' } of ndjson<EngineEvent>(stream, 'events')) {
        // Checks of its health begin and end all the time.
        if (Action.startsWith('exec_')) continue
        await look(engine, instance, id, signal)
        emitter.emit('news')
      }
    } catch (error) {
      if (signal.aborted || error instanceof Over) throw error
      // The daemon may have ended or be restarted, and its containers live on all the same.
    }
    await sleep(pauseMs, undefined, { signal, ref: false })
    pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)
  }
}

/** The container runs no more. */
class Over extends EngineError {}

async function look(engine: Engine, instance: Instance, id: string, signal: AbortSignal): Promise<void> {
  const container = await inspect(engine, id, signal)
  if (!container) throw new Over('its container was removed')
  const { Status, Health } = container.State
  if (['exited', 'dead', 'removing'].includes(Status)) throw new Over(await howItEnded(engine, container))
  if (instance.state !== 'hot' || !Health) return
  if (Health.Status === 'unhealthy')
    instance.setHealth(false, `container ${nameOf(container)} is unhealthy${lastCheck(container)}`)
  if (Health.Status === 'healthy') instance.setHealth(true, `container ${nameOf(container)} is healthy`)
}

/** What the last check of its health wrote. */
export function lastCheck({ State }: Container): string {
  const output = stripVTControlCharacters(State.Health?.Log?.at(-1)?.Output ?? '').trim()
  return output === '' ? '' : `: ${output.slice(0, 300)}`
}

async function howItEnded(engine: Engine, container: Container): Promise<string> {
  const { ExitCode, OOMKilled, Error: reason } = container.State
  const lines = await readLog(engine, container, TAIL_LINES).catch(() => [])
  const tail = stripVTControlCharacters(lines.map(({ line }) => line.trim()).join(' | ')).slice(-500)
  const memory = OOMKilled ? ', out of memory' : ''
  return `container ${nameOf(container)} exited with code ${ExitCode}${memory}${reason && `: ${reason}`}${tail && `; its last lines: ${tail}`}`
}

/**
 * Waits until the container is healthy by its own HEALTHCHECK; looks again when something has happened, and now and then.
 * @throws when it is unhealthy, or `isRequired` and it has no such check.
 */
export async function untilHealthy(
  engine: Engine,
  container: Container,
  { emitter }: Watch,
  { isRequired, signal }: { isRequired: boolean; signal: AbortSignal },
  note: (note: string) => void,
): Promise<void> {
  const name = nameOf(container)
  let isTold = false
  for (;;) {
    const now = await inspect(engine, container.Id, signal)
    const status = now?.State.Health?.Status ?? 'none'
    if (status === 'healthy') return
    if (status === 'none' && isRequired)
      throw new EngineError(
        `container ${name} has no HEALTHCHECK, and docker.healthcheck is "required": give its image one, or say with "health" when it is ready`,
      )
    if (status === 'none') return
    if (now && status === 'unhealthy') throw new EngineError(`container ${name} is unhealthy${lastCheck(now)}`)
    if (!isTold) note(`container ${name} runs; waiting for its HEALTHCHECK`)
    isTold = true
    await pause(emitter, signal)
  }
}

/** Until there is news, or half a second. */
async function pause(emitter: EventEmitter, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer)
      emitter.off('news', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, 500)
    emitter.once('news', done)
    signal.addEventListener('abort', done, { once: true })
  })
  signal.throwIfAborted()
}
