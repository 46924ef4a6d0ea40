import type { Instance } from 'hestia'
import type { DockerServiceOptions } from '../../schemas/docker.ts'
import type { Engine } from './engine.ts'
import { EngineError, isStatus } from './errors.ts'
import { imageFor } from './image.ts'
import { LABELS, nameFor, specFor } from './spec.ts'

/** What matters of `GET /containers/{id}/json`. */
export interface Container {
  readonly Id: string
  /** With a slash in front. */
  readonly Name: string
  readonly Image: string
  readonly State: {
    readonly Status: string
    readonly ExitCode: number
    readonly OOMKilled: boolean
    readonly Error: string
    readonly Health?: { readonly Status: string; readonly Log?: readonly { readonly Output: string }[] | null }
  }
  readonly Config: { readonly Labels: Readonly<Record<string, string>> | null; readonly Tty: boolean }
}

export const nameOf = ({ Name }: Container): string => Name.replace(/^\//, '')

/** Whether it runs, as far as the Engine knows; one that the Engine restarts does. */
export const isUp = ({ State }: Container): boolean => ['running', 'paused', 'restarting'].includes(State.Status)

/** One container; undefined when there is none. */
export async function inspect(engine: Engine, idOrName: string, signal?: AbortSignal): Promise<Container | undefined> {
  try {
    return await engine.json<Container>('GET', `/containers/${encodeURIComponent(idOrName)}/json`, signal ? { signal } : {})
  } catch (error) {
    if (isStatus(error, 404)) return undefined
    throw error
  }
}

/**
 * The container of an instance, as it is now; undefined when there is none.
 * @throws {EngineError} when a label doesn't say which.
 */
export async function locate(
  engine: Engine,
  instance: Instance,
  { container, label, image }: DockerServiceOptions,
  signal?: AbortSignal,
): Promise<Container | undefined> {
  if (container !== undefined) return inspect(engine, container, signal)
  const labels =
    image === undefined ? [label ?? ''] : [`${LABELS.service}=${instance.service.id}`, `${LABELS.instance}=${instance.name}`]
  const found = await engine.json<{ Id: string; Names: string[] }[]>('GET', '/containers/json', {
    query: { all: true, filters: JSON.stringify({ label: labels }) },
    ...(signal ? { signal } : {}),
  })
  if (image === undefined && found.length > 1) {
    const names = found.map(({ Names }) => Names[0]?.replace(/^\//, '')).join(', ')
    throw new EngineError(
      `${found.length} containers at ${engine.host} have the label ${label}: ${names}; give it to one of them only`,
    )
  }
  return found[0] && inspect(engine, found[0].Id, signal)
}

/**
 * The container that is to run: one that exists, or one that is made of the image. One that was made with other settings, or of an
 * older image of that name, is replaced.
 */
export async function provide(
  engine: Engine,
  instance: Instance,
  section: DockerServiceOptions,
  folder: string,
  signal: AbortSignal,
  note: (note: string) => void,
): Promise<Container> {
  const { container, label, image, stop_grace_ms } = section
  if (image === undefined) {
    const found = await locate(engine, instance, section, signal)
    if (found) return found
    const [what, key] = container === undefined ? [`the label ${label}`, 'label'] : [`the name ${container}`, 'container']
    throw new EngineError(
      `no container at ${engine.host} has ${what} (docker ps -a lists them): make it, or correct services.${instance.service.id}.docker.${key}`,
    )
  }
  const imageId = await imageFor(engine, image, section, signal, note)
  const spec = specFor(instance, section, imageId, folder)
  const found = await locate(engine, instance, section, signal)
  const name = nameFor(instance, section)
  if (found && found.Config.Labels?.[LABELS.spec] === spec.Labels[LABELS.spec] && nameOf(found) === name) return found
  if (found) {
    note(`container ${nameOf(found)} was made with other settings, or of an older image: it is made anew`)
    await stop(engine, found.Id, stop_grace_ms)
    await remove(engine, found.Id, false)
  }
  const id = await create(engine, name, spec, signal)
  const made = await inspect(engine, id, signal)
  if (!made) throw new EngineError(`container ${name} was made at ${engine.host}, and somebody removed it at once`)
  return made
}

async function create(engine: Engine, name: string, spec: object, signal: AbortSignal): Promise<string> {
  try {
    return (await engine.json<{ Id: string }>('POST', '/containers/create', { query: { name }, body: spec, signal })).Id
  } catch (error) {
    if (isStatus(error, 409))
      throw new EngineError(
        `there is a container ${name} at ${engine.host} that Hestia did not make: remove it (docker rm ${name}), set docker.name, ` +
          `or take it as it is with "container: ${name}" instead of an image`,
        { cause: error },
      )
    if (error instanceof EngineError && error.status !== undefined)
      throw new EngineError(`container ${name} could not be made: ${error.message}`, { cause: error })
    throw error
  }
}

/** Has it run, whatever it does now. @throws {EngineError} when it can't. */
export async function setRunning(engine: Engine, container: Container): Promise<void> {
  const { Id, State } = container
  const name = nameOf(container)
  if (State.Status === 'running' || State.Status === 'restarting') return
  try {
    await engine.json('POST', `/containers/${Id}/${State.Status === 'paused' ? 'unpause' : 'start'}`)
  } catch (error) {
    if (!(error instanceof EngineError) || error.status === undefined) throw error
    const hint = /port is already allocated|address already in use/.test(error.message)
      ? '; stop what has the port, or change docker.ports and base_url'
      : ''
    throw new EngineError(`container ${name} could not be started: ${error.message.trim()}${hint}`, { cause: error })
  }
}

/** Asked politely, and after `graceMs` killed by the Engine itself; nothing if it doesn't run, or is gone. */
export async function stop(engine: Engine, id: string, graceMs: number, waitMs = 60_000): Promise<void> {
  try {
    await engine.json('POST', `/containers/${id}/stop`, {
      query: { t: Math.ceil(graceMs / 1000) },
      timeoutMs: graceMs + waitMs,
    })
  } catch (error) {
    if (!isStatus(error, 404)) throw error
  }
}

/** Removes it, and with `volumes` those that have no name; nothing if it is gone or going. */
export async function remove(engine: Engine, id: string, volumes: boolean): Promise<void> {
  try {
    await engine.json('DELETE', `/containers/${id}`, { query: { force: true, v: volumes } })
  } catch (error) {
    if (!isStatus(error, 404, 409)) throw error
  }
}
