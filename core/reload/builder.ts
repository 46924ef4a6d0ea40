import type { Logger } from 'pino'
import type { Config } from '../config/index.ts'
import { messageOf } from '../errors.ts'
import type { Surface } from '../hestia.ts'
import type { Pool } from '../pool.ts'
import { type Problem, ProblemError } from '../problem.ts'
import { withSources } from '../stack-traces.ts'
import { BuildError, Generation } from './generation.ts'
import type { Plan, Refusal } from './planner.ts'
import type { PluginModule } from './plugin-modules.ts'

/**
 * Turns a plan into a generation. All that can fail after planning happens here, before anything is changed. A plugin whose new
 * version is broken is used in its last good version and blocks nobody.
 */
export class Builder {
  readonly #file: string
  readonly #surface: Surface
  readonly #pool: Pool
  readonly #log: (config: Config) => Logger
  readonly #show: (file: string) => string

  constructor(options: {
    /** Absolute path of the configuration. */
    file: string
    surface: Surface
    pool: Pool
    /** The logger, which the first configuration shapes. */
    log: (config: Config) => Logger
    show: (file: string) => string
  }) {
    this.#file = options.file
    this.#surface = options.surface
    this.#pool = options.pool
    this.#log = options.log
    this.#show = options.show
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
    for (const [, file, line, column] of withSources(error.stack ?? '').matchAll(
      /\(?(?:file:\/\/)?(\/[^\s:()]+):(\d+):(\d+)\)?/g,
    )) {
      if (files.includes(file!)) return { file: file!, at: { line: Number(line), column: Number(column) } }
    }
    error = error.cause
  }
  return undefined
}
