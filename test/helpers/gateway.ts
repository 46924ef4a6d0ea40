import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseDocument } from 'yaml'
import type { HestiaEvent } from '../../core/events.ts'
import { Gateway } from '../../core/gateway.ts'
import type { Instance } from '../../core/instances/instance.ts'
import type { Service } from '../../core/instances/service.ts'
import { checkRecords } from './api-record.ts'
import { provideShipped } from './shipped.ts'
import { until } from './until.ts'

type Teardown = { teardown(fn: () => unknown): void }
type EventOf<T extends HestiaEvent['type']> = Extract<HestiaEvent, { type: T }>

export interface RunningGateway {
  readonly url: string
  readonly port: number
  readonly dir: string
  readonly gateway: Gateway
  readonly events: HestiaEvent[]
  write(path: string, text: string): Promise<void>
  remove(path: string): Promise<void>
  /** Writes the configuration, with the same additions as at the start. */
  configure(config: string): Promise<void>
  /** The first event of that type, past or to come, from the `after`th on. */
  event<T extends HestiaEvent['type']>(type: T, match?: (event: EventOf<T>) => boolean, after?: number): Promise<EventOf<T>>
  service(id: string): Service
  instance(id: string, name?: string): Instance
  close(): Promise<void>
}

/** `server.port: 0`, `log.level: silent` and a store in memory, unless the text says otherwise. */
function withDefaults(config: string): string {
  const document = parseDocument(config)
  if (document.errors.length > 0) return config
  if (!document.hasIn(['server', 'port'])) document.setIn(['server', 'port'], 0)
  if (!document.hasIn(['log', 'level'])) document.setIn(['log', 'level'], 'silent')
  const hasStore = document.getIn(['plugins', 'defaults']) !== false && !document.hasIn(['plugins', 'store'])
  if (hasStore) document.setIn(['plugins', 'store', 'file'], ':memory:')
  return document.toString()
}

/** A real gateway in this process, in a folder of its own, on a port the system chose; ended and removed with the test. */
export async function startGateway(
  t: Teardown,
  options: { config: string; files?: Record<string, string>; env?: Record<string, string> },
): Promise<RunningGateway> {
  await provideShipped()
  const dir = await mkdtemp(join(tmpdir(), 'hestia-test-'))
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(dir, path)), { recursive: true })
    // Renamed into place, so that no test meets a half-written file by chance.
    await writeFile(join(dir, `${path}.tmp`), text)
    await rename(join(dir, `${path}.tmp`), join(dir, path))
  }
  const configure = (config: string) => write('hestia_config.yml', withDefaults(config))
  for (const [path, text] of Object.entries(options.files ?? {})) await write(path, text)
  await configure(options.config)
  let gateway: Gateway
  try {
    gateway = await Gateway.start({ configFile: join(dir, 'hestia_config.yml'), env: options.env ?? {} })
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    throw error
  }
  const events: HestiaEvent[] = []
  gateway.events.subscribe((event) => events.push(event))
  const close = async () => {
    await gateway.stop('test', AbortSignal.abort())
    await rm(dir, { recursive: true, force: true })
    await checkRecords()
  }
  t.teardown(close)
  return {
    url: gateway.url,
    port: gateway.host.port,
    dir,
    gateway,
    events,
    write,
    remove: (path) => rm(join(dir, path)),
    configure,
    event: (type, match = () => true, after = 0) =>
      until(
        () =>
          events.slice(after).find((event) => event.type === type && match(event as EventOf<typeof type>)) as EventOf<
            typeof type
          >,
        `the event ${type}`,
      ),
    service: (id) => gateway.services.require(id),
    instance: (id, name) => {
      const { all } = gateway.services.require(id)
      const found = name === undefined ? all[0] : all.find((instance) => instance.name === name)
      if (!found) throw new Error(`no instance ${name} in ${id}`)
      return found
    },
    close,
  }
}
