import type { Config, Report } from 'hestia'
import type { ExclusiveOptions, ExclusiveServiceOptions } from '../../schemas/exclusive.ts'
import { capacityOf } from './snapshot.ts'

/** Reports instances that need more than their whole group has, and so could never start. */
export function neverFits(config: Config, report: Report): void {
  const options = config.plugins.get('exclusive') as ExclusiveOptions
  for (const { id, instances, sections } of Object.values(config.services)) {
    for (const [index, instance] of instances.entries()) {
      const section = instance.sections.exclusive as ExclusiveServiceOptions | undefined
      if (!section) continue
      const capacity = capacityOf(options, section.group)
      if (section.weight <= capacity) continue
      const isShared = section === (sections.exclusive as ExclusiveServiceOptions | undefined)
      const path = isShared ? ['services', id] : ['services', id, 'instances', index]
      report(
        [...path, 'exclusive', 'weight'],
        `it takes ${section.weight}, but the group ${section.group} has ${capacity} in all; lower it, ` +
          `or raise plugins.exclusive.groups.${section.group}.capacity`,
      )
      if (isShared) break
    }
  }
}
