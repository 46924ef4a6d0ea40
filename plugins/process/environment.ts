import { childEnvironment, type Instance } from 'hestia'
import type { ProcessServiceOptions } from '../../schemas/process.ts'
import { hostAndPort } from './occupied.ts'

/** The environment of a process: the gateway's, where to listen, who it is, and what its section adds. */
export function environmentFor(instance: Instance, section: ProcessServiceOptions, cookie: string): Record<string, string> {
  const { host, port } = hostAndPort(instance.url)
  const who = {
    HESTIA_GATEWAY: process.pid,
    HESTIA_SERVICE: instance.service.id,
    HESTIA_INSTANCE: instance.name,
    HESTIA_URL: instance.url,
  }
  return childEnvironment({ HOST: host, PORT: port, ...who, ...section.env }, cookie)
}
