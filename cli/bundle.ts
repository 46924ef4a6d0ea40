import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { compile, shipped } from '../bin/compile.js'
import { ROOT } from '../core/root.ts'
import { CliError } from './errors.ts'

export interface Built {
  readonly bytes: number
  readonly files: number
  /** Plugins that are in it. */
  readonly names: readonly string[]
}

/** A file that an earlier build left: the folder may hold what is somebody's own. */
const CHUNK = /-[A-Z0-9]{8}\.mjs(?:\.map)?$/

/**
 * Compiles Hestia with its shipped plugins, or those that are named, and all shipped strategies into `out`; `hestia.mjs` there is
 * the command. What else lies in Hestia's folder (pages, templates) is read from there, so `out` keeps its place beside it.
 */
export async function bundle(out: string, plugins: ReadonlySet<string> | undefined): Promise<Built> {
  if (!existsSync(join(ROOT, 'core', 'compiled.ts')))
    throw new CliError('Only the sources of Hestia can be built, not a build; run this from where they are.')
  const old = (await readdir(out).catch(() => [])).filter((name) => CHUNK.test(name))
  await Promise.all(old.map((name) => rm(join(out, name))))
  await mkdir(out, { recursive: true })
  const wanted = (await shipped(ROOT)).filter(({ kind, name }) => kind === 'strategies' || !plugins || plugins.has(name))
  const { metafile } = await compile(ROOT, out, wanted, 'beside')
  await chmod(join(out, 'hestia.mjs'), 0o755)
  const outputs = Object.entries(metafile.outputs).filter(([name]) => name.endsWith('.mjs'))
  const names = wanted.filter(({ kind }) => kind === 'plugins').map(({ name }) => name)
  return { bytes: outputs.reduce((sum, [, { bytes }]) => sum + bytes, 0), files: outputs.length, names }
}
