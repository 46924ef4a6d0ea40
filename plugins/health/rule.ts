import type { Config, PluginDefinition, Report, Section } from 'hestia'
import type { HealthOptions } from '../../schemas/health.ts'

/**
 * Reports services of which nothing says when they are ready: each needs `health.url`, `health.tcp`, `warmup_ms`, or a
 * starter that reports readiness.
 */
export function missingReadiness(config: Config, report: Report, plugins: readonly PluginDefinition[]): void {
  for (const { id, instances, named, warmup_ms } of Object.values(config.services)) {
    if (warmup_ms !== undefined) continue
    const starters = plugins.filter(({ name }) => named.includes(name))
    const blind = instances.find(({ sections }) => {
      const health = sections.health as HealthOptions | undefined
      const isProbed = health?.url !== undefined || health?.tcp
      return !isProbed && !starters.some((plugin) => reportsReadiness(plugin, sections[plugin.name]))
    })
    if (!blind) continue
    const which = instances.length > 1 ? ` (instance ${blind.name})` : ''
    report(
      ['services', id],
      `nothing says when it is ready${which}: add "health: { url: /path }", "health: { tcp: true }" or "warmup_ms" ` +
        '(0 when it is always there)',
    )
  }
}

function reportsReadiness({ starter }: PluginDefinition, section: Section | undefined): boolean {
  const reports = starter?.reportsReadiness ?? false
  return typeof reports === 'function' ? section !== undefined && reports(section) : reports
}
