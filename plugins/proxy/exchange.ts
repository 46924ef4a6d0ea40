import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import {
  admitHot,
  asError,
  checkPath,
  type Decision,
  type FrontDoor,
  HestiaError,
  type Instance,
  type Lease,
  refusalFor,
  type Service,
} from 'hestia'
import { Account } from './account.ts'
import { Attempt, type AttemptOwner } from './attempt.ts'
import { decisionHeaders } from './decision-headers.ts'
import { type Dispatch, dispatch, headersFor, mappingOf } from './dispatch.ts'
import { type Failure, failureOf } from './failure.ts'
import { handOver, type Traffic } from './hand-over.ts'
import type { Job } from './job.ts'
import { OutgoingBody } from './outgoing-body.ts'
import { Retries } from './retries.ts'
import type { Upstream, Upstreams } from './upstreams.ts'

/**
 * One request on its way: where (routing), when (admission), there and back (attempts). It holds at most one lease, and gives
 * it back once, when the client has its answer or has left. On the way of a hot instance nothing waits.
 */
export class Exchange implements AttemptOwner {
  readonly #app: FastifyInstance
  readonly #upstreams: Upstreams
  readonly #job: Job
  #decision: Decision | undefined
  #lease: Lease | undefined
  #attempt: Attempt | undefined
  #body: OutgoingBody | undefined
  /** Undefined while nothing has failed. */
  #retries: Retries | undefined
  #over = false
  /** How long it waited for a start, in milliseconds. */
  #coldStartMs: number | undefined
  /** Undefined when nobody wants to hear of it, and once it was told. */
  #account: Account | undefined

  constructor(app: FastifyInstance, upstreams: Upstreams, job: Job) {
    this.#app = app
    this.#upstreams = upstreams
    this.#job = job
    if (app.hestia.events.wants('request.finished')) this.#account = new Account()
  }

  /** Where it went; known when it was answered. */
  get decision(): Decision | undefined {
    return this.#decision
  }

