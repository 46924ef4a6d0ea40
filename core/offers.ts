import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RequestView } from './http/request-view.ts'
import type { Instance } from './instances/instance.ts'
import type { Lease } from './instances/lease.ts'
import type { Service } from './instances/service.ts'
import type { Decision } from './routing.ts'

/**
 * Says when a request may go to its instance: at once with a lease, or later. Starts a cold instance.
 * Offered by the plugin `queue` as `app.admit`; without it, see {@link admitHot}.
 * @throws {HestiaError} `queue_full`, `queue_timeout`, `start_failed`, ...; also as the promise's reason.
 */
export type Admit = (instance: Instance, request: RequestView) => Lease | Promise<Lease>

/** An answer that was received whole. */
export interface CollectedResponse {
  readonly status: number
  readonly statusText: string
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  readonly decision: Decision
}

/** Sends requests through routing, admission and the wire. Offered by the plugin `proxy` as `app.forward`. */
export interface Forward {
  /**
   * Answers a client's request with what its service says. `service` undefined: `resolveUpstream` finds it (a front door).
   * Never rejects: errors are answered to the client.
   */
  stream(request: FastifyRequest, reply: FastifyReply, service: Service | undefined, target?: string): void
  /**
   * Makes a request and keeps the answer, up to `limit` bytes.
   * @throws {HestiaError} what went wrong.
   */
  collect(view: RequestView, service: Service, rawHeaders: readonly string[], limit: number): Promise<CollectedResponse>
}

/** Where a service runs rather, and why. Offered by the plugin `load-balancer` as `app.placementOf`. */
export interface PlacementStatus {
  /** Key of `machines`; null when its instances name none. */
  readonly machine: string | null
  /** Name of the routing rule that counted. */
  readonly rule: string | null
  readonly reason: string
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Of the plugin `queue`; absent when it is off. */
    admit?: Admit
    /** Of the plugin `load-balancer`; absent when it is off. */
    placementOf?: (service: Service) => PlacementStatus
    /** Of the plugin `proxy`; absent when it is off. */
    forward?: Forward
  }
}
