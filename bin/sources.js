// @ts-check
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheOf, ifWritable, keep, newFolder, read, save, tidy } from './cache.js'
import { shipped } from './compile.js'
import { isUnchanged } from './inputs.js'
import { make } from './make.js'

const PROGRAM = 'hestia.mjs'

/** @typedef {import('./compile.js').Shipped} Shipped */
/** @typedef {import('./cache.js').Manifest} Manifest */

/**
 * Hestia's sources, compiled: as they were before if nothing has changed since, else anew. They are kept in the cache of the
 * `node_modules` that Hestia uses; where that cannot be written, in a folder for this process alone.
 * @param {string} root Hestia's own folder
 * @returns {Promise<{ folder: string, program: string, madeOf: import('./cache.js').MadeOf }>} `program`: the file in `folder`
 * @throws {import('esbuild').BuildFailure} when a source cannot be compiled
 */
export async function compiledSources(root) {
  const cache = cacheOf(root)
  const parts = await shipped(root)
  const { manifest, folder } = current(root, cache, parts) ?? (await makeIn(root, cache, parts)) ?? (await makeApart(root, parts))
  return { folder, program: join(folder, PROGRAM), madeOf: manifest.madeOf }
}

/**
 * What is in the cache, if it was made in this folder of all that is there now.
 * @param {string} root
 * @param {string} cache
 * @param {readonly Shipped[]} parts
 */
function current(root, cache, parts) {
  const manifest = read(cache)
  if (manifest?.root !== root || manifest.shipped.join() !== parts.map(({ path }) => path).join()) return undefined
  const folder = join(cache, manifest.folder)
  if (!existsSync(join(folder, PROGRAM))) return undefined
  const state = isUnchanged(root, manifest.inputs)
  if (state === 'no') return undefined
  if (state === 'renewed') ifWritable(() => save(cache, manifest))
  keep(folder)
  return { manifest, folder }
}

/**
 * Makes it in the cache, unless that cannot be written. Others who do so at the same time have a folder of their own.
 * @param {string} root
 * @param {string} cache
 * @param {readonly Shipped[]} parts
 */
async function makeIn(root, cache, parts) {
  const folder = ifWritable(() => newFolder(cache))
  if (folder === undefined) return undefined
  try {
    const manifest = await make(root, folder, parts)
    // Who runs what was made before may not be permitted to say so.
    const before = read(cache)?.folder
    save(cache, manifest)
    tidy(cache, [manifest.folder, before])
    keep(folder)
    return { manifest, folder }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/**
 * Makes it where only this user can read it, until this process ends.
 * @param {string} root
 * @param {readonly Shipped[]} parts
 */
async function makeApart(root, parts) {
  const folder = mkdtempSync(join(tmpdir(), 'hestia-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return { manifest: await make(root, folder, parts), folder }
}
