import { type BeforeStartEvent, type Instance, messageOf } from 'hestia'
import type { DockerOptions, DockerServiceOptions } from '../../schemas/docker.ts'
import { type Container, inspect, isUp, nameOf, provide, remove, setRunning, stop } from './container.ts'
import { Engine } from './engine.ts'
import { EngineError } from './errors.ts'
import { type DockerRecord, type Kept, recordOf, sectionOf } from './kept.ts'
import { targetOf } from './target.ts'
import { untilHealthy, unwatch, watch } from './watch.ts'

/**
 * Has the container of an instance run, and waits until it is healthy if its own HEALTHCHECK is to say so. What runs already is
 * gone on with.
 * @throws {EngineError} what is wrong, in a sentence.
 */
export async function bringUp(event: BeforeStartEvent, section: DockerServiceOptions, folder: string, kept: Kept): Promise<void> {
  const { instance, signal, progress } = event
  const { timeout_ms, healthcheck } = section
  const target = targetOf(section, folder)
  const adopted = recordOf(instance)
  const engine = await Engine.open(kept.pools, adopted?.target ?? target, timeout_ms, signal)
  const container = await (adopted
    ? adoptedContainer(engine, adopted, signal)
    : provide(engine, instance, section, folder, signal, progress))
  signal.throwIfAborted()
  const record: DockerRecord = adopted ?? { target, id: container.Id, name: nameOf(container), made: section.image !== undefined }
  // Recorded before it begins: what is half up has to be brought down as well.
  instance.data.docker = { ...record }
  kept.started.set(instance, section)
  if (isUp(container)) progress(`container ${record.name} runs already (${container.State.Status})`)
  const running = setRunning(engine, container)
  kept.starting.set(instance, running)
  try {
    await running
  } finally {
    kept.starting.delete(instance)
  }
  signal.throwIfAborted()
  const watching = watch(instance, record, kept, timeout_ms)
  if (healthcheck === 'off' || (healthcheck === 'auto' && isProbed(instance))) return
  await untilHealthy(engine, container, watching, { isRequired: healthcheck === 'required', signal }, progress)
}

async function adoptedContainer(engine: Engine, { id, name }: DockerRecord, signal: AbortSignal): Promise<Container> {
  const container = await inspect(engine, id, signal)
  if (!container) throw new EngineError(`container ${name} was removed`)
  return container
}

/** Whether the service says by a health check of its own when it is ready. */
function isProbed(instance: Instance): boolean {
  const health = instance.section<{ readonly url?: string; readonly tcp?: boolean }>('health')
  return health?.url !== undefined || health?.tcp === true
}

/**
 * Brings the container of an instance down, whichever generation brought it up.
 * @throws when it could not be stopped.
 */
export async function bringDown(instance: Instance, kept: Kept, defaults: DockerOptions): Promise<void> {
  unwatch(instance, kept)
  const record = recordOf(instance)
  if (!record) return
  await kept.starting.get(instance)?.catch(() => undefined)
  const section = sectionOf(instance) ?? kept.started.get(instance)
  const { stop_grace_ms, timeout_ms } = section ?? defaults
  kept.started.delete(instance)
  try {
    const engine = await Engine.open(kept.pools, record.target, timeout_ms)
    await stop(engine, record.id, stop_grace_ms, timeout_ms)
    if (record.made && section?.auto_remove) await remove(engine, record.id, true)
  } catch (error) {
    throw new Error(`container ${record.name} could not be stopped, and may run still: ${messageOf(error)}`, { cause: error })
  }
}

/**
 * Whether the container that an earlier gateway brought up runs still.
 * @throws {EngineError} when its daemon doesn't say.
 */
export async function stillRuns(instance: Instance): Promise<boolean> {
  const [record, section] = [recordOf(instance), sectionOf(instance)]
  if (!record || !section) return false
  const pools = new Map()
  try {
    const engine = await Engine.open(pools, record.target, section.timeout_ms)
    const container = await inspect(engine, record.id)
    return container !== undefined && isUp(container)
  } finally {
    for (const pool of pools.values()) void pool.destroy()
  }
}
