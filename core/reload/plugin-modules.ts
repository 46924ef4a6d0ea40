import { type Dirent, existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { isAbsolute, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FastifyPluginAsync } from 'fastify'
import { pluginName } from '../config/index.ts'
import { messageOf } from '../errors.ts'
import type { ModuleLoader } from '../files/loader.ts'
import { type PluginDefinition, readPlugin } from '../plugin.ts'
import { ProblemError } from '../problem.ts'

/** A plugin as it was loaded; the same object as long as nothing it is made of changes. */
export interface PluginModule {
  readonly name: string
  /** File, or name of the npm package. */
  readonly source: string
  /** Files it is made of; none for packages, which are not watched. */
  readonly inputs: readonly string[]
  readonly definition: PluginDefinition
  readonly plugin: FastifyPluginAsync
  /** Milliseconds since the epoch. */
  readonly loadedAt: number
}

/** Finds and loads plugins by the names the configuration uses: files of the user, files that are shipped, packages of npm. */
export class PluginModules {
  readonly #loader: ModuleLoader
  readonly #folders: readonly string[]
  readonly #compiled: ReadonlyMap<string, string>
  readonly #base: string
  readonly #root: string
  readonly #show: (file: string) => string
  readonly #loaded = new Map<string, { readonly exported: unknown; readonly module: PluginModule }>()

  /** `folders` in order of precedence, before what is `compiled` in (files by name); `base` is where the configuration lies, `root` where Hestia lies. */
  constructor(options: {
    loader: ModuleLoader
    folders: readonly string[]
    compiled: ReadonlyMap<string, string>
    base: string
    root: string
    show: (file: string) => string
  }) {
    this.#loader = options.loader
    this.#folders = options.folders
    this.#compiled = options.compiled
    this.#base = options.base
    this.#root = options.root
    this.#show = options.show
  }

  /** All plugins that lie in the folders, by name, with their files; the first folder that has a name wins. */
  async available(): Promise<ReadonlyMap<string, string>> {
    const lists = await Promise.all(this.#folders.map(pluginFiles))
    return new Map([...this.#compiled, ...lists.toReversed().flat()])
  }

  /**
   * The plugin that `plugins` lists under a name, a path or a package; the very same object if nothing changed since the last
   * call, undefined if there is none.
   * @throws {ProblemError} when it is broken.
   */
  async load(listed: string, available: ReadonlyMap<string, string>): Promise<PluginModule | undefined> {
    const name = pluginName(listed)
    const file = name === listed ? available.get(name) : resolve(this.#base, listed)
    const loaded = file ? await this.#loadFile(file, name !== listed) : await this.#loadPackage(listed)
    if (!loaded) return undefined
    const { exported, inputs, source } = loaded
    const before = this.#loaded.get(name)
    if (before && before.exported === exported && before.module.source === source) return before.module
    try {
      const module: PluginModule = { name, source, inputs, loadedAt: Date.now(), ...readPlugin(name, exported) }
      if (module.definition.name !== name && file) {
        throw new Error(`the plugin calls itself "${module.definition.name}"; its name must be that of its file, "${name}"`)
      }
      this.#loaded.set(name, { exported, module })
      return module
    } catch (thrown) {
      throw new ProblemError([{ file: source, message: messageOf(thrown) }], thrown)
    }
  }

  /** A file that is not there, and is `listed` by its path, is none; the loader has noted where it would be. */
  async #loadFile(file: string, listed: boolean) {
    try {
      return { ...(await this.#loader.load(file)), source: this.#show(file) }
    } catch (thrown) {
      if (listed && !existsSync(file)) return undefined
      throw thrown
    }
  }

  async #loadPackage(name: string) {
    for (const from of [this.#base, this.#root]) {
      let path: string
      try {
        path = createRequire(join(from, 'package.json')).resolve(name)
      } catch {
        continue
      }
      // A module of Node itself is no plugin, though it may have the name of one.
      if (!isAbsolute(path)) continue
      const namespace = (await import(pathToFileURL(path).href)) as { default?: unknown }
      return { exported: namespace.default ?? namespace, inputs: [], source: name }
    }
    return undefined
  }
}

/** `<name>.ts` and `<name>/index.ts` of a folder, in alphabetical order. */
async function pluginFiles(folder: string): Promise<[name: string, file: string][]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const find = async (entry: Dirent): Promise<[string, string][]> => {
    const match = /^(\w[\w-]*)\.(?:ts|js|mjs)$/.exec(entry.name)
    if (match && !entry.isDirectory()) return [[match[1]!, join(folder, entry.name)]]
    if (!entry.isDirectory() && !entry.isSymbolicLink()) return []
    const inside: readonly string[] = await readdir(join(folder, entry.name)).catch(() => [])
    const index = ['index.ts', 'index.js', 'index.mjs'].find((name) => inside.includes(name))
    return index ? [[entry.name, join(folder, entry.name, index)]] : []
  }
  const found = await Promise.all(entries.map(find))
  return found.flat().toSorted(([a], [b]) => (a < b ? -1 : 1))
}
