import { serialize } from 'cookie'

export const COOKIE = 'hestia_session'

/** All values of the session's cookie; a service below `/services/` could set another of its name for its own path. */
export function cookiesOf(header: string): readonly string[] {
  if (!header.includes(COOKIE)) return []
  return pairs(header).flatMap((pair) => (isOurs(pair) ? [pair.slice(pair.indexOf('=') + 1).trim()] : []))
}

/** The same header for a service, every other cookie as it came; undefined when there is no other. */
export const withoutSession = (header: string): string | undefined =>
  pairs(header)
    .filter((pair) => !isOurs(pair))
    .join(';')
    .trim() || undefined

const pairs = (header: string): string[] => header.split(';')
const isOurs = (pair: string): boolean => pair.slice(0, pair.indexOf('=')).trim() === COOKIE

/** `Set-Cookie` (RFC 6265): out of reach of scripts, and never sent along with what pages of other sites ask for. */
export const setCookie = (token: string, lifetimeMs: number, secure: boolean): string =>
  serialize(COOKIE, token, {
    path: '/',
    httpOnly: true,
    sameSite: 'strict',
    secure,
    maxAge: Math.floor(lifetimeMs / 1000),
  })
