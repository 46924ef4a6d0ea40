import type { Config, PluginDefinition, Report } from 'hestia'
import type { HealthOptions } from '../../schemas/health.ts'

/**
 * Reports services of which nothing says when they are ready: each needs `health.url`, `health.tcp`, `warmup_ms`, or a
 * starter that reports readiness.
 */
export function missingReadiness(config: Config, report: Report, plugins: readonly PluginDefinition[]): void {
  const reporters = new Set(plugins.filter(({ starter }) => starter?.reportsReadiness).map(({ name }) => name))
  for (const { id, instances, named, warmup_ms } of Object.values(config.services)) {
    if (warmup_ms !== undefined || named.some((name) => reporters.has(name))) continue
    const blind = instances.find(({ sections }) => {
      const health = sections.health as HealthOptions | undefined
      return health?.url === undefined && !health?.tcp
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
