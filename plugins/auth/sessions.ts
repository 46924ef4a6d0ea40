import { HestiaError, verifyPassword } from 'hestia'
import type { AuthOptions, ConfiguredUser } from '../../schemas/auth.ts'
import type { Denials } from './denials.ts'
import type { Entry, Ledger } from './ledger.ts'
import { digestOf, isSession, makeSession, type Secret } from './secret.ts'
import { count, type Windows } from './windows.ts'

/** Logins that one party may try in a window, and all parties together for one user. */
const MAX_OF_PARTY = 10
const MAX_OF_USER = 30
const WINDOW_MS = 60_000
const USER_WINDOW_MS = 300_000
/** Passwords that are checked at a time: each takes 32 MiB and a thread, of which the database needs one, too. */
const MAX_AT_A_TIME = 2
const MAX_SESSIONS_OF_USER = 20
const MAX_HOMES = 16

/** Outlives generations: from where each user has logged in, the newest last. */
export type Homes = Map<string, string[]>

export interface SessionParts {
  readonly ledger: Ledger
  readonly windows: Windows
  readonly homes: Homes
  readonly denials: Denials
}

/**
 * Logins of users, as random tokens of which the ledger knows the digests: nothing in a cookie could be forged, and a log-out
 * counts everywhere. From where a user has logged in before, nobody else's attempts keep them out.
 */
export class Sessions {
  readonly #parts: SessionParts
  #checking = 0

  constructor(parts: SessionParts) {
    this.#parts = parts
  }

  /** @throws {HestiaError} `unauthorized`, `rate_limited`, `store_unavailable` */
  async logIn(name: string, password: string, party: string, { users }: AuthOptions): Promise<{ secret: Secret; entry: Entry }> {
    const user = users.find((candidate) => candidate.name === name)
    this.#throttle(name, party, user)
    this.#checking++
    let isRight: boolean
    try {
      // Whoever isn't there takes as long as whoever is.
      isRight = await verifyPassword(password, user?.password_hash ?? users[0]?.password_hash)
    } finally {
      this.#checking--
    }
    if (!user || !isRight) {
      this.#denied(user, party, 'the password is wrong', 'unauthorized')
      throw new HestiaError('unauthorized', { message: 'There is no such user, or the password is another one.' })
    }
    const { ledger, windows, homes } = this.#parts
    windows.delete(`login ${party}`)
    homes.set(name, [...(homes.get(name) ?? []).filter((home) => home !== party), party].slice(-MAX_HOMES))
    const own = ledger.list(true).filter((entry) => entry.name === name)
    for (const { id } of own.slice(0, Math.max(0, own.length - MAX_SESSIONS_OF_USER + 1))) await ledger.remove(id)
    const secret = makeSession()
    return { secret, entry: await ledger.add(secret, name, [markOf(user)], false) }
  }

  /** @returns who it was; undefined when the token is no session's. */
  async logOut(token: string): Promise<string | undefined> {
    const { ledger } = this.#parts
    const entry = ledger.find(token, digestOf(token))
    return entry && isSession(entry.id) ? ledger.remove(entry.id) : undefined
  }

  /** Forgets those that have run out, or whose user is gone. */
  async purge(options: AuthOptions): Promise<void> {
    const { ledger } = this.#parts
    const over = ledger.list(true).filter((entry) => !this.userOf(entry, options, Date.now()))
    for (const { id } of over) await ledger.remove(id)
  }

  /** Whose session it is; undefined when it is over: run out, the user is gone, or has another password since. */
  userOf({ name, scopes, createdAt = 0 }: Entry, { users, session_ms }: AuthOptions, now: number): ConfiguredUser | undefined {
    if (createdAt + session_ms <= now) return undefined
    return users.find((user) => user.name === name && scopes[0] === markOf(user))
  }

  #throttle(name: string, party: string, user: ConfiguredUser | undefined): void {
    const { windows, homes } = this.#parts
    const ofParty = count(windows, `login ${party}`, MAX_OF_PARTY, WINDOW_MS)
    const isHome = homes.get(name)?.includes(party) ?? false
    const ofUser = isHome ? undefined : count(windows, `login as ${name}`, MAX_OF_USER, USER_WINDOW_MS)
    const waitMs = ofParty ?? ofUser ?? (this.#checking >= MAX_AT_A_TIME ? 1000 : undefined)
    if (waitMs === undefined) return
    this.#denied(user, party, 'there were too many attempts to log in', 'rate_limited')
    throw new HestiaError('rate_limited', { message: 'Too many attempts to log in; try again later.', retryAfterMs: waitMs })
  }

  /** What was typed for a name may be a password: it is told only if it is a name. */
  #denied(user: ConfiguredUser | undefined, party: string, reason: string, code: string): void {
    this.#parts.denials.tell({ caller: user ? `user ${user.name}` : 'nobody known', code, reason, party })
  }
}

const marks = new WeakMap<ConfiguredUser, string>()

/** Changes with the password; tells nothing of it. */
function markOf(user: ConfiguredUser): string {
  const known = marks.get(user) ?? `password ${digestOf(user.password_hash).toString('hex', 0, 8)}`
  marks.set(user, known)
  return known
}
