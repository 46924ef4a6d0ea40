import { readFileSync } from 'node:fs'
import { dirname, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as esbuild from 'esbuild'
import type { Problem } from '../problem.ts'
import { contentHash } from './content-hash.ts'
import { EXTERNAL, externalSource, IMPORT_META, type ImportContext, resolveImports } from './imports.ts'

/** One build of a user file with everything it imports by relative path. */
export interface Bundle {
  /** CommonJS with an inline source map; absent when there are problems. */
  readonly code?: string
  readonly problems: readonly Problem[]
  /** Content hashes of the very bytes that were built, by absolute path; undefined: imported, but not there. */
  readonly read: ReadonlyMap<string, string | undefined>
  /** Namespaces of what was not bundled. */
  readonly externals: ReadonlyMap<string, object>
}

const LOADERS: Record<string, esbuild.Loader> = {
  '.ts': 'ts',
  '.mts': 'ts',
  '.cts': 'ts',
  '.tsx': 'tsx',
  '.js': 'js',
  '.mjs': 'js',
  '.cjs': 'js',
  '.jsx': 'jsx',
  '.json': 'json',
}
/**
 * esbuild's child holds up to 40 MB; after this long without a build it is ended, and costs 11 ms at the next one. Who edits a
 * file saves it more seldom than that, whatever one would keep it for.
 */
const IDLE_MS = 1000

/** Characters of a line that a problem quotes. */
const MAX_EXCERPT = 300

/** Loaded when somebody builds: most starts do without. */
let loaded: Promise<typeof esbuild> | undefined
let builds = 0
let idle: NodeJS.Timeout | undefined

/** Bundles `file`; what is wrong with the files is in the answer, never thrown. */
export async function bundle(file: string, shared: ReadonlyMap<string, object>, root: string): Promise<Bundle> {
  const read = new Map<string, string | undefined>()
  const context: ImportContext = { shared, root, externals: new Map(), missing: new Set() }
  try {
    const options = {
      ...settings(file),
      plugins: [{ name: 'hestia', setup: (build: esbuild.PluginBuild) => hook(build, context, read) }],
    }
    const result = await withEsbuild(({ build }) => build(options))
    return { code: result.outputFiles[0]!.text, problems: [], read, externals: context.externals }
  } catch (error) {
    if (!isFailure(error)) throw error
    for (const path of context.missing) read.set(path, undefined)
    return { problems: error.errors.map((message) => toProblem(file, message)), read, externals: context.externals }
  }
}

/** Uses esbuild. All share one child process of it, which nobody else may stop: it ends by itself when it was idle for a while. */
export async function withEsbuild<T>(use: (api: typeof esbuild) => Promise<T>): Promise<T> {
  builds++
  clearTimeout(idle)
  try {
    loaded ??= import('esbuild')
    return await use(await loaded)
  } finally {
    if (--builds === 0) idle = setTimeout(() => void endEsbuild(), IDLE_MS).unref()
  }
}

/** Ends esbuild's child process, unless somebody is building. */
export async function stopBundling(): Promise<void> {
  if (builds > 0) return
  clearTimeout(idle)
  await endEsbuild()
}

const endEsbuild = async (): Promise<void> => (await loaded)?.stop()

function settings(file: string) {
  return {
    entryPoints: [file],
    absWorkingDir: dirname(file),
    outfile: `${file}.cjs`, // never written; sources in the map are relative to it
    write: false,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20.19',
    conditions: [], // Node's own, without the `module` of bundlers
    preserveSymlinks: true, // names stay those that are watched
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'silent',
    charset: 'utf8',
    tsconfigRaw: {}, // as in Node, no tsconfig.json above the file has a say
    define: { 'import.meta': '__hestia_meta' },
  } as const satisfies esbuild.BuildOptions
}

function hook(build: esbuild.PluginBuild, context: ImportContext, read: Map<string, string | undefined>): void {
  resolveImports(build, context)
  build.onLoad({ filter: /.*/, namespace: EXTERNAL }, ({ path }) => ({
    contents: externalSource(path, context.externals.get(path)!),
  }))
  build.onLoad({ filter: /.*/, namespace: IMPORT_META }, ({ path }) => ({
    contents: `export default ${JSON.stringify({ url: pathToFileURL(path).href, dirname: dirname(path), filename: path })}`,
  }))
  build.onLoad({ filter: /.*/ }, ({ path }) => {
    const loader = LOADERS[extname(path)]
    if (!loader) return { errors: [{ text: `only ${Object.keys(LOADERS).join(' ')} files can be imported` }] }
    read.set(path, undefined)
    const bytes = readSource(path)
    if (bytes instanceof Error) return { errors: [{ text: `could not be read: ${bytes.message}` }] }
    read.set(path, contentHash(bytes))
    const text = bytes.toString('utf8')
    // At the end, so that no line moves; imports are evaluated first wherever they stand.
    const meta = text.includes('import.meta') && loader !== 'json' ? `\nimport __hestia_meta from '${IMPORT_META}'` : ''
    return { contents: text + meta, loader }
  })
}

/** Source is small and local, as for `require`: read in this tick, since each turn of a busy loop would delay the reload. */
export function readSource(path: string): Buffer | Error {
  try {
    return readFileSync(path)
  } catch (error) {
    return error as Error
  }
}

function isFailure(error: unknown): error is esbuild.BuildFailure {
  return error instanceof Error && Array.isArray((error as Partial<esbuild.BuildFailure>).errors)
}

function toProblem(file: string, { text, location }: esbuild.Message): Problem {
  const message = text.startsWith('Top-level await')
    ? 'top-level await is not possible in a file that is loaded live: await inside a function (a plugin: in setup)'
    : text
  if (!location) return { file, message }
  const { lineText, line, column } = location
  return {
    file: resolve(dirname(file), location.file),
    line,
    column: Buffer.from(lineText).subarray(0, column).toString().length + 1, // esbuild counts bytes
    message,
    excerpt: lineText.slice(0, MAX_EXCERPT),
  }
}
