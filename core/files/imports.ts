import { realpathSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { isAbsolute, join, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { OnResolveArgs, OnResolveResult, PluginBuild } from 'esbuild'

/** Namespace of imports that are not bundled: they are answered with a module that runs already. */
export const EXTERNAL = 'hestia-external'
/** Specifier of the module that stands for a source file's own `import.meta`. */
export const IMPORT_META = 'hestia:import-meta'
/** Marks our own questions to esbuild's resolver, so that they are not answered by ourselves. */
const ASKED = Symbol('asked')

/** What importing means for a user file; one per build. */
export interface ImportContext {
  readonly shared: ReadonlyMap<string, object>
  /** Hestia's own folder: its `core/` is closed, its `node_modules/` is the second place to look for packages. */
  readonly root: string
  /** Filled in: namespaces of everything external that was imported. */
  readonly externals: Map<string, object>
  /** Filled in: absolute paths of relative imports that lead nowhere yet. */
  readonly missing: Set<string>
}

const isLocal = (path: string) => /^\.{1,2}(\/|$)/.test(path) || path.startsWith('#') || isAbsolute(path)
const refuse = (text: string): OnResolveResult => ({ errors: [{ text }] })

/**
 * Decides what every import of a user file means: relative files are bundled, except those of Hestia's core; ids in
 * `shared` are the running modules; everything else is imported by Node itself, once per process. Static imports are
 * resolved under the conditions of `import`, wherever the importing file lies.
 */
export function resolveImports(build: PluginBuild, context: ImportContext): void {
  const { shared, root, externals, missing } = context
  const core = realpath(join(root, 'core')) + sep
  const own = realpath(root) + sep
  /** Hestia may lie in somebody's `node_modules` itself, and is not a package for its own plugins. */
  const inNodeModules = (path: string) => {
    const real = realpath(path)
    return (real.startsWith(own) ? real.slice(own.length - 1) : path).includes(`${sep}node_modules${sep}`)
  }

  const ask = async ({ path, kind, importer, resolveDir, with: attributes }: OnResolveArgs, from = resolveDir) => {
    const answer = await build.resolve(path, { kind, importer, resolveDir: from, with: attributes, pluginData: ASKED })
    return answer.errors.length === 0 && answer.path !== '' ? answer.path : undefined
  }

  const local = async (args: OnResolveArgs): Promise<OnResolveResult | undefined> => {
    const path = await ask(args)
    if (path === undefined) {
      missing.add(resolve(args.resolveDir, args.path))
      return args.kind === 'dynamic-import' || args.kind === 'require-call'
        ? undefined // esbuild lets these pass inside try/catch
        : refuse(`could not resolve "${args.path}": no such file`)
    }
    if (realpath(path).startsWith(core)) return refuse(`"${args.path}" is inside Hestia's core: import from 'hestia' instead`)
    return inNodeModules(path) ? external(args, path) : { path }
  }

  const packaged = async (args: OnResolveArgs): Promise<OnResolveResult | undefined> => {
    if (shared.has(args.path) && args.kind !== 'require-call') return running(args.path, shared.get(args.path)!)
    if (shared.has(args.path) || isBuiltin(args.path)) return external(args, args.path)
    const path = (await ask(args)) ?? (await ask(args, root))
    if (path !== undefined) return external(args, path)
    return args.kind === 'dynamic-import' || args.kind === 'require-call'
      ? undefined
      : refuse(`could not resolve "${args.path}": install the package beside the file, or check the spelling`)
  }

  const external = async (args: OnResolveArgs, path: string): Promise<OnResolveResult> => {
    const file = isAbsolute(path) ? realpath(path) : path
    if (args.kind === 'require-call') return { path: file, external: true }
    const url = isAbsolute(file) ? pathToFileURL(file).href : file
    if (args.kind === 'dynamic-import') return { path: url, external: true }
    try {
      return running(url, (await import(url)) as object)
    } catch (error) {
      return refuse(`could not load "${args.path}": ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  const running = (id: string, namespace: object): OnResolveResult => {
    externals.set(id, namespace)
    return { path: id, namespace: EXTERNAL }
  }

  build.onResolve({ filter: /.*/ }, (args) => {
    if (args.pluginData === ASKED) return undefined
    if (args.kind === 'entry-point') return { path: args.path }
    if (args.path === IMPORT_META) return { path: args.importer, namespace: IMPORT_META }
    return isLocal(args.path) ? local(args) : packaged(args)
  })
}

/**
 * Source text of a module that exports what `namespace` exports, read when the bundle is evaluated. The names being
 * known, a misspelt import is an error at its line, and names that are not used cost nothing.
 */
export function externalSource(id: string, namespace: object): string {
  const names = Object.keys(namespace).filter((name) => /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name))
  const read = (name: string) => `/* @__PURE__ */ __hestia_external(${JSON.stringify(id)}, "${name}")`
  const lines = names.map((name, index) => `const v${index} = ${read(name)}\nexport { v${index} as ${name} }`)
  return lines.join('\n') || 'export {}'
}

function realpath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
