// @ts-check
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'

/**
 * A file as it was compiled.
 * @typedef {{
 *   hash?: string
 *   stamp?: string
 * }} Input `hash`: SHA-256 of its content; absent when it changed while it was compiled. `stamp`: while it has this size and these
 *   times its content is taken to be the same; absent when it was so new that another write could have left the same.
 */

/** Times of network file systems are this coarse (NFSv2, FAT: 2 s); local ones have 1-10 ms. */
const COARSEST_TIME_MS = 2_000
const LOCAL_TIME_MS = 10

/**
 * As core/files/content-hash.ts, which is not compiled yet.
 * @param {Buffer} bytes
 */
export const contentHash = (bytes) => createHash('sha256').update(bytes).digest('hex')

/**
 * @param {import('node:fs').Stats} stats
 * @param {number} lookedAt milliseconds since the epoch
 */
function stampOf({ size, mtimeMs, ctimeMs }, lookedAt) {
  return lookedAt - Math.max(mtimeMs, ctimeMs) > COARSEST_TIME_MS ? { stamp: `${size} ${mtimeMs} ${ctimeMs}` } : {}
}

/**
 * What is noted of a file that was compiled.
 * @param {string} path
 * @param {string | undefined} hash of what was compiled; where that is not known it is that of the file now
 * @param {number} beganAt when compiling began, milliseconds since the epoch
 * @returns {Input}
 */
export function note(path, hash, beganAt) {
  const lookedAt = Date.now()
  const stats = statSync(path)
  if (hash !== undefined) return { hash, ...stampOf(stats, Math.min(lookedAt, beganAt)) }
  if (Math.max(stats.mtimeMs, stats.ctimeMs) > beganAt - LOCAL_TIME_MS) return {}
  return { hash: contentHash(readFileSync(path)), ...stampOf(stats, lookedAt) }
}

/**
 * Whether all files still have the content that was compiled.
 * @param {string} root their paths are from here
 * @param {Readonly<Record<string, Input>>} inputs a stamp that is out of date is set anew
 * @returns {'no' | 'yes' | 'renewed'}
 */
export function isUnchanged(root, inputs) {
  /** @type {'yes' | 'renewed'} */
  let answer = 'yes'
  for (const [name, input] of Object.entries(inputs)) {
    // Names only; `join` would take as long as all the looks.
    const path = `${root}/${name}`
    const lookedAt = Date.now()
    const stats = statSync(path, { throwIfNoEntry: false })
    if (!stats?.isFile()) return 'no'
    if (input.stamp === `${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`) continue
    if (contentHash(readFileSync(path)) !== input.hash) return 'no'
    Object.assign(input, { stamp: undefined }, stampOf(stats, lookedAt))
    answer = 'renewed'
  }
  return answer
}
