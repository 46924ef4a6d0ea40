import type { DockerServiceOptions } from '../../schemas/docker.ts'
import type { Engine } from './engine.ts'
import { EngineError, explain, isStatus } from './errors.ts'
import { ndjson } from './ndjson.ts'

/** One line of the stream of `POST /images/create`. */
interface PullLine {
  readonly id?: string
  readonly status?: string
  readonly progressDetail?: { readonly current?: number; readonly total?: number }
  readonly error?: string
}

/** Shortest time between two notes of a pull, in milliseconds. */
const NOTE_EVERY_MS = 1000
const DONE = /^(Pull complete|Already exists|Download complete)/

/**
 * The id of the image of a section, pulled before if that is wanted.
 * @throws {EngineError} when there is none, or it can't be pulled.
 */
export async function imageFor(
  engine: Engine,
  image: string,
  section: Pick<DockerServiceOptions, 'pull' | 'registry'>,
  signal: AbortSignal,
  note: (note: string) => void,
): Promise<string> {
  const known = section.pull === 'always' ? undefined : await imageId(engine, image, signal)
  if (known !== undefined) return known
  if (section.pull === 'never')
    throw new EngineError(
      `the daemon at ${engine.host} has no image ${image}, and docker.pull is "never": docker pull ${image}, or set docker.pull to "missing"`,
    )
  await pull(engine, image, section.registry, signal, note)
  const pulled = await imageId(engine, image, signal)
  if (pulled === undefined)
    throw new EngineError(`the image ${image} was pulled, but the daemon at ${engine.host} has none of this name`)
  return pulled
}

async function imageId(engine: Engine, image: string, signal: AbortSignal): Promise<string | undefined> {
  const path = image.split('/').map(encodeURIComponent).join('/')
  try {
    return (await engine.json<{ Id: string }>('GET', `/images/${path}/json`, { signal })).Id
  } catch (error) {
    if (isStatus(error, 404)) return undefined
    throw error
  }
}

async function pull(
  engine: Engine,
  image: string,
  registry: DockerServiceOptions['registry'],
  signal: AbortSignal,
  note: (note: string) => void,
): Promise<void> {
  const failed = (why: string, cause?: unknown) =>
    new EngineError(
      `the image ${image} could not be pulled: ${why}; is its name right, and may the daemon at ${engine.host} pull it (docker.registry says as whom)?`,
      {
        cause,
      },
    )
  const headers = registry ? { 'x-registry-auth': authentication(registry) } : {}
  note(`pulling ${image}`)
  try {
    // The registry's first answer can take a while; how long all of it may take is bounded by the start.
    const stream = await engine.stream('POST', '/images/create', {
      query: reference(image),
      headers,
      signal,
      timeoutMs: 2 ** 31 - 1,
    })
    const progress = new PullProgress(image, note)
    for await (const line of ndjson<PullLine>(stream, `the pull of ${image}`)) {
      if (line.error !== undefined) throw failed(line.error)
      progress.take(line)
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason
    if (error instanceof EngineError) throw error.status === undefined ? error : failed(error.message, error)
    throw explain(error, { host: engine.host, what: `the pull of ${image}` })
  }
}

/** Without a tag the Engine would pull all there are. */
export function reference(image: string): { fromImage: string; tag: string } {
  const at = image.indexOf('@')
  if (at !== -1) return { fromImage: image.slice(0, at), tag: image.slice(at + 1) }
  const colon = image.lastIndexOf(':')
  if (colon > image.lastIndexOf('/')) return { fromImage: image.slice(0, colon), tag: image.slice(colon + 1) }
  return { fromImage: image, tag: 'latest' }
}

/** https://docs.docker.com/reference/api/engine/#section/Authentication */
function authentication({ username, password, server }: NonNullable<DockerServiceOptions['registry']>): string {
  const account = { username, password, ...(server === undefined ? {} : { serveraddress: server }) }
  // The alphabet for URLs (RFC 4648, 5), and with padding: without it, daemons take what they can't read for no credentials.
  return Buffer.from(JSON.stringify(account)).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}

/** Sums up what happens to the layers of an image, at most once in a while. */
class PullProgress {
  readonly #image: string
  readonly #note: (note: string) => void
  readonly #layers = new Map<string, { current: number; total: number; done: boolean }>()
  #notedAt = performance.now()

  constructor(image: string, note: (note: string) => void) {
    this.#image = image
    this.#note = note
  }

  take({ id, status = '', progressDetail }: PullLine): void {
    if (id !== undefined && /^[0-9a-f]{12}$/.test(id)) {
      const layer = this.#layers.get(id) ?? { current: 0, total: 0, done: false }
      if (status === 'Downloading')
        Object.assign(layer, { current: progressDetail?.current ?? 0, total: progressDetail?.total ?? 0 })
      if (DONE.test(status)) Object.assign(layer, { current: layer.total, done: true })
      this.#layers.set(id, layer)
    }
    const now = performance.now()
    if (now - this.#notedAt < NOTE_EVERY_MS) return
    this.#notedAt = now
    const all = [...this.#layers.values()]
    const megabytes = (key: 'current' | 'total') => Math.round(all.reduce((sum, layer) => sum + layer[key], 0) / 1e6)
    const done = all.filter((layer) => layer.done).length
    this.#note(`pulling ${this.#image}: ${done} of ${all.length} layers, ${megabytes('current')} of ${megabytes('total')} MB`)
  }
}
