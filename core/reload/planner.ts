import { readFileSync } from 'node:fs'
import { Type } from '@sinclair/typebox'
import { type Config, type ConfigDocument, enabledPlugins, parseConfig, pluginName, resolveConfig } from '../config/index.ts'
import { messageOf } from '../errors.ts'
import type { PluginDefinition } from '../plugin.ts'
import { type Problem, ProblemError } from '../problem.ts'
import type { Strategy } from '../strategy.ts'
import type { PluginModule, PluginModules } from './plugin-modules.ts'
import { orderPlugins } from './plugin-order.ts'

/** What a configuration says, together with the plugins it switches on; not set up yet. */
export interface Plan {
  readonly config: Config
  readonly modules: readonly PluginModule[]
}

/** A plugin whose newest version was refused, while its last good one is used. */
export interface Refusal {
  readonly plugin: string
  readonly problems: readonly Problem[]
}

/** What stands in for a plugin that cannot be loaded, so that the rest can be checked: it takes everything. */
function standIn(name: string): PluginModule {
  const anything = Type.Object({}, { default: {} })
  const setup = () => undefined
  const definition: PluginDefinition = { name, options: anything, service: anything, starter: { reportsReadiness: true }, setup }
  return { name, source: name, inputs: [], definition, plugin: async () => undefined, loadedAt: 0 }
}

const problemsOf = (thrown: unknown, file: string): readonly Problem[] =>
  thrown instanceof ProblemError ? thrown.problems : [{ file, message: messageOf(thrown) }]

/**
 * Turns the text of a configuration, with the plugins and strategies as they are now, into a plan, or into everything that is wrong.
 * It reads and loads files and does nothing else.
 */
export class Planner {
  readonly #file: string
  readonly #env: Readonly<Record<string, string | undefined>>
  readonly #modules: PluginModules
  readonly #show: (file: string) => string

  constructor(options: {
    /** Absolute path of the configuration. */
    file: string
    env: Readonly<Record<string, string | undefined>>
    modules: PluginModules
    show: (file: string) => string
  }) {
    this.#file = options.file
    this.#env = options.env
    this.#modules = options.modules
    this.#show = options.show
  }

  /** The text of the configuration. @throws {ProblemError} when it can't be read. */
  read(): string {
    try {
      // Small and local, and an answer in this tick: every turn of a busy loop delays the reload.
      return readFileSync(this.#file, 'utf8')
    } catch (thrown) {
      const hint = 'name another file with HESTIA_CONFIG or --config'
      throw new ProblemError(
        [{ file: this.#file, message: `the configuration cannot be read (${messageOf(thrown)}); ${hint}` }],
        thrown,
      )
    }
  }

  /**
   * Checks a configuration against the plugins as they are now.
   * @param lastGood versions to fall back on, by name.
   * @throws {ProblemError} with everything that is wrong.
   */
  async plan(
    text: string,
    lastGood: ReadonlyMap<string, PluginModule>,
    strategies: ReadonlyMap<string, Strategy>,
  ): Promise<Plan & { refused: Refusal[] }> {
    const document = parseConfig(this.#file, text, this.#env)
    const available = await this.#modules.available()
    const refused: Refusal[] = []
    const problems: Problem[] = []
    const broken = new Set<string>()
    const loaded = await Promise.all(
      enabledPlugins(document).map(async (listed) => {
        const name = pluginName(listed)
        const good = lastGood.get(name)
        try {
          const module = await this.#modules.load(listed, available)
          if (!module && good) refused.push({ plugin: name, problems: [{ file: good.source, message: 'the file is gone' }] })
          // What the file lists is reported with its line when the configuration is checked.
          if (!module && !good && !document.pluginList.some((entry) => entry.name === listed)) {
            problems.push({
              file: this.#file,
              path: 'plugins',
              message: `the standard plugin "${name}" is missing in this installation`,
            })
          }
          return module ?? good
        } catch (thrown) {
          const found = problemsOf(thrown, listed)
          if (good) refused.push({ plugin: name, problems: found })
          else {
            problems.push(...found)
            broken.add(name)
          }
          return good ?? standIn(name)
        }
      }),
    )
    const present = loaded.filter((module) => module !== undefined)
    const modules = orderPlugins(present, (problem) => problems.push(problem))
    const check = (candidates: readonly PluginModule[]): Config => {
      const plugins = candidates.map(({ definition }) => definition)
      return resolveConfig(document, { plugins, available: [...available.keys()], strategies })
    }
    if (problems.length > 0) throw new ProblemError([...problems, ...othersIn(document, broken, () => check(modules))])
    try {
      return { config: check(modules), modules, refused }
    } catch (thrown) {
      return this.#withoutCulprits(modules, lastGood, refused, check, thrown)
    }
  }

  /**
   * The configuration doesn't go with these plugins. If it goes with older versions of some, these are to blame, and no other
   * change waits for them.
   * @throws what was thrown, if that is no way out.
   */
  #withoutCulprits(
    modules: readonly PluginModule[],
    lastGood: ReadonlyMap<string, PluginModule>,
    refused: readonly Refusal[],
    check: (candidates: readonly PluginModule[]) => Config,
    thrown: unknown,
  ): Plan & { refused: Refusal[] } {
    const older = (module: PluginModule): PluginModule => lastGood.get(module.name) ?? module
    const allOlder = modules.map(older)
    if (allOlder.every((module, index) => module === modules[index])) throw thrown
    try {
      check(allOlder)
    } catch {
      throw thrown
    }
    const blamed = new Map<PluginModule, Refusal>()
    for (const module of modules.filter((candidate) => older(candidate) !== candidate)) {
      try {
        check(modules.map((other) => (other === module ? other : older(other))))
      } catch (error) {
        const problems = problemsOf(error, module.source)
        blamed.set(module, {
          plugin: module.name,
          problems: problems.map((problem) => ({ ...problem, file: this.#show(problem.file) })),
        })
      }
    }
    const left = modules.map((module) => (blamed.has(module) ? older(module) : module))
    return { config: check(left), modules: left, refused: [...refused, ...blamed.values()] }
  }
}

/** What else is wrong with a configuration some of whose plugins are broken; not what only these could know. */
function othersIn(document: ConfigDocument, broken: ReadonlySet<string>, check: () => Config): readonly Problem[] {
  try {
    check()
    return []
  } catch (thrown) {
    // Any of them may have keys of machines.
    const isTheirs = ({ path }: Problem): boolean => broken.size > 0 && path !== undefined && path.startsWith('machines.')
    return problemsOf(thrown, document.file).filter((problem) => !isTheirs(problem))
  }
}
