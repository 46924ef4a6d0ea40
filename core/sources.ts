import { readdir } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import * as typebox from '@sinclair/typebox'
import * as typeboxValue from '@sinclair/typebox/value'
import * as fastifyPlugin from 'fastify-plugin'
import { compiledFiles, compiledFrom } from './compiled.ts'
import { pluginName } from './config/index.ts'
import { messageOf } from './errors.ts'
import type { Events } from './events.ts'
import { type CompiledFile, ModuleLoader } from './files/loader.ts'
import * as hestia from './index.ts'
import { PluginModules } from './reload/plugin-modules.ts'
import { ROOT } from './root.ts'
import { Strategies } from './strategies.ts'

/** What user files get when they import these names: the running modules, not copies. */
const SHARED: ReadonlyMap<string, object> = new Map<string, object>([
  ['hestia', hestia],
  ['@sinclair/typebox', typebox],
  ['@sinclair/typebox/value', typeboxValue],
  ['fastify-plugin', fastifyPlugin],
])

/**
 * The files that a gateway is made of, and what loads them: a configuration, the user's `plugins/` and `strategies/` beside it,
 * and those that are shipped. Reads nothing by itself.
 */
export class Sources {
  /** Absolute path of the configuration. */
  readonly file: string
  /** The folder that it lies in. */
  readonly base: string
  readonly loader: ModuleLoader
  readonly modules: PluginModules
  /** Absolute paths of what is compiled in and never read; none when Hestia runs from its sources. */
  readonly #sealed: readonly string[]

  constructor(configFile: string) {
    this.file = resolve(configFile)
    this.base = dirname(this.file)
    const madeOf = compiledFrom()
    const compiled = new Map(
      Object.entries(compiledFiles()).map(([path, load]): [string, CompiledFile] => [
        join(ROOT, path),
        { load, read: madeOf && absolute(madeOf[path] ?? {}) },
      ]),
    )
    this.#sealed = madeOf ? [] : [...compiled.keys()]
    this.loader = new ModuleLoader({ shared: SHARED, root: ROOT, compiled, displayPath: this.show })
    const { loader, base, show } = this
    const plugins = new Map(this.#sealedIn('plugins').map((path) => [pluginName(path), path]))
    this.modules = new PluginModules({ loader, folders: this.folders('plugins'), compiled: plugins, base, root: ROOT, show })
  }

  /** A path as people would type it from where the configuration lies. */
  readonly show = (file: string): string => {
    if (!isAbsolute(file)) return file
    for (const folder of [this.base, ROOT]) if (isBelow(folder, file)) return relative(folder, file)
    return file
  }

  /** Whether a plugin or strategy came with Hestia; what lies beside the configuration is the user's, also in Hestia's own folder. */
  isShipped(file: string): boolean {
    return !['plugins', 'strategies'].some((name) => isBelow(join(this.base, name), file))
  }

  /** The user's folder of that name, then the shipped one, unless what is shipped is compiled in. */
  folders(name: 'plugins' | 'strategies'): string[] {
    return [...new Set([join(this.base, name), ...(this.#sealed.length > 0 ? [] : [join(ROOT, name)])])]
  }

  /** Hashes of the core's files as they were compiled, by absolute path; none where their sources do not matter. */
  core(): ReadonlyMap<string, string> {
    return absolute(compiledFrom()?.['core/main.ts'] ?? {})
  }

  #sealedIn(name: 'plugins' | 'strategies'): string[] {
    return this.#sealed.filter((path) => isBelow(join(ROOT, name), path))
  }

  /** The files of strategies as they exist now, the user's first. */
  readonly strategyFiles = async (): Promise<string[]> => {
    const listed = await Promise.all(this.folders('strategies').map(listScripts))
    return [...new Set([...listed.flat(), ...this.#sealedIn('strategies')])]
  }

  /** A table of strategies over these files, empty as yet. */
  strategies(events: Events): Strategies {
    const { loader, show } = this
    return new Strategies({
      load: (file) => loader.load(file),
      forget: (file) => loader.forget(file),
      events,
      isShipped: (file) => this.isShipped(file),
      show,
    })
  }
}

const absolute = (hashes: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(hashes).map(([file, hash]) => [join(ROOT, file), hash]))

async function listScripts(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new Error(`the folder ${folder} cannot be read: ${messageOf(error)}`, { cause: error })
  })
  return entries
    .filter(({ name }) => /\.(?:ts|js|mjs)$/.test(name) && !name.endsWith('.d.ts') && !name.startsWith('.'))
    .map(({ name }) => join(folder, name))
    .sort()
}

const isBelow = (folder: string, file: string): boolean => !relative(folder, file).startsWith('..')
