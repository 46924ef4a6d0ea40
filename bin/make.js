// @ts-check
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative, sep } from 'node:path'
import { compile, isFile } from './compile.js'
import { note } from './inputs.js'

/** @typedef {import('./compile.js').Shipped} Shipped */
/** @typedef {import('./cache.js').Manifest} Manifest */

/**
 * Compiles all sources into a folder.
 * @param {string} root Hestia's own folder
 * @param {string} folder
 * @param {readonly Shipped[]} parts
 * @returns {Promise<Manifest>}
 * @throws {import('esbuild').BuildFailure}
 */
export async function make(root, folder, parts) {
  const beganAt = Date.now()
  const { compiled, broken } = await compileMost(root, folder, parts)
  const { metafile, hashes } = compiled
  // What is compiled how is part of the result, and by what.
  const makers = ['package.json', ...readdirSync(join(root, 'bin')).map((name) => `bin/${name}`), esbuildOf(root)]
  /** @type {Manifest['inputs']} */
  const inputs = {}
  for (const path of new Set([...Object.keys(metafile.inputs), ...broken, ...makers])) {
    if (isFile(path)) inputs[path] = note(join(root, path), hashes.get(path), beganAt)
  }
  /** @type {Record<string, Record<string, string>>} */
  const madeOf = {}
  for (const entry of ['core/main.ts', ...parts.map(({ path }) => path)]) {
    if (metafile.inputs[entry]) madeOf[entry] = closureOf(entry, metafile, hashes)
  }
  return { root, folder: basename(folder), shipped: parts.map(({ path }) => path), inputs, madeOf }
}

/**
 * A plugin or strategy that is broken is left out: when it is loaded live, it is told what is wrong with it, and who does not use it
 * does not care.
 * @param {string} root
 * @param {string} folder
 * @param {readonly Shipped[]} parts
 * @returns {Promise<{ compiled: import('./compile.js').Compiled, broken: string[] }>} `broken`: files with errors
 */
async function compileMost(root, folder, parts) {
  try {
    return { compiled: await compile(root, folder, parts, 'anywhere'), broken: [] }
  } catch (error) {
    const { errors = [] } = /** @type {Partial<import('esbuild').BuildFailure>} */ (error)
    const broken = [...new Set(errors.map(({ location }) => location?.file ?? ''))]
    /** @param {string} file @param {string} path */
    const isOf = (file, path) => file === path || (path.endsWith('/index.ts') && file.startsWith(`${dirname(path)}/`))
    const whole = parts.filter(({ path }) => !broken.some((file) => isOf(file, path)))
    if (broken.length === 0 || !broken.every((file) => parts.some(({ path }) => isOf(file, path)))) throw error
    return { compiled: await compile(root, folder, whole, 'anywhere'), broken }
  }
}

/**
 * The file that tells the version of esbuild, from Hestia's own folder.
 * @param {string} root
 */
function esbuildOf(root) {
  const path = createRequire(join(root, 'package.json')).resolve('esbuild/package.json')
  return relative(root, path).split(sep).join('/')
}

/**
 * A file and what it imports by relative paths.
 * @param {string} entry
 * @param {import('esbuild').Metafile} metafile
 * @param {ReadonlyMap<string, string>} hashes
 */
function closureOf(entry, { inputs }, hashes) {
  /** @type {Record<string, string>} */
  const closure = {}
  /** @param {string} path */
  const visit = (path) => {
    if (closure[path] !== undefined) return
    closure[path] = hashes.get(path) ?? ''
    for (const { path: next, original = '' } of inputs[path]?.imports ?? []) if (original.startsWith('.')) visit(next)
  }
  visit(entry)
  return closure
}
