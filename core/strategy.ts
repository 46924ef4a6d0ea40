import { KindGuard, type Static, type TObject } from '@sinclair/typebox'
import type { RequestView } from './http/request-view.ts'

/** What a strategy sees of an instance. */
export interface InstanceView {
  readonly name: string
  readonly url: string
  readonly machine: string | undefined
  readonly region: string | undefined
  readonly weight: number
  readonly state: 'cold' | 'starting' | 'hot' | 'stopping'
  /** False when it failed lately; of one that is down, when it is left alone for a while after a failed start. */
  readonly healthy: boolean
  readonly inFlight: number
}

/** What a configuration may call an instance by. */
export type InstanceName = Pick<InstanceView, 'name' | 'url'>

/** What a strategy sees of a service. `routing` has been checked by the strategy's schema. */
export interface ServiceView<R = Record<string, unknown>> {
  readonly id: string
  readonly instances: readonly InstanceView[]
  readonly routing: R
}

/** An instance, or an instance with the reason that logs and metrics show; nothing means "no opinion". */
export type Choice = InstanceView | { readonly instance: InstanceView; readonly reason: 'mapping' | 'strategy' } | undefined

/** A pure function with a name: picks one of a service's instances for a request. */
export interface Strategy<R extends TObject = TObject> {
  /** Name in `services.<id>.strategy`. */
  readonly name: string
  /** Schema of `services.<id>.routing`. */
  readonly routing?: R
  /** `body` when it looks at `request.field` or `request.body`: the body is then held in memory; the bytes forwarded stay the same. */
  readonly reads?: readonly 'body'[]
  /**
   * Rules that no schema can say, as that a mapping names instances which exist; called when the configuration or the
   * strategy is loaded. Answers what is wrong, one sentence each.
   */
  check?(service: Pick<ServiceView<Static<R>>, 'id' | 'routing'> & { readonly instances: readonly InstanceName[] }): string[]
  /** Picks; must not wait. What it throws fails the request with 502. */
  select(request: RequestView, service: ServiceView<Static<R>>): Choice
}

/** Types a strategy's `routing` by its schema; changes nothing. */
export const defineStrategy = <R extends TObject>(strategy: Strategy<R>): Strategy<R> => strategy

/**
 * Reads what a strategy file exports.
 * @throws {TypeError} when it isn't a strategy.
 */
export function readStrategy(exported: unknown): Strategy {
  const strategy = exported as Partial<Strategy> | null
  if (
    typeof strategy !== 'object' ||
    strategy === null ||
    typeof strategy.select !== 'function' ||
    typeof strategy.name !== 'string'
  )
    throw new TypeError('a strategy file must export { name, select(request, service) } as default')
  if (strategy.routing !== undefined && !KindGuard.IsObject(strategy.routing))
    throw new TypeError(`routing of the strategy "${strategy.name}" must be Type.Object({ ... }) of TypeBox`)
  return strategy as Strategy
}
