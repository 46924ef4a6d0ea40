// @ts-check
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { contentHash } from './inputs.js'

/**
 * A plugin or strategy that comes with Hestia.
 * @typedef {{
 *   readonly kind: 'plugins' | 'strategies'
 *   readonly name: string
 *   readonly path: string
 * }} Shipped `path`: of its file, from Hestia's own folder
 */

/**
 * @typedef {{
 *   readonly metafile: import('esbuild').Metafile
 *   readonly hashes: ReadonlyMap<string, string>
 * }} Compiled `hashes`: of the very bytes of our own sources that were compiled (SHA-256), by their paths from Hestia's own folder
 */

/** What cannot be put into a bundle: native code, and esbuild's own program. */
const NATIVE = ['esbuild', 'sqlite3']

/** CommonJS packages in the bundle ask for `require`. */
const BANNER = `import { createRequire as __createRequire } from 'node:module'
const require = __createRequire(import.meta.url)`

/** The program itself. */
const ENTRY = 'hestia:program'

/** What nearly every gateway loads, in one chunk: each more costs a start most of a millisecond. */
const STANDARD = 'hestia:standard'

/**
 * Whether an input is a file, and not one of these two.
 * @param {string} input as a metafile has it
 */
export const isFile = (input) => !input.startsWith('hestia:')

const OWN = ['core', 'cli', 'plugins', 'schemas', 'strategies']

/**
 * All plugins and strategies that come with Hestia, in the order of their names.
 * @param {string} root
 * @returns {Promise<Shipped[]>}
 */
export async function shipped(root) {
  const kinds = /** @type {const} */ (['plugins', 'strategies'])
  const lists = await Promise.all(
    kinds.map(async (kind) => {
      const entries = await readdir(join(root, kind), { withFileTypes: true })
      return entries.flatMap((entry) => {
        const path = entry.isDirectory() ? `${kind}/${entry.name}/index.ts` : `${kind}/${entry.name}`
        const isSource = path.endsWith('.ts') && existsSync(join(root, path))
        return isSource ? [{ kind, name: entry.name.replace(/\.ts$/, ''), path }] : []
      })
    }),
  )
  return lists.flat().sort((a, b) => (a.path < b.path ? -1 : 1))
}

/**
 * Compiles Hestia with these plugins and strategies into `out`; `hestia.mjs` there is the command. Source maps lie beside the chunks
 * and are not named in them: whoever needs one finds it, and nobody reads it at a start.
 * @param {string} root Hestia's own folder, with its sources
 * @param {string} out
 * @param {readonly Shipped[]} parts
 * @param {'beside' | 'anywhere'} place where `out` lies: beside `node_modules/` and what else Hestia's folder holds, and moves with
 *   it; or anywhere, for this folder alone. What lies beside the sources is read from there.
 * @returns {Promise<Compiled>}
 * @throws {import('esbuild').BuildFailure}
 */
export async function compile(root, out, parts, place) {
  const esbuild = await import('esbuild')
  /** @type {Map<string, string>} */
  const hashes = new Map()
  try {
    const names = await standardPlugins(esbuild, root)
    // The plugin `strategies` loads all strategies.
    const together = new Set(parts.filter(({ kind, name }) => kind === 'strategies' || names.has(name)))
    const { metafile } = await esbuild.build({
      stdin: { contents: entry(parts, together, place), resolveDir: root, sourcefile: ENTRY, loader: 'ts' },
      absWorkingDir: root,
      outdir: out,
      entryNames: 'hestia',
      chunkNames: '[name]-[hash]',
      outExtension: { '.js': '.mjs' },
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node20.19',
      banner: { js: BANNER },
      minifySyntax: true,
      minifyWhitespace: true,
      sourcemap: 'external',
      sourcesContent: false,
      metafile: true,
      tsconfigRaw: {},
      logLevel: 'silent',
      plugins: [standard(root, together), native(root, place), sources(root, out, place, hashes)],
    })
    return { metafile, hashes }
  } finally {
    await esbuild.stop()
  }
}

/**
 * Names of the plugins that are on without being listed; they stand among the sources, which are not compiled yet.
 * @param {typeof import('esbuild')} esbuild
 * @param {string} root
 * @returns {Promise<ReadonlySet<string>>}
 */
