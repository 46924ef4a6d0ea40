import type { RequestView } from 'hestia'
import { RequestBody } from './request-body.ts'

/** The body of a request on its way to a service, or to several one after the other if the first can't be reached. */
export class OutgoingBody {
  readonly #view: RequestView
  #stream: RequestBody | undefined
  /** Connections that still look at it. */
  #users = 1

  constructor(view: RequestView) {
    this.#view = view
  }

  /** What to send: the same stream each time, as long as it is not `spent`, or the bytes that are held; undefined without a body. */
  get content(): RequestBody | Buffer | undefined {
    const { bodyToSend } = this.#view
    if (Buffer.isBuffer(bodyToSend)) return bodyToSend
    if (bodyToSend) this.#stream ??= new RequestBody(bodyToSend)
    return this.#stream
  }

  /** Whether part of it may be gone, so that it can't be sent again. */
  get spent(): boolean {
    return this.#stream?.touched ?? false
  }

  /** Bytes that have come from the client. */
  get size(): number {
    return this.#view.heldBytes || (this.#stream?.size ?? 0)
  }

  /** It is sent on another connection. @returns what to call when the connection is done with it. */
  use(): () => void {
    this.#users++
    return () => this.release()
  }

  /** Somebody is done with it; when all are, and the request is over, its memory is used for others. */
  release(): void {
    if (--this.#users === 0) this.#view.forgetBody()
  }
}
