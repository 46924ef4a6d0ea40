import type { FastifyRequest } from 'fastify'
import { definePlugin } from 'hestia'
import { AuthOptions, AuthServiceOptions } from '../../schemas/auth.ts'
import { check, configuredKeys } from './configured.ts'
import { Denials } from './denials.ts'
import { Gate } from './gate.ts'
import { keyRoutes } from './keys.ts'
import { Ledger, newKept } from './ledger.ts'
import { loginRoutes } from './login.ts'
import { type Homes, Sessions } from './sessions.ts'
import type { Windows } from './windows.ts'

/** How often is told of refusals that were not told one by one. */
const SUM_UP_EVERY_MS = 30_000

const NO_ADMINISTRATOR =
  'auth is on and nobody is an administrator, so that nobody can make keys: put one into plugins.auth.keys, as ' +
  '{ name: me, key: "${file:admin.key}", scopes: [admin] } with a file of "openssl rand -hex 32"'

/**
 * Asks everybody who they are: keys for programs, a login for browsers. What each may do stands in scopes; what a request needs
 * is said by its route, and, for services, by the core.
 */
export default definePlugin({
  name: 'auth',
  options: AuthOptions,
  service: AuthServiceOptions,
  check,
  setup(app, options) {
    const { hestia } = app
    const { log } = hestia
    const file = hestia.config.plugins.get('store')?.file as string | undefined
    const windows = hestia.keep<Windows>('auth.windows@1', () => new Map())
    const untold = hestia.keep('auth.untold@1', () => ({ count: 0 }))
    const homes = hestia.keep<Homes>('auth.homes@1', () => new Map())
    const ledger = new Ledger(hestia.keep(`auth.keys@1:${file ?? ''}`, newKept), () => app.store)
    const denials = new Denials(windows, untold, hestia.events)
    const sessions = new Sessions({ ledger, windows, homes, denials })
    const configured = configuredKeys(options)
    for (const host of options.trusted_hosts) app.trustedHosts.add(host.toLowerCase())

    app.decorate('authenticates', 'auth')
    const loginPage = (): string | undefined => app.loginPage
    const gate = new Gate({ hestia, options, ledger, sessions, windows, denials, configured, loginPage })
    app.decorate('identify', (request: FastifyRequest) => gate.identify(request).caller)
    app.addHook('onRequest', (request, reply, done) => {
      try {
        if (gate.enter(request, reply)) done()
      } catch (refusal) {
        done(refusal as Error)
      }
    })
    // The store may be set up after this, and what it knows must be here before the first request is.
    app.addHook('onReady', async () => {
      await ledger.load()
      const all = [...configured.values(), ...ledger.list().filter(({ disabled }) => !disabled), ...options.users]
      if (!all.some(({ scopes }) => scopes.includes('admin'))) log.warn(NO_ADMINISTRATOR)
    })
    const summary = setInterval(() => denials.sumUp(), SUM_UP_EVERY_MS).unref()
    const unsubscribe = hestia.events.subscribe(
      // A session that can't be deleted now is over all the same.
      ({ generation }) => void (generation === hestia.generation && sessions.purge(options).catch(() => undefined)),
      ['reload.applied'],
    )
    app.addHook('onClose', () => {
      clearInterval(summary)
      unsubscribe()
    })

    keyRoutes(app, ledger, configured)
    loginRoutes(app, sessions, options)
  },
})
