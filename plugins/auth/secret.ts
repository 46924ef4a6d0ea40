import { hash, randomBytes } from 'node:crypto'

/** What every key that the API makes begins with, so that scanners for leaked secrets, and people, know one when they see it. */
export const KEY_PREFIX = 'hst_'
const SESSION_PREFIX = 'hss_'

export interface Secret {
  /** The public part: in lists, logs, and to revoke it by. */
  readonly id: string
  /** The whole; told once. */
  readonly token: string
  readonly digest: Buffer
}

/**
 * The SHA-256 of a key, as it is stored. Fast is right here: keys have 256 random bits, and no dictionary has
 * those, so there is nothing that a slow hash could make expensive; but this one is computed with every request.
 */
export const digestOf = (token: string): Buffer => hash('sha256', token, 'buffer')

/** A new key: `hst_<id>_<secret>`. */
export const makeKey = (): Secret => make(KEY_PREFIX)

/** What a browser holds in its cookie once somebody has logged in. */
export const makeSession = (): Secret => make(SESSION_PREFIX)

export const isSession = (id: string): boolean => id.startsWith(SESSION_PREFIX)

const ID_BYTES = 6
const ID_LENGTH = KEY_PREFIX.length + 2 * ID_BYTES

/** The public part of a key or session; of what is neither, anything. */
export const idOf = (token: string): string => token.slice(0, ID_LENGTH)

function make(prefix: string): Secret {
  const id = prefix + randomBytes(ID_BYTES).toString('hex')
  const token = `${id}_${randomBytes(32).toString('base64url')}`
  return { id, token, digest: digestOf(token) }
}
