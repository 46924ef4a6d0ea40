import { messageOf } from './errors.ts'
import { Events } from './events.ts'
import type { PluginDefinition } from './plugin.ts'
import { type Problem, ProblemError } from './problem.ts'
import { type Plan, Planner } from './reload/planner.ts'
import { Sources } from './sources.ts'
import type { Strategy } from './strategy.ts'

/** The plugins and strategies that could be loaded, whether anything uses them or not. */
export interface Found {
  /** By name: those that are on first, in their order. */
  readonly plugins: readonly PluginDefinition[]
  /** Names of the plugins that are on. */
  readonly on: readonly string[]
  readonly strategies: readonly Strategy[]
}

export interface CheckResult extends Found {
  /** Why a gateway would refuse to start with these files, or go without one of them; files are absolute paths, or as they are shown. */
  readonly problems: readonly Problem[]
  /** What is wrong with files that nothing uses. */
  readonly warnings: readonly Problem[]
  /** Absent when the configuration is not valid. */
  readonly plan: Plan | undefined
}

const problemsOf = (thrown: unknown, file: string): readonly Problem[] =>
  thrown instanceof ProblemError ? thrown.problems : [{ file, message: messageOf(thrown) }]

/**
 * Checks a configuration and the plugins and strategies beside it as a start would, and those plugins of the user too that are off.
 * Code of the files is loaded, but no plugin is set up: nothing is started, opened or listened on.
 * @param options.shipped also loads shipped plugins that are off
 * @param options.text what the configuration is to say, instead of what its file says
 */
export async function check(
  configFile: string,
  env: Readonly<Record<string, string | undefined>>,
  { shipped = false, text }: { readonly shipped?: boolean; readonly text?: string } = {},
): Promise<CheckResult> {
  const sources = new Sources(configFile)
  const { file, modules, show } = sources
  try {
    const strategies = sources.strategies(new Events())
    await strategies.sync(await sources.strategyFiles(), async () => [])
    const problems: Problem[] = strategies.failed().flatMap((failed) => failed.problems)
    let plan: Plan | undefined
    try {
      const planner = new Planner({ file, env, modules, show })
      plan = await planner.plan(text ?? planner.read(), new Map(), strategies.known())
    } catch (thrown) {
      problems.push(...problemsOf(thrown, file))
    }
    const on = plan?.modules.map(({ definition }) => definition) ?? []
    const warnings: Problem[] = []
    const others: PluginDefinition[] = []
    const available = await modules.available()
    for (const [name, path] of available) {
      if (on.some((definition) => definition.name === name) || (!shipped && sources.isShipped(path))) continue
      try {
        const module = await modules.load(name, available)
        if (module) others.push(module.definition)
      } catch (thrown) {
        const known = new Set(problems.map(({ file, message }) => `${file}\0${message}`))
        warnings.push(...problemsOf(thrown, show(path)).filter((problem) => !known.has(`${problem.file}\0${problem.message}`)))
      }
    }
    return {
      problems,
      warnings,
      plan,
      plugins: [...on, ...others],
      on: on.map(({ name }) => name),
      strategies: [...strategies.known().values()],
    }
  } finally {
    await sources.loader.close()
  }
}
