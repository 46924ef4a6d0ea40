import type { Instance } from 'hestia'
import type { CommandServiceOptions } from '../../schemas/command.ts'

/** What a command is told beyond the environment of the gateway: what it is for, and what its section adds. */
export function environmentFor(
  instance: Instance,
  { env }: CommandServiceOptions,
  { action, reason, address }: { action: string; reason: string | undefined; address: string | null },
): Record<string, string | number | boolean> {
  const { hostname, port, protocol } = new URL(instance.url)
  const { machine, region } = instance.settings
  return {
    HESTIA_ACTION: action,
    HESTIA_SERVICE: instance.service.id,
    HESTIA_INSTANCE: instance.name,
    HESTIA_URL: instance.url,
    HESTIA_HOST: hostname.replace(/^\[|\]$/g, ''),
    HESTIA_PORT: port || (protocol === 'https:' ? 443 : 80),
    ...(reason === undefined ? {} : { HESTIA_REASON: reason }),
    ...(machine === undefined ? {} : { HESTIA_MACHINE: machine }),
    ...(address === null ? {} : { HESTIA_MACHINE_ADDRESS: address }),
    ...(region === undefined ? {} : { HESTIA_REGION: region }),
    ...env,
  }
}
