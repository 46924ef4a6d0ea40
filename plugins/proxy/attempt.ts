import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Instance, Lease } from 'hestia'
import type { Dispatcher } from 'undici'
import type { Answer, RawHeaders } from './answer.ts'
import type { Mapping } from './rewrite.ts'

/** Who made an attempt and decides what follows from its failure. */
export interface AttemptOwner {
  /** The final head has come. */
  answered(attempt: Attempt, status: number): void
  failed(attempt: Attempt, thrown: unknown): void
  /** The service speaks another protocol from here on. */
  switched(attempt: Attempt, head: IncomingMessage, socket: Duplex, first: Buffer): void
}

const NO_TRAILERS: RawHeaders = []

/**
 * One try to get an answer from a service: passes on what comes, until it is over or called off. It is undici's handler itself
 * (the low-level kind: raw headers, no objects, no promise), and node:http's when undici can't do it.
 */
export class Attempt implements Dispatcher.DispatchHandler {
  readonly instance: Instance
  readonly lease: Lease
  readonly #owner: AttemptOwner
  readonly #answer: Answer
  readonly #mapping: Mapping | undefined
  #abort: ((error?: Error) => void) | undefined
  #over = false
  /** Whether a connection stands, so that bytes of the request may have gone out. */
  sent = false
  /** Whether a byte of an answer has come. */
  responded = false
  /** Of the body that was passed on, in bytes. */
  size = 0

  constructor(owner: AttemptOwner, instance: Instance, lease: Lease, answer: Answer, mapping: Mapping | undefined) {
    this.#owner = owner
    this.instance = instance
    this.lease = lease
    this.#answer = answer
    this.#mapping = mapping
  }

  /** Calls it off: nothing is passed on any more, and the service hears of it as soon as there is a connection. */
  cancel(): void {
    if (this.#over) return
    this.#over = true
    this.#abort?.()
  }

  onConnect(abort: (error?: Error) => void): void {
    if (this.#over) {
      abort()
      return
    }
    this.#abort = abort
    this.sent = true
  }

  onResponseStarted(): void {
    this.responded = true
  }

  onHeaders(status: number, headers: Buffer[] | string[], resume: () => void, reason: string): boolean {
    if (this.#over) return true
    this.responded = true
    if (status < 200) {
      this.#answer.information(status, reason, headers)
      return true
    }
    const isEventStream = this.#answer.head(status, reason, headers, this.#mapping, resume)
    if (isEventStream) this.lease.kind = 'stream'
    this.#owner.answered(this, status)
    // These have no body whatever their Content-Length says, which undici takes for one that is missing.
    if (status === 204 || status === 304) this.onComplete(null)
    return true
  }

  onData(chunk: Buffer): boolean {
    if (this.#over) return true
    this.size += chunk.length
    if (this.lease.kind === 'stream') this.lease.touch()
    return this.#answer.data(chunk)
  }

  onComplete(trailers: string[] | null): void {
    if (this.#over) return
    this.#over = true
    this.#answer.end(trailers ?? NO_TRAILERS)
  }

  onError(error: Error): void {
    if (this.#over) return
    this.#over = true
    this.#owner.failed(this, error)
  }

  /** For node:http: the service takes the body. */
  onContinue(): void {
    if (!this.#over) this.#answer.proceed()
  }

  /** For node:http: the service has accepted the upgrade. */
  onSwitch(head: IncomingMessage, socket: Duplex, first: Buffer): void {
    if (this.#over) {
      socket.destroy()
      return
    }
    this.#over = true
    this.#owner.switched(this, head, socket, first)
  }
}
