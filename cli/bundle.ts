import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { build, type Plugin, stop } from 'esbuild'
import { ROOT } from '../core/root.ts'
import { CliError } from './errors.ts'

/** What cannot be put into a bundle: native code, and esbuild's own program. */
const EXTERNAL = ['esbuild', 'sqlite3', 'fsevents']

/** CommonJS packages in the bundle ask for `require`. */
const BANNER = `import { createRequire as __createRequire } from 'node:module'
const require = __createRequire(import.meta.url)`

export interface Built {
  readonly bytes: number
  readonly files: number
  /** Plugins that are in it. */
  readonly names: readonly string[]
}

/**
 * Compiles Hestia with its shipped plugins, or those that are named, and all shipped strategies into `out`; `hestia.mjs` there is
 * the command. What else lies in Hestia's folder (pages, templates) is read from there, so `out` keeps its place beside it.
 */
export async function bundle(out: string, plugins: ReadonlySet<string> | undefined): Promise<Built> {
  const found = await shipped(out)
  const wanted = found.filter(({ kind, name }) => kind === 'strategies' || plugins === undefined || plugins.has(name))
  const paths = wanted.map(({ path }) => `  ${JSON.stringify(path)}: async () => (await import('./${path}')).default,`)
  // V8's code cache (Node 22.1 on) makes later starts faster.
  const contents = `#!/usr/bin/env node
import module from 'node:module'
import { provideCompiled } from './core/compiled.ts'
module.enableCompileCache?.()
provideCompiled({
${paths.join('\n')}
})
await import('./cli/main.ts')
`
  const { metafile } = await compile(contents, out)
  await chmod(join(out, 'hestia.mjs'), 0o755)
  const outputs = Object.entries(metafile.outputs).filter(([name]) => name.endsWith('.mjs'))
  const names = wanted.filter(({ kind }) => kind === 'plugins').map(({ name }) => name)
  return { bytes: outputs.reduce((sum, [, { bytes }]) => sum + bytes, 0), files: outputs.length, names }
}

/** One build; esbuild's child process ends with it. */
async function compile(contents: string, out: string) {
  try {
    return await build({
      stdin: { contents, resolveDir: ROOT, sourcefile: 'hestia.ts', loader: 'ts' },
      outdir: out,
      entryNames: 'hestia',
      chunkNames: '[name]-[hash]',
      outExtension: { '.js': '.mjs' },
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node20.19',
      external: EXTERNAL,
      banner: { js: BANNER },
      minifySyntax: true,
      metafile: true,
      tsconfigRaw: {},
      logLevel: 'silent',
      plugins: [inPlace(out)],
    })
  } finally {
    await stop()
  }
}

interface Shipped {
  readonly kind: 'plugins' | 'strategies'
  readonly name: string
  /** From Hestia's folder. */
  readonly path: string
}

/** A file that an earlier build left: the folder may hold what is somebody's own. */
const CHUNK = /-[A-Z0-9]{8}\.mjs$/

/** Everything that is shipped; takes what an earlier build left out of `out`. */
async function shipped(out: string): Promise<Shipped[]> {
  if (!existsSync(join(ROOT, 'core', 'compiled.ts')))
    throw new CliError('Only the sources of Hestia can be built, not a build; run this from where they are.')
  const old = (await readdir(out).catch(() => [])).filter((name) => CHUNK.test(name))
  await Promise.all(old.map((name) => rm(join(out, name))))
  await mkdir(out, { recursive: true })
  const lists = await Promise.all(
    (['plugins', 'strategies'] as const).map(async (kind) => {
      const entries = await readdir(join(ROOT, kind), { withFileTypes: true })
      return entries.flatMap((entry): Shipped[] => {
        const path = entry.isDirectory() ? `${kind}/${entry.name}/index.ts` : `${kind}/${entry.name}`
        const isSource = path.endsWith('.ts') && existsSync(join(ROOT, path))
        return isSource ? [{ kind, name: entry.name.replace(/\.ts$/, ''), path }] : []
      })
    }),
  )
  return lists.flat()
}

/** Lets each source file go on finding what lies beside it: its `import.meta.url` stays the one that it has as a source. */
function inPlace(out: string): Plugin {
  return {
    name: 'in-place',
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        if (path.includes(`${sep}node_modules${sep}`) || !path.startsWith(ROOT)) return undefined
        const text = await readFile(path, 'utf8')
        if (!text.includes('import.meta.url')) return undefined
        const url = `new URL(${JSON.stringify(relative(out, path).split(sep).join('/'))}, import.meta.url).href`
        const contents = text
          .replaceAll(/createRequire\(import\.meta\.url\)\(('[^']+')\)/g, 'require($1)')
          .replaceAll('import.meta.url', url)
        return { contents, loader: 'ts', resolveDir: dirname(path) }
      })
    },
  }
}
