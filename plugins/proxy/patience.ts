import type { IncomingMessage } from 'node:http'
import type { HestiaError, Service } from 'hestia'
import type { ProxyServiceOptions } from '../../schemas/proxy.ts'
import type { ErrorAnswer } from './answer.ts'
import { type Preference, preferenceOf } from './preference.ts'
import { PAGE_HEADERS, waitingPage } from './waiting-page.ts'

/** Errors that say: not yet. */
const NOT_YET = new Set(['still_waiting', 'starting'])

/** How long a client wants to wait, and what it is answered then. */
export interface Patience {
  /** In milliseconds; undefined: as long as the service lets it. */
  readonly waitMs: number | undefined
  /** Its own way of saying an error; undefined: the usual one. */
  readonly present: (error: HestiaError) => ErrorAnswer | undefined
}

/** What the request says of waiting; undefined, the rule, when it just waits. */
export function patienceOf(request: IncomingMessage, service: Service | undefined): Patience | undefined {
  const preference = preferenceOf(request.headers.prefer)
  const pageMs = (service?.config.sections.proxy as ProxyServiceOptions | undefined)?.waiting_page_ms ?? 0
  const page = service && pageMs > 0 && isNavigation(request) ? service.id : undefined
  if (!preference && page === undefined) return undefined
  const waitMs = preference?.waitMs ?? (preference?.respondAsync ? 0 : undefined)
  return {
    waitMs: page === undefined ? waitMs : Math.min(waitMs ?? pageMs, pageMs),
    present: (error) => present(error, preference, page),
  }
}

function present(error: HestiaError, preference: Preference | undefined, page: string | undefined): ErrorAnswer | undefined {
  const isNotYet = NOT_YET.has(error.code)
  if (page !== undefined) return { headers: PAGE_HEADERS, body: waitingPage(page, error, isNotYet) }
  if (!isNotYet || !preference) return undefined
  if (preference.respondAsync) return { status: 202, headers: ['Preference-Applied', 'respond-async'] }
  return { headers: ['Preference-Applied', `wait=${(preference.waitMs ?? 0) / 1000}`] }
}

/** Somebody looks at a page, rather than a page or a program that fetches something (Fetch Metadata, 2). */
function isNavigation({ method, headers }: IncomingMessage): boolean {
  if (method !== 'GET' || !/\btext\/html\b/i.test(headers.accept ?? '')) return false
  const mode = headers['sec-fetch-mode']
  return mode === undefined || mode === 'navigate'
}
