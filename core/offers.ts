import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { HestiaError } from './errors.ts'
import type { RequestView } from './http/request-view.ts'
import type { Instance } from './instances/instance.ts'
import type { Lease } from './instances/lease.ts'
import type { InstanceRecord } from './instances/record.ts'
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

/** What a front door does its own way: its clients speak a language that Hestia itself doesn't. */
export interface FrontDoor {
  /** What an instance is sent where that isn't just what came; asked before each try. A body may be given where one was held. */
  fit?(request: RequestView, instance: Instance): { readonly target?: string; readonly body?: Buffer }
  /** The JSON body of an error. */
  errorBody?(error: HestiaError): object
  /**
   * Whether a client that waits for its stream of server-sent events is kept alive with comments: it then gets the head of
   * the answer at once, and an error as an event. Asked when the request has to wait.
   */
  keepsAlive?(request: RequestView): boolean
}

/** Sends requests through routing, admission and the wire. Offered by the plugin `proxy` as `app.forward`. */
export interface Forward {
  /**
   * Answers a client's request with what its service says. `service` undefined: `resolveUpstream` finds it (a front door).
   * Never rejects: errors are answered to the client.
   */
  stream(request: FastifyRequest, reply: FastifyReply, service: Service | undefined, target?: string, door?: FrontDoor): void
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

/** A task with which a starter has something else start or stop an instance. */
export interface AutomationTask {
  /** Its number there; null while it is not known. */
  readonly id: number | null
  readonly action: 'start' | 'stop'
  readonly status: string
  readonly project: number
  readonly template: number
  /** By which it is found again. */
  readonly message: string
  /** ISO 8601. */
  readonly created_at: string | null
  readonly ended_at: string | null
  readonly error: string | null
}

/** What a starter that hands its work to something else tells of a service. Offered by the plugin `semaphore` as `app.automationOf`. */
export interface AutomationStatus {
  readonly provider: string
  readonly machine_id: string | null
  readonly current_task: AutomationTask | null
  readonly last_task: AutomationTask | null
}

/** One entry of the timeline. */
export interface Activity {
  /** Unique, and sorted as time is. */
  readonly id: string
  readonly service: string | null
  readonly instance: string | null
  /** Type of the event. */
  readonly kind: string
  readonly state: string | null
  readonly reason: string | null
  readonly details: Readonly<Record<string, unknown>>
  readonly requestId: string | null
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** Which activities are wanted. */
export interface ActivityFilter {
  readonly service?: string | undefined
  /** A kind, or the beginning of kinds ending with a dot. */
  readonly kind?: string | undefined
  /** Nothing older, in milliseconds since the epoch. */
  readonly since?: number | undefined
  /** Only what is older than the activity of that id. */
  readonly before?: string | undefined
  readonly limit: number
}

/** A key that lets somebody in. The key itself is never stored. */
export interface AuthKey {
  /** Its public part. */
  readonly id: string
  readonly name: string
  readonly hashedKey: string
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly lastUsedAt: number | null
  readonly disabled: boolean
}

/**
 * What is remembered beyond the end of the process. Offered by the plugin `store` as `app.store`. What returns nothing is written
 * soon and in the background, and never fails; what returns a promise throws `store_unavailable` when the database fails.
 */
export interface Store {
  readonly activities: {
    append(activity: Omit<Activity, 'id'>): void
    /** Newest first. */
    query(filter: ActivityFilter): Promise<Activity[]>
  }
  readonly instances: {
    /** The newest record of an instance counts. */
    save(record: InstanceRecord): void
    load(): Promise<InstanceRecord[]>
    /** Forgets one for good. */
    remove(service: string, instance: string): void
  }
  readonly keys: {
    /** @throws {HestiaError} `invalid_request` when there is one with that id. */
    create(key: Pick<AuthKey, 'id' | 'name' | 'hashedKey' | 'scopes'>): Promise<AuthKey>
    /** Oldest first. */
    list(): Promise<AuthKey[]>
    get(id: string): Promise<AuthKey | undefined>
    /** Those whose id begins so. */
    find(prefix: string): Promise<AuthKey[]>
    /** It was used just now. */
    touch(id: string): void
    /** @returns whether there is such a key. */
    setDisabled(id: string, disabled: boolean): Promise<boolean>
    /** @returns whether there was such a key. */
    delete(id: string): Promise<boolean>
  }
  /** Writes at once what is to be written, and waits for that; whether it went well says `health`. */
  flush(): Promise<void>
  /** `queued`: what is still to be written; `dropped`: activities that found no room, since the database was opened. */
  health(): { readonly ok: boolean; readonly error?: string; readonly dropped: number; readonly queued: number }
}

/** One line that a starter's program wrote. */
export interface OutputLine {
  /** When it was seen, in milliseconds since the epoch. */
  readonly at: number
  readonly stream: 'stdout' | 'stderr'
  readonly line: string
}

/**
 * The newest `lines` lines that were written for an instance, oldest first, also after its end; undefined from a starter that has
 * nothing to do with it. Offered by starters with {@link offerOutput}.
 */
export type OutputOf = (
  instance: Instance,
  lines: number,
) => readonly OutputLine[] | undefined | Promise<readonly OutputLine[] | undefined>

/** Makes the output of a starter's programs readable for other plugins; for its `setup`. */
export function offerOutput(app: FastifyInstance, outputOf: OutputOf): void {
  if (!app.outputs) app.decorate('outputs', [])
  app.outputs?.push(outputOf)
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Of the plugin `queue`; absent when it is off. */
    admit?: Admit
    /** Of the plugin `load-balancer`; absent when it is off. */
    placementOf?: (service: Service) => PlacementStatus
    /**
     * Of the plugin `idle`: the earliest moment at which an instance is stopped if nothing more happens (`performance.now()`),
     * undefined when it never is; absent when it is off.
     */
    idleStopAt?: (instance: Instance) => number | undefined
    /** Of the plugin `wake-on-lan`: false for a while after a machine did not wake; absent when it is off. */
    machineAvailable?: (machine: string) => boolean
    /** Of the plugin `semaphore`; absent when it is off. */
    automationOf?: (service: Service) => AutomationStatus | undefined
    /** Of the plugin `proxy`; absent when it is off. */
    forward?: Forward
    /** Of the plugin `store`; absent when it is off. */
    store?: Store
    /** Of all starters that keep output; absent when there is none. */
    outputs?: OutputOf[]
  }
}
