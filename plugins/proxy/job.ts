import type { FrontDoor, HeaderEdits, PendingUpgrade, RequestView, Service } from 'hestia'
import type { Answer } from './answer.ts'

/** A request that shall be answered by a service. */
export interface Job {
  readonly view: RequestView
  /** Undefined when a front door finds it out. */
  readonly service: Service | undefined
  readonly rawHeaders: readonly string[]
  readonly edits: HeaderEdits | null
  readonly scheme: 'http' | 'https'
  readonly prefix: string
  readonly answer: Answer
  readonly upgrade: PendingUpgrade | undefined
  /** Whether the client waits with the body until it is asked for it. */
  readonly waits: boolean
  /** The front door that it came through, if any. */
  readonly door: FrontDoor | undefined
}
