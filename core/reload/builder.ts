import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { type Config, enabledPlugins, parseConfig, pluginName, resolveConfig } from '../config/index.ts'
import { messageOf } from '../errors.ts'
import type { Surface } from '../hestia.ts'
import type { Pool } from '../pool.ts'
import { type Problem, ProblemError } from '../problem.ts'
import type { Strategy } from '../strategy.ts'
import { BuildError, Generation } from './generation.ts'
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

/**
 * Turns the files as they are now into a generation. Everything that can fail happens here, before anything is changed. A plugin
 * whose new version is broken is used in its last good version and blocks nobody; a broken configuration is refused whole.
 */
export class Builder {
  readonly #file: string
  readonly #env: Readonly<Record<string, string | undefined>>
  readonly #modules: PluginModules
  readonly #surface: Surface
  readonly #pool: Pool
  readonly #log: (config: Config) => Logger
  readonly #show: (file: string) => string

  constructor(options: {
    /** Absolute path of the configuration. */
    file: string
    env: Readonly<Record<string, string | undefined>>
    modules: PluginModules
    surface: Surface
    pool: Pool
    /** The logger, which the first configuration shapes. */
    log: (config: Config) => Logger
    show: (file: string) => string
  }) {
    this.#file = options.file
    this.#env = options.env
    this.#modules = options.modules
    this.#surface = options.surface
    this.#pool = options.pool
    this.#log = options.log
    this.#show = options.show
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
          const found = thrown instanceof ProblemError ? thrown.problems : [{ file: listed, message: messageOf(thrown) }]
          if (good) refused.push({ plugin: name, problems: found })
          else problems.push(...found)
          return good
        }
      }),
    )
    const present = loaded.filter((module) => module !== undefined)
    const modules = orderPlugins(present, (problem) => problems.push(problem))
    if (problems.length > 0) throw new ProblemError(problems)
    const check = (candidates: readonly PluginModule[]): Config => {
      const plugins = candidates.map(({ definition }) => definition)
      return resolveConfig(document, { plugins, available: [...available.keys()], strategies })
    }
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
        const problems = error instanceof ProblemError ? error.problems : [{ file: module.source, message: messageOf(error) }]
        blamed.set(module, {
          plugin: module.name,
          problems: problems.map((problem) => ({ ...problem, file: this.#show(problem.file) })),
        })
      }
    }
    const left = modules.map((module) => (blamed.has(module) ? older(module) : module))
    return { config: check(left), modules: left, refused: [...refused, ...blamed.values()] }
  }

  /**
   * Sets a plan up. When a plugin's new version fails in that, the build is tried again with its last good one.
   * @throws {ProblemError} when that is no way out.
   */
  async build(
    number: number,
    plan: Plan,
    lastGood: ReadonlyMap<string, PluginModule>,
  ): Promise<{ generation: Generation; refused: Refusal[] }> {
    const refused: Refusal[] = []
    let { modules } = plan
    for (;;) {
      try {
        const parts = {
          number,
          config: plan.config,
          modules,
          surface: this.#surface,
          pool: this.#pool,
          log: this.#log(plan.config),
        }
        return { generation: await Generation.build(parts), refused }
      } catch (thrown) {
        const { phase, plugin } = thrown instanceof BuildError ? thrown : { phase: 'ready', plugin: undefined }
        const culprits = modules.filter(({ name }) => (plugin ?? name) === name && isNew(lastGood, modules, name))
        const problem = this.#blame(phase, plugin, culprits, thrown)
        if (culprits.length === 0) throw new ProblemError([problem], thrown)
        for (const { name } of culprits) refused.push({ plugin: name, problems: [problem] })
        modules = modules.map((module) => (culprits.includes(module) ? lastGood.get(module.name)! : module))
      }
    }
  }

  #blame(phase: string, plugin: string | undefined, culprits: readonly PluginModule[], thrown: unknown): Problem {
    const file = culprits[0]?.source ?? plugin ?? this.#show(this.#file)
    const place = positionIn(thrown, culprits.length > 0 ? culprits.flatMap(({ inputs }) => inputs) : [])
    const what = plugin === undefined ? phase : `set-up of plugin ${plugin}`
    return { file: place ? this.#show(place.file) : file, ...place?.at, message: `${what} failed: ${messageOf(thrown)}` }
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
}

/** Whether a plugin has another, older version that worked. */
function isNew(lastGood: ReadonlyMap<string, PluginModule>, modules: readonly PluginModule[], name: string): boolean {
  const good = lastGood.get(name)
  return good !== undefined && !modules.includes(good)
}

/** The first place of a stack that lies in one of the files. */
function positionIn(
  thrown: unknown,
  files: readonly string[],
): { file: string; at: { line: number; column: number } } | undefined {
  let error = thrown
  while (error instanceof Error) {
    for (const [, file, line, column] of (error.stack ?? '').matchAll(/\(?(?:file:\/\/)?(\/[^\s:()]+):(\d+):(\d+)\)?/g)) {
      if (files.includes(file!)) return { file: file!, at: { line: Number(line), column: Number(column) } }
    }
    error = error.cause
  }
  return undefined
}
