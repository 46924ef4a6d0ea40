import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { HestiaError } from '../errors.ts'

/**
 * What somebody may be allowed to do: `use` a service that is hot, `wake` one that isn't (which starts it), `read` how things are
 * (status, logs, metrics, activities), `administer` (stop, reload, keys).
 */
export type Permission = 'use' | 'wake' | 'read' | 'administer'

/** Who makes a request. The gateway has none while nobody asks who it is: then all is allowed, see {@link isAllowed}. */
export interface Caller {
  /** For logs; of a key its name, never the key. */
  readonly name: string
  /** `anonymous` has shown no credentials. */
  readonly kind: 'key' | 'user' | 'anonymous'
  /**
   * Whether it may do that to a service, or, without one, to the gateway as a whole. `models`: the names of the one model that
   * is meant, which the front door found in the request.
   */
  may(permission: Permission, service?: string, models?: readonly string[]): boolean
  /** The error for what it may not: `unauthorized` for whoever is anonymous, else `forbidden`. Counts as a refusal that is answered. */
  refuse(permission: Permission, service?: string, models?: readonly string[]): HestiaError
}

/** What a route asks of its callers; see `FastifyContextConfig.permission`. */
export type RoutePermission = Permission | 'known' | 'public'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * What a caller needs, when a plugin asks who it is. `known`: any credentials; the handler itself shows only what the caller
     * may see. `public`: none. A route that says nothing needs `administer`.
     */
    permission?: RoutePermission
    /** The path parameter that names the service which `permission` is about; without it, it is about the whole gateway. */
    serviceParam?: string
  }
  interface FastifyRequest {
    /** Who asks, for handlers and for hooks after that of the plugin `auth`; null while nobody finds out. */
    caller: Caller | null
  }
  interface FastifyInstance {
    /** Decorated, with its own name, by a plugin that finds out who asks. */
    authenticates?: string
    /** Decorated by the same plugin: who makes a request, for those who outlive the configuration under which it was let in. */
    identify?: (request: FastifyRequest) => Caller
    /** Decorated by a plugin that has a page to log in: the path of that page, where browsers without credentials are sent. */
    loginPage?: string
  }
}

export function decorateCaller(app: FastifyInstance): void {
  app.decorateRequest('caller', null)
}

/** Whether a caller may do that; all may where nobody asks. */
export const isAllowed = (
  caller: Caller | null | undefined,
  permission: Permission,
  service?: string,
  models?: readonly string[],
): boolean => !caller || caller.may(permission, service, models)

/**
 * For handlers that learn only by themselves which service is meant.
 * @throws {HestiaError} `unauthorized`, `forbidden`
 */
export function requirePermission({ caller }: Pick<FastifyRequest, 'caller'>, permission: Permission, service?: string): void {
  if (caller && !caller.may(permission, service)) throw caller.refuse(permission, service)
}

/** Why a request may not go to an instance as it is now: its caller may not use the service, or would wake it and may not. */
export function refusalFor(
  { caller, models }: { readonly caller: Caller | null; readonly models: readonly string[] },
  instance: { readonly state: string; readonly held: boolean; readonly service: { readonly id: string } },
): HestiaError | undefined {
  if (!caller) return undefined
  const { id } = instance.service
  if (!caller.may('use', id, models)) return caller.refuse('use', id, models)
  // One that is held makes way for another, and would be started anew for who waits.
  const isUp = instance.state === 'hot' && !instance.held
  return isUp || caller.may('wake', id, models) ? undefined : caller.refuse('wake', id, models)
}
