import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errorResponses, isAllowed, Type } from 'hestia'
import { type AuthOptions, LoggedIn, Login, SessionView } from '../../schemas/auth.ts'
import { Anonymous, Known } from './callers.ts'
import { cookiesOf, setCookie } from './cookie.ts'
import { isSession } from './secret.ts'
import type { Sessions } from './sessions.ts'
import { partyOf } from './windows.ts'

const loginSchema = {
  operationId: 'logIn',
  summary: 'Log in; the session is a cookie',
  tags: ['auth'],
  body: Login,
  response: {
    200: LoggedIn,
    ...errorResponses({
      invalid_request: {},
      unauthorized: {},
      unsupported_media_type: {},
      rate_limited: {},
      store_unavailable: {},
    }),
  },
}

const viewSchema = {
  operationId: 'getSession',
  summary: 'Who asks, and what they may',
  tags: ['auth'],
  response: { 200: SessionView },
}

const logoutSchema = {
  operationId: 'logOut',
  summary: 'Log out',
  tags: ['auth'],
  response: { 204: Type.Null(), ...errorResponses({ store_unavailable: {} }) },
}

/** `/v1/session`: log in with a browser, log out, who am I. */
export function loginRoutes(app: FastifyInstance, sessions: Sessions, options: AuthOptions): void {
  const { events } = app.hestia
  const config = { permission: 'public' } as const

  app.post<{ Body: Login }>('/v1/session', { config, schema: loginSchema }, async (request, reply) => {
    const { name, password } = request.body
    const party = partyOf(request.raw.socket.remoteAddress)
    const { secret, entry } = await sessions.logIn(name, password, party, options)
    events.emit('auth.logged_in', { user: name, address: party })
    const expires_at = new Date(entry.createdAt! + options.session_ms).toISOString()
    return reply
      .header('set-cookie', setCookie(secret.token, options.session_ms, isSecure(request)))
      .header('cache-control', 'no-store')
      .send({ name, expires_at })
  })

  app.get('/v1/session', { config, schema: viewSchema }, ({ caller }, reply) => {
    void reply.header('cache-control', 'no-store')
    const { name = 'anonymous', kind = 'anonymous' } = caller ?? {}
    const isUser = caller instanceof Known && isSession(caller.entry.id)
    return {
      authenticated: kind !== 'anonymous',
      name,
      kind,
      read: isAllowed(caller, 'read'),
      administer: isAllowed(caller, 'administer'),
      services: caller instanceof Known || caller instanceof Anonymous ? caller.grants.listed() : {},
      expires_at: isUser ? new Date(caller.entry.createdAt! + options.session_ms).toISOString() : null,
    }
  })

  app.delete('/v1/session', { config, schema: logoutSchema }, async (request, reply) => {
    for (const token of cookiesOf(request.headers.cookie ?? '')) {
      const user = await sessions.logOut(token)
      if (user !== undefined) events.emit('auth.logged_out', { user })
    }
    return reply
      .code(204)
      .header('set-cookie', setCookie('', 0, isSecure(request)))
      .send()
  })
}

/** Whether the browser came over TLS, as a gateway in front says; who lies about it makes their own cookie useless. */
const isSecure = ({ raw, headers }: FastifyRequest): boolean =>
  'encrypted' in raw.socket || headers['x-forwarded-proto'] === 'https'
