import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

interface Parameters {
  readonly ln: number
  readonly r: number
  readonly p: number
}

/** 32 MiB and about a quarter of a second: OWASP's Password Storage Cheat Sheet, scrypt. */
const DEFAULTS: Parameters = { ln: 15, r: 8, p: 3 }
const SALT_BYTES = 16
const HASH_BYTES = 32
/** A hash that asks for more memory is refused, in bytes. */
const MAX_MEMORY = 256 * 1024 * 1024

interface Parsed extends Parameters {
  readonly salt: Buffer
  readonly hash: Buffer
}

/**
 * Hashes a password for `users[].password_hash`, in the PHC string format. Passwords are guessed from dictionaries, so that each
 * guess has to be expensive: scrypt (RFC 7914).
 */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  const hash = await derive(password, salt, HASH_BYTES, DEFAULTS)
  const { ln, r, p } = DEFAULTS
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`
}

/** Whether it is the password of a hash; without one it takes as long, and is not. */
export async function verifyPassword(password: string, phc: string | undefined): Promise<boolean> {
  const { salt, hash, ...parameters } = (phc === undefined ? undefined : parsed(phc)) ?? NOBODY
  const derived = await derive(password, salt, hash.length, parameters)
  return timingSafeEqual(derived, hash) && phc !== undefined
}

const NOBODY: Parsed = { ...DEFAULTS, salt: randomBytes(SALT_BYTES), hash: randomBytes(HASH_BYTES) }

/** Why a hash can't be used; undefined when it can. */
export function faultOfHash(phc: string): string | undefined {
  const all = parsed(phc)
  if (!all) return 'it is no scrypt hash in the PHC format'
  const { ln, r, p, salt, hash } = all
  if (ln < 14 || ln > 20 || r < 1 || p < 1 || p > 16 || memory(all) > MAX_MEMORY)
    return `its parameters (ln=${ln}, r=${r}, p=${p}) are weaker than ln=14 or take more than ${MAX_MEMORY} bytes`
  return salt.length < 8 || hash.length < 16 || hash.length > 64 ? 'its salt or its hash is too short or too long' : undefined
}

function parsed(phc: string): Parsed | undefined {
  const [, ln, r, p, salt, hash] = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(phc) ?? []
  if (salt === undefined || hash === undefined) return undefined
  return { ln: Number(ln), r: Number(r), p: Number(p), salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') }
}

const memory = ({ ln, r, p }: Parameters): number => 128 * r * (2 ** ln + p)
const unpadded = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')

function derive(password: string, salt: Buffer, length: number, parameters: Parameters): Promise<Buffer> {
  const { ln, r, p } = parameters
  const maxmem = memory(parameters) + 1024 * 1024
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFC'), salt, length, { N: 2 ** ln, r, p, maxmem }, (error, derived) => {
      if (error) reject(error)
      else resolve(derived)
    })
  })
}
