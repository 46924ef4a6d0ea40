import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import type { Instance } from 'hestia'
import type { DockerServiceOptions } from '../../schemas/docker.ts'

/** Labels by which Hestia knows what it made: whose it is, and with which settings. */
export const LABELS = { service: 'hestia.service', instance: 'hestia.instance', spec: 'hestia.spec' } as const

type Json = Record<string, unknown>

/** Name of the container that is made for an instance. */
export const nameFor = (instance: Instance, { name }: DockerServiceOptions): string =>
  name ?? `hestia-${instance.service.id}-${instance.name}`.replace(/[^a-zA-Z0-9_.-]/g, '-')

/**
 * The body of `POST /containers/create` for an instance. Two of them are equal, label `hestia.spec` included, when the same
 * settings and the same image made them.
 */
export function specFor(
  instance: Instance,
  section: DockerServiceOptions,
  imageId: string,
  folder: string,
): Json & { Labels: Json } {
  const { image, command, entrypoint, env, volumes, gpus, network, create } = section
  const { exposed, bindings } = portsOf(section.ports, instance.url)
  const own: Json = {
    Image: image,
    ...(command ? { Cmd: command } : {}),
    ...(entrypoint ? { Entrypoint: entrypoint } : {}),
    Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
    ExposedPorts: exposed,
    HostConfig: {
      PortBindings: bindings,
      Binds: volumes.map((volume) => (/^\.\.?\//.test(volume) ? absolute(volume, folder) : volume)),
      ...(gpus === undefined ? {} : { DeviceRequests: [deviceRequest(gpus)] }),
      ...(network === undefined ? {} : { NetworkMode: network }),
    },
  }
  const body = merge(own, create) as Json
  const spec = createHash('sha256')
    .update(JSON.stringify([body, imageId]))
    .digest('hex')
  const labels = { [LABELS.service]: instance.service.id, [LABELS.instance]: instance.name, [LABELS.spec]: spec }
  return { ...body, Labels: { ...(body.Labels as Json | undefined), ...labels } }
}

interface Ports {
  readonly exposed: Record<string, object>
  readonly bindings: Record<string, { HostIp: string; HostPort: string }[]>
}

/** Ports as `docker run -p` writes them; only the gateway has to reach what its `base_url` says is on this machine. */
export function portsOf(ports: readonly string[], url: string): Ports {
  const found: Ports = { exposed: {}, bindings: {} }
  const { hostname } = new URL(url)
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
  for (const text of ports) {
    const [, address, outside, inside = '', protocol = 'tcp'] =
      /^(?:(\d+(?:\.\d+){3}|\[.+\]):)?(?:(\d+):)?(\d+)(?:\/(\w+))?$/.exec(text) ?? []
    const key = `${inside}/${protocol}`
    const HostIp = address?.replace(/^\[|\]$/g, '') ?? (isLoopback ? '127.0.0.1' : '')
    found.exposed[key] = {}
    found.bindings[key] = [...(found.bindings[key] ?? []), { HostIp, HostPort: outside ?? inside }]
  }
  return found
}

function deviceRequest(gpus: NonNullable<DockerServiceOptions['gpus']>): Json {
  const which = Array.isArray(gpus) ? { DeviceIDs: gpus } : { Count: gpus === 'all' ? -1 : gpus }
  return { ...which, Capabilities: [['gpu']] }
}

function absolute(volume: string, folder: string): string {
  const colon = volume.indexOf(':')
  return resolve(folder, volume.slice(0, colon)) + volume.slice(colon)
}

const isMapping = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** `over` over `base`; mappings key by key, anything else whole. */
function merge(base: unknown, over: unknown): unknown {
  if (!isMapping(base) || !isMapping(over)) return over
  const merged = Object.entries(over).map(([key, value]) => [key, key in base ? merge(base[key], value) : value] as const)
  return { ...base, ...Object.fromEntries(merged) }
}