async function standardPlugins(esbuild, root) {
  const sourcefile = 'schemas/standard-plugins.ts'
  const { code } = await esbuild.transform(await readFile(join(root, sourcefile), 'utf8'), { loader: 'ts', sourcefile })
  const { STANDARD_PLUGINS } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
  return new Set(STANDARD_PLUGINS)
}

/**
 * @param {readonly Shipped[]} parts
 * @param {ReadonlySet<Shipped>} together
 * @param {'beside' | 'anywhere'} place
 */
function entry(parts, together, place) {
  const loads = parts.map((part) => {
    const [from, name] = together.has(part) ? [STANDARD, part.path] : [`./${part.path}`, 'default']
    return `  ${JSON.stringify(part.path)}: async () => (await import('${from}'))[${JSON.stringify(name)}],`
  })
  const start = `provideCompiled({\n${loads.join('\n')}\n}`
  const head = `import module from 'node:module'
import { provideCompiled } from './core/compiled.ts'
import { provideSourceMaps } from './core/stack-traces.ts'
provideSourceMaps(import.meta.url)
`
  return place === 'anywhere'
    ? `${head}export default async (sources) => {\n${start}, sources)\nawait import('./cli/main.ts')\n}\n`
    : // V8's code cache (Node 22.1 on) makes later starts faster.
      `#!/usr/bin/env node\n${head}module.enableCompileCache?.()\n${start})\nawait import('./cli/main.ts')\n`
}

/**
 * Makes one module of some. It is TypeScript, as that may name what isn't exported: it is undefined then, which who loads it refuses.
 * @param {string} root
 * @param {ReadonlySet<Shipped>} together
 * @returns {import('esbuild').Plugin}
 */
function standard(root, together) {
  const contents = [...together].map(({ path }) => `export { default as ${JSON.stringify(path)} } from './${path}'`).join('\n')
  return {
    name: 'standard',
    setup(build) {
      build.onResolve({ filter: new RegExp(`^${STANDARD}$`) }, () => ({ path: 'standard', namespace: 'hestia' }))
      build.onLoad({ filter: /./, namespace: 'hestia' }, () => ({ contents, loader: 'ts', resolveDir: root }))
    },
  }
}

/**
 * Leaves native packages where they are; from anywhere they are not found by their names.
 * @param {string} root
 * @param {'beside' | 'anywhere'} place
 * @returns {import('esbuild').Plugin}
 */
function native(root, place) {
  return {
    name: 'native',
    setup(build) {
      build.onResolve({ filter: new RegExp(`^(${NATIVE.join('|')})$`) }, async ({ path, kind, pluginData }) => {
        if (pluginData === native) return undefined
        if (place === 'beside') return { path, external: true }
        const found = await build.resolve(path, { kind, resolveDir: root, pluginData: native })
        return found.errors.length > 0 ? found : { path: pathToFileURL(found.path).href, external: true }
      })
    },
  }
}

/**
 * Reads our own sources, and lets each go on finding what lies beside it: its `import.meta.url` stays the one that it has as a source.
 * @param {string} root
 * @param {string} out
 * @param {'beside' | 'anywhere'} place
 * @param {Map<string, string>} hashes
 * @returns {import('esbuild').Plugin}
 */
function sources(root, out, place, hashes) {
  /** @param {string} path */
  const url = (path) =>
    place === 'anywhere'
      ? JSON.stringify(pathToFileURL(path).href)
      : `new URL(${JSON.stringify(relative(out, path).split(sep).join('/'))}, import.meta.url).href`
  const folders = OWN.map((name) => (join(root, name) + sep).replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`))
  return {
    name: 'sources',
    setup(build) {
      build.onLoad({ filter: new RegExp(`^(${folders.join('|')}).*\\.ts$`) }, async ({ path }) => {
        const bytes = await readFile(path)
        hashes.set(relative(root, path).split(sep).join('/'), contentHash(bytes))
        const contents = bytes
          .toString('utf8')
          .replaceAll(/createRequire\(import\.meta\.url\)\(('[^']+')\)/g, 'require($1)')
          .replaceAll('import.meta.url', url(path))
        return { contents, loader: 'ts', resolveDir: dirname(path) }
      })
    },
  }
}
