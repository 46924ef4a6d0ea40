import { timingSafeEqual } from 'node:crypto'
import { type AuthKey, HestiaError, type Store } from 'hestia'
import { idOf, isSession, type Secret } from './secret.ts'

/** A key or session that is known by the digest of its token only; plain data, as it outlives generations. */
export interface Entry {
  readonly id: string
  /** SHA-256 of its token. */
  readonly digest: Buffer
  readonly name: string
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch; undefined for a key of the configuration. */
  readonly createdAt: number | undefined
  lastUsedAt: number | null
  disabled: boolean
  /** It was revoked: whoever still holds on to it may do nothing from then on. */
  gone: boolean
}

/** All of the store's keys and sessions, by id: few enough to hold, so that no request waits for the database. */
export interface Kept {
  loaded: boolean
  readonly entries: Map<string, Entry>
}

export const newKept = (): Kept => ({ loaded: false, entries: new Map() })

/** More keys than this are no longer a personal gateway. */
const MAX_KEYS = 10_000
/** How often the last use is written down, in milliseconds. */
const TOUCH_EVERY_MS = 60_000
const NOBODY = Buffer.alloc(32)

/** The keys and sessions that there are, in memory and, with the plugin `store`, beyond the end of the process. */
export class Ledger {
  readonly #kept: Kept
  readonly #store: () => Store | undefined

  constructor(kept: Kept, store: () => Store | undefined) {
    this.#kept = kept
    this.#store = store
  }

  /** @throws {HestiaError} `store_unavailable`: without its keys the gateway would not know whom to let in. */
  async load(): Promise<void> {
    if (this.#kept.loaded) return
    for (const key of (await this.#store()?.keys.list()) ?? []) this.#add(key)
    this.#kept.loaded = true
  }

  find(token: string, digest: Buffer): Entry | undefined {
    return verified(this.#kept.entries.get(idOf(token)), digest)
  }

  /** Keys, or sessions; oldest first. */
  list(sessions = false): readonly Entry[] {
    return [...this.#kept.entries.values()].filter(({ id }) => isSession(id) === sessions)
  }

  /**
   * @param lasting whether it is no good without a store.
   * @throws {HestiaError} `store_unavailable`
   */
  async add({ id, digest }: Secret, name: string, scopes: readonly string[], lasting: boolean): Promise<Entry> {
    if (this.#kept.entries.size >= MAX_KEYS)
      throw new HestiaError('invalid_request', { message: `There are ${MAX_KEYS} keys and sessions already; revoke some first.` })
    const store = this.#store()
    if (!store && lasting) throw noStore()
    const made = { id, name, hashedKey: digest.toString('hex'), scopes: [...scopes] }
    const key = (await store?.keys.create(made)) ?? { ...made, createdAt: Date.now(), lastUsedAt: null, disabled: false }
    return this.#add(key)
  }

  /**
   * Counts from this tick on, before the database knows.
   * @returns its name; undefined when there is none.
   * @throws {HestiaError} `store_unavailable`: it is revoked now, but comes back with a restart; try again.
   */
  async remove(id: string): Promise<string | undefined> {
    const entry = this.#kept.entries.get(id)
    if (entry) entry.gone = true
    this.#kept.entries.delete(id)
    // Also when it isn't here any more, as the database may have failed the last time.
    const wasStored = await this.#store()?.keys.delete(id)
    return entry || wasStored ? (entry?.name ?? id) : undefined
  }

  /** @returns what it is; undefined when there is none. @throws {HestiaError} `store_unavailable`; a key that was to be disabled is so all the same. */
  async setDisabled(id: string, disabled: boolean): Promise<Entry | undefined> {
    const entry = this.#kept.entries.get(id)
    if (!entry) return undefined
    if (disabled) entry.disabled = true
    await this.#store()?.keys.setDisabled(id, disabled)
    entry.disabled = disabled
    return entry
  }

  /** It is being used; written down now and then. */
  touch(entry: Entry, now: number): void {
    if (entry.lastUsedAt !== null && now - entry.lastUsedAt < TOUCH_EVERY_MS) return
    entry.lastUsedAt = now
    if (entry.createdAt !== undefined) this.#store()?.keys.touch(entry.id)
  }

  #add({ id, name, scopes, createdAt, lastUsedAt, disabled, hashedKey }: AuthKey): Entry {
    const digest = Buffer.from(hashedKey, 'hex')
    const entry: Entry = { id, digest, name, scopes, createdAt, lastUsedAt, disabled, gone: false }
    this.#kept.entries.set(id, entry)
    return entry
  }
}

/** The candidate, if it has that digest; takes the same time whether it has another, or there is none. */
export function verified(candidate: Entry | undefined, digest: Buffer): Entry | undefined {
  const isSame = timingSafeEqual(candidate?.digest ?? NOBODY, digest)
  return isSame && candidate && !candidate.disabled ? candidate : undefined
}

export const noStore = (): HestiaError =>
  new HestiaError('store_unavailable', {
    message: 'Keys are kept by the plugin "store", which is off; switch it on, or put keys into plugins.auth.keys.',
  })
