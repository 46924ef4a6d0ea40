// @ts-check
import { randomUUID } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/**
 * Content hashes of the files that a shipped plugin, a strategy or the core (`core/main.ts`) consists of: by the path of its entry, by
 * their paths, all from Hestia's own folder.
 * @typedef {Readonly<Record<string, Readonly<Record<string, string>>>>} MadeOf
 */

/**
 * What is remembered of the newest compilation.
 * @typedef {{
 *   root: string
 *   folder: string
 *   shipped: string[]
 *   inputs: Record<string, import('./inputs.js').Input>
 *   madeOf: MadeOf
 * }} Manifest `folder`: its name in the cache
 */

export const MANIFEST = 'manifest.json'
/** Of the manifest's shape: one of another is none. */
const VERSION = 1
const PREFIX = 'program-'

/** Whoever runs a program says so this often, as it reads some chunks late ... */
const TOUCH_MS = 10 * 60_000
/** ... and one of which nobody has said it for so long is removed. */
const UNUSED_MS = 60 * 60_000

/**
 * Below the `node_modules` that Hestia lies in, or else its own.
 * @param {string} root
 */
export function cacheOf(root) {
  const above = dirname(root)
  return join(basename(above) === 'node_modules' ? above : join(root, 'node_modules'), '.cache', 'hestia')
}

/**
 * What was made last; nothing if it cannot be read.
 * @param {string} cache
 * @returns {Manifest | undefined}
 */
export function read(cache) {
  try {
    const { version, ...manifest } = JSON.parse(readFileSync(join(cache, MANIFEST), 'utf8'))
    return version === VERSION ? manifest : undefined
  } catch {
    return undefined
  }
}

/**
 * What cannot be written is done without.
 * @template T
 * @param {() => T} write
 * @returns {T | undefined}
 */
export function ifWritable(write) {
  try {
    return write()
  } catch {
    return undefined
  }
}

/**
 * A folder for what is made now, which nobody else uses.
 * @param {string} cache
 */
export function newFolder(cache) {
  mkdirSync(cache, { recursive: true })
  return mkdtempSync(join(cache, PREFIX))
}

/**
 * In one step, so that others read the old one or the new one.
 * @param {string} cache
 * @param {Manifest} manifest
 */
export function save(cache, manifest) {
  const file = join(cache, `${randomUUID()}.json`)
  writeFileSync(file, JSON.stringify({ version: VERSION, ...manifest }))
  renameSync(file, join(cache, MANIFEST))
}

/**
 * Removes what nobody has used for a while.
 * @param {string} cache
 * @param {readonly (string | undefined)[]} kept names of what is not to be removed
 */
export function tidy(cache, kept) {
  for (const name of readdirSync(cache)) {
    if (kept.includes(name) || name === MANIFEST) continue
    const path = join(cache, name)
    ifWritable(() => {
      if (Date.now() - statSync(path).mtimeMs > UNUSED_MS) rmSync(path, { recursive: true })
    })
  }
}

/**
 * Nobody removes it as long as this process runs.
 * @param {string} folder
 */
export function keep(folder) {
  const touch = () => ifWritable(() => utimesSync(folder, new Date(), new Date()))
  touch()
  setInterval(touch, TOUCH_MS).unref()
}