  /** What was decided, as headers for the client: names and values in turn; undefined when it isn't to be told. */
  marks(): readonly string[] | undefined {
    const decision = this.#decision
    if (!this.#upstreams.optionsOf(decision?.instance).decision_headers) return undefined
    return decisionHeaders(decision, this.#coldStartMs)
  }

  start(): void {
    this.#job.answer.onceClosed(() => this.close())
    try {
      checkPath(this.#job.view.target)
    } catch (thrown) {
      this.#fail(thrown)
      return
    }
    this.#route(this.#job.service, (thrown) => this.#fail(thrown))
  }

  /** Ends it wherever it is: the client has its answer, or has left. */
  close(): void {
    if (!this.#over) {
      this.#over = true
      this.#attempt?.cancel()
      this.#lease?.release()
    }
    const body = this.#body
    const bytesIn = body && (this.#attempt?.sent || body.spent) ? body.size : 0
    this.#tell({ bytesIn, bytesOut: this.#attempt?.size ?? 0, aborted: !this.#job.answer.complete })
    this.#body = undefined
    body?.release()
  }

  /** Tells, once, how it went. */
  #tell(traffic: Traffic): void {
    const account = this.#account
    if (!account) return
    this.#account = undefined
    const { view, service } = this.#job
    const ending = { service, decision: this.#decision, ...traffic }
    this.#app.hestia.events.tell(account.finished(view, ending))
  }

  #route(service: Service | undefined, otherwise: (thrown: unknown) => void): void {
    let decision: Decision | Promise<Decision>
    try {
      decision = this.#app.hestia.route(this.#job.view, service, this.#retries?.tried)
    } catch (thrown) {
      otherwise(thrown)
      return
    }
    if (decision instanceof Promise) {
      decision.then((late) => this.#take(late, otherwise), otherwise).catch((thrown: unknown) => this.#fail(thrown))
    } else this.#take(decision, otherwise)
  }

  /** A strategy may know nothing of what was tried already. */
  #take(decision: Decision, otherwise: (thrown: unknown) => void): void {
    if (this.#retries?.tried.has(decision.instance)) otherwise(undefined)
    else this.#admit(decision)
  }

  #admit(decision: Decision): void {
    if (this.#over) return
    this.#decision = decision
    const refusal = refusalFor(this.#job.view, decision.instance)
    if (refusal) {
      this.#fail(refusal)
      return
    }
    let lease: Lease | Promise<Lease>
    try {
      lease = (this.#app.admit ?? admitHot)(decision.instance, this.#job.view)
    } catch (thrown) {
      this.#refused(decision, thrown)
      return
    }
    if (lease instanceof Promise) {
      this.#job.answer.waiting?.()
      const since = performance.now()
      const forStart = decision.instance.state !== 'hot'
      this.#account?.waits(since, forStart)
      lease
        .then(
          (late) => {
            this.#letIn(decision, late.startedAt - since, forStart)
            this.#account?.waited(late.startedAt)
            this.#send(late, decision.instance)
          },
          (thrown: unknown) => {
            this.#account?.waited(performance.now())
            this.#refused(decision, thrown)
          },
        )
        .catch((thrown: unknown) => this.#fail(thrown))
    } else this.#send(lease, decision.instance)
  }

  #letIn({ instance }: Decision, waitedMs: number, coldStart: boolean): void {
    if (this.#over) return
    if (coldStart) this.#coldStartMs = (this.#coldStartMs ?? 0) + waitedMs
    const who = { requestId: this.#job.view.id, service: instance.service.id, instance: instance.name }
    this.#app.hestia.events.emit('request.admitted', { ...who, waitedMs, coldStart })
  }

  /** Not let in. When it could not be started, the fallback gets one try. */
  #refused(decision: Decision, thrown: unknown): void {
    if (this.#over) return
    // Without a queue nobody waits for the next start: what the client needs to know is what went wrong.
    const earlier = this.#retries?.repeatedFor
    if (earlier && thrown instanceof HestiaError && thrown.code === 'starting') this.#fail(earlier)
    else if (!(thrown instanceof HestiaError && thrown.code === 'start_failed' && this.#fallBack(decision, thrown)))
      this.#fail(thrown)
  }

  #fallBack({ instance }: Decision, error: Error): boolean {
    this.#retries ??= new Retries()
    const fallback = this.#retries.fallBack(instance)
    if (!fallback) return false
    const { id } = instance.service
    const requestId = this.#job.view.id
    const { events } = this.#app.hestia
    events.emit('request.fallback', { requestId, service: id, from: instance.name, to: fallback.name, error: error.message })
    events.emit('request.routed', { requestId, service: id, instance: fallback.name, reason: 'fallback', plugin: 'proxy' })
    this.#admit({ instance: fallback, reason: 'fallback', plugin: 'proxy' })
    return true
  }

  /** `fresh`: on a connection of its own, surely not one that the service is closing. */
  #send(lease: Lease, instance: Instance, fresh = false): void {
    if (this.#over) {
      lease.release()
      return
    }
    this.#lease = lease
    this.#account?.sent(lease)
    const { view, answer } = this.#job
    let upstream: Upstream
    let headers: string[]
    let body: Dispatch['body']
    let fitted: ReturnType<NonNullable<FrontDoor['fit']>> | undefined
    try {
      upstream = this.#upstreams.of(instance)
      fitted = this.#job.door?.fit?.(view, instance)
      if (view.hasBody) this.#body ??= new OutgoingBody(view)
      body = fitted?.body ?? this.#body?.content
      headers = headersFor(this.#job, upstream, this.#upstreams.pseudonym, body)
    } catch (thrown) {
      this.#fail(thrown)
      return
    }
    const attempt = new Attempt(this, instance, lease, answer, mappingOf(this.#job, upstream))
    this.#attempt = attempt
    const target = fitted?.target ?? view.target
    const sent = Buffer.isBuffer(body) ? this.#body?.use() : undefined
    dispatch(this.#job, { upstream, target, headers, body, sent, fresh }, attempt)
  }

  answered(attempt: Attempt, status: number): void {
    this.#account?.answered(status)
    this.#upstreams.answered(attempt.instance, status)
  }

  switched(attempt: Attempt, head: IncomingMessage, socket: Duplex, first: Buffer): void {
    const { upgrade } = this.#job
    if (this.#over || !upgrade) {
      socket.destroy()
      return
    }
    this.#over = true
    this.#account?.answered(head.statusCode ?? 101)
    const traffic = handOver(upgrade, head, socket, first)
    // A tunnel is over when it has closed.
    upgrade.socket.once('close', () => this.#tell(traffic()))
    this.#app.hestia.tunnels.open(upgrade.socket, socket, attempt.lease)
  }

  failed(attempt: Attempt, thrown: unknown): void {
    if (this.#over || attempt !== this.#attempt) return
    const { instance } = attempt
    this.#retries ??= new Retries()
    const details = { service: instance.service.id, instance: instance.name }
    const failure = failureOf(thrown, attempt.sent, instance.url, details)
    if (this.#job.answer.started) this.#fail(failure.error)
    else if (failure.kind === 'unreachable' || failure.kind === 'untrusted') this.#elsewhere(failure, instance, this.#retries)
    else if (failure.kind === 'reset' && !attempt.responded && this.#retries.renew(this.#job))
      this.#send(attempt.lease, instance, true)
    else {
      if (failure.kind === 'timeout') this.#upstreams.failed(instance, failure.error.message)
      this.#fail(failure.error)
    }
  }

  /** Nothing was sent: another instance, else the same once more, started anew if it went down. */
  #elsewhere({ error, kind }: Failure, instance: Instance, retries: Retries): void {
    this.#lease?.release()
    this.#lease = undefined
    this.#upstreams.failed(instance, error.message)
    if (kind === 'unreachable') instance.unreachable(error)
    retries.add(instance)
    // A front door's service is known by now.
    const service = this.#job.service ?? this.#app.hestia.services.get(instance.service.id)
    if (!service || this.#body?.spent) {
      this.#fail(error)
      return
    }
    this.#route(service, () => this.#again(instance, error, kind === 'untrusted', retries))
  }

  #again(instance: Instance, error: HestiaError, inVain: boolean, retries: Retries): void {
    const decision = this.#decision
    if (!decision || this.#over) return
    if (instance.cooling && this.#fallBack(decision, error)) return
    if (inVain || instance.cooling || this.#job.view.passive) {
      this.#fail(error)
      return
    }
    const same = { ...decision, instance }
    // Still hot: others are being served, or will be refused in a moment, the last of whom brings it down.
    const pauseMs = instance.state === 'hot' ? retries.pauseMs() : undefined
    if (pauseMs !== undefined) setTimeout(() => this.#admit(same), pauseMs)
    else if (retries.repeatedFor) this.#fail(error)
    else {
      retries.repeatedFor = error
      this.#admit(same)
    }
  }

  #fail(thrown: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#attempt?.cancel()
    this.#lease?.release()
    const error = thrown instanceof HestiaError ? thrown : new HestiaError('internal_error', { cause: asError(thrown) })
    const { view, answer, service } = this.#job
    this.#account?.failed(error, answer.started)
    const instance = this.#decision?.instance
    const id = instance?.service.id ?? service?.id
    if (id !== undefined)
      this.#app.hestia.events.emit('request.failed', {
        requestId: view.id,
        service: id,
        ...(instance ? { instance: instance.name } : {}),
        code: error.code,
        error: thrown instanceof HestiaError ? error.message : asError(thrown).message,
      })
    answer.fail(error)
  }
}
