import type { Config, Report } from 'hestia'
import type { WakeOnLanMachine } from '../../schemas/wake-on-lan.ts'

/** Reports machines that are to be woken or put to sleep, but of which nobody knows how to wake them, and probes that are none. */
export function wakeable(config: Config, report: Report): void {
  for (const [name, { mac, named, sections }] of Object.entries(config.machines)) {
    const { wake } = sections['wake-on-lan'] as WakeOnLanMachine
    if (wake.probe !== undefined && !URL.canParse(wake.probe))
      report(['machines', name, 'wake', 'probe'], 'this is not a URL; write it as "tcp://192.168.1.20:22", or as an http(s) URL')
    if (mac === undefined && named.includes('wake-on-lan'))
      report(['machines', name], 'needs the "mac" of its network card to be woken (ip link, ipconfig /all)')
  }
}
