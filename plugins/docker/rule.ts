import type { Config, Report } from 'hestia'
import type { DockerServiceOptions } from '../../schemas/docker.ts'
import { sourcesOf } from './kept.ts'

/** Reports what no schema can say: a container is named in one way, and a socket has no TLS. */
export function oneContainer(config: Config, report: Report): void {
  for (const { id, instances, named } of Object.values(config.services)) {
    if (!named.includes('docker')) continue
    const sections = instances.map((instance) => instance.sections.docker as DockerServiceOptions | undefined)
    const wrong = sections.find((section) => section && sourcesOf(section).length > 1)
    if (wrong)
      report(['services', id, 'docker'], `it has ${sourcesOf(wrong).join(' and ')}; which one is meant? Leave only one of them`)
    if (!sections.some((section) => section && sourcesOf(section).length > 0))
      report(
        ['services', id, 'docker'],
        'nothing says which container: add "container" (an existing one), "label" (the same), or "image" (one to make)',
      )
    if (sections.some((section) => section?.tls && section.host.startsWith('unix:')))
      report(['services', id, 'docker'], 'a Unix socket has no TLS: remove "tls", or set "host" to tcp://...')
  }
}
