import type { Problem } from '../problem.ts'
import type { PluginModule } from './plugin-modules.ts'

/**
 * Puts plugins behind those they depend on, and keeps their order otherwise. Reports what is missing, and circles.
 */
export function orderPlugins(modules: readonly PluginModule[], report: (problem: Problem) => void): PluginModule[] {
  const byName = new Map(modules.map((module) => [module.definition.name, module]))
  const ordered = new Set<PluginModule>()
  const visit = (module: PluginModule, parents: readonly string[]): void => {
    if (ordered.has(module)) return
    const { name, dependencies = [] } = module.definition
    if (parents.includes(name)) {
      report({ file: module.source, message: `plugins depend on each other in a circle: ${[...parents, name].join(' -> ')}` })
      return
    }
    for (const dependency of dependencies) {
      const needed = byName.get(dependency)
      if (needed) visit(needed, [...parents, name])
      else
        report({ file: module.source, message: `plugin ${name} needs plugin ${dependency}, which is off; list it under plugins` })
    }
    ordered.add(module)
  }
  for (const module of modules) visit(module, [])
  return [...ordered]
}
