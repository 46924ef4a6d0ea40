import type { Instance } from 'hestia'
import type { ProcessServiceOptions } from '../../schemas/process.ts'
import { hostAndPort } from './occupied.ts'

/**
 * Belongs to the gateway alone. NODE_OPTIONS and its like would load the gateway's own loaders and debuggers into every
 * service that is a Node program, or have it write to the gateway's channel; what `npm start` sets describes the gateway's own
 * package; HESTIA_* are overrides of its configuration, secrets among them. A service that needs one of them gets it by `env`.
 */
const PRIVATE =
  /^(?:NODE_(?:OPTIONS|CHANNEL_.*|UNIQUE_ID|V8_COVERAGE)|(?:HESTIA|TSX|TAP|npm_package|npm_lifecycle)_.*|npm_config_local_prefix)$/

/** The environment of a process: the gateway's, where to listen, who it is, and what its section adds. */
export function environmentFor(instance: Instance, section: ProcessServiceOptions, cookie: string): Record<string, string> {
  const { host, port } = hostAndPort(instance.url)
  const inherited = Object.entries(process.env).filter(([name, value]) => value !== undefined && !PRIVATE.test(name))
  return {
    ...(Object.fromEntries(inherited) as Record<string, string>),
    HOST: host,
    PORT: String(port),
    HESTIA_SERVICE: instance.service.id,
    HESTIA_INSTANCE: instance.name,
    HESTIA_URL: instance.url,
    ...Object.fromEntries(Object.entries(section.env ?? {}).map(([name, value]) => [name, String(value)])),
    // A gateway that is itself a service hands its own cookie on: who ends the outer one ends all of it.
    HESTIA_COOKIE: [process.env.HESTIA_COOKIE, cookie].filter(Boolean).join(':'),
  }
}
