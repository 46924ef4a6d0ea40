import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { AnswerListener, Carrier, Instance, Lease, Place } from 'hestia'
import type { Answer, RawHeaders, Source } from './answer.ts'
import type { Mapping } from './rewrite.ts'

/** Who made an attempt and decides what follows from its failure. */
export interface AttemptOwner {
  /** The final head has come. */
  answered(attempt: Attempt, status: number): void
  failed(attempt: Attempt, thrown: unknown): void
  /** The service speaks another protocol from here on. */
  switched(attempt: Attempt, head: IncomingMessage, socket: Duplex, first: Buffer): void
}

/** One try to get an answer from a service: passes on what comes, until it is over or called off. No promise, no objects on the way. */
export class Attempt implements AnswerListener, Source {
  readonly instance: Instance
  readonly lease: Lease
  readonly #owner: AttemptOwner
  readonly #answer: Answer
  readonly #mapping: Mapping | undefined
  #carrier: Carrier | undefined
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
    this.#carrier?.abort(this)
  }

  onConnect(carrier: Carrier): void {
    if (this.#over) {
      carrier.abort(this)
      return
    }
    this.#carrier = carrier
    this.sent = true
  }

  /** More of the body may come. */
  resume(): void {
    if (!this.#over) this.#carrier?.resume(this)
  }

  onHeaders(status: number, headers: RawHeaders, reason: string): void {
    if (this.#over) return
    this.responded = true
    if (status < 200) {
      this.#answer.information(status, reason, headers)
      return
    }
    const isEventStream = this.#answer.head(status, reason, headers, this.#mapping, this)
    if (isEventStream) this.lease.kind = 'stream'
    this.#owner.answered(this, status)
  }

  onPart(part: Buffer, place: Place): boolean {
    if (this.#over) return true
    this.size += part.length
    if (this.lease.kind === 'stream') this.lease.touch()
    return this.#answer.data(part, place)
  }

  onLull(): void {
    if (!this.#over) this.#answer.flush()
  }

  onComplete(trailers: RawHeaders): void {
    if (this.#over) return
    this.#over = true
    this.#answer.end(trailers)
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
