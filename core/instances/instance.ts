import type { ResolvedInstance } from '../config/types.ts'
import { HestiaError } from '../errors.ts'
import { Gone, judge, monotonic } from './adoption.ts'
import { asleep } from './asleep.ts'
import { Backoff, STABLE_AFTER_MS } from './backoff.ts'
import type { Lease } from './lease.ts'
import type { Owner, Surroundings } from './lifecycle.ts'
import { Occupancy } from './occupancy.ts'
import type { InstanceRecord } from './record.ts'
import { StartRun } from './start-run.ts'
import type { InstanceState, StopReason } from './state.ts'

/**
 * One place where a service can run; the unit of lifecycle. Every decision to start or stop is taken here, in the same tick
 * in which the state changes, so that no two starts run at once and nobody acts on an outdated state.
 */
export class Instance extends Occupancy<Instance> {
  /** Not stopped for idleness before this moment (`performance.now()`). */
  keepUntil = 0
  readonly #around: Surroundings<Instance>
  readonly #backoff = new Backoff()
  #state: InstanceState = 'cold'
  #hotSince = 0
  #run: StartRun<Instance> | undefined
  #down: Promise<void> | undefined
  #asking = false
  #closed: HestiaError | undefined
  #atCold: (() => void)[] = []

  constructor(service: Owner<Instance>, settings: ResolvedInstance, around: Surroundings<Instance>) {
    super(service, settings, around.events)
    this.#around = around
  }

  get state(): InstanceState {
    return this.#state
  }

  protected override get isCold(): boolean {
    return this.#state === 'cold'
  }

  /**
   * Whether a request sent there is likely to be answered. One that a starter brings up is as good as new once its pause after
   * a failure is over; any other must have been seen to be up again.
   */
  get usable(): boolean {
    if (this.#state === 'hot' || this.#state === 'starting') return this.healthy && !this.held
    return this.cooling === undefined && (this.healthy || this.isManaged)
  }

  /** How long the current start has lasted, without the wait for its turn, in milliseconds; undefined unless it is starting. */
  get startingForMs(): number | undefined {
    return this.#run && this.#state === 'starting' ? performance.now() - this.#run.beganAt - this.#run.waitedMs : undefined
  }

  /** What the gateway before this one wrote of it, while it is being adopted. */
  get found(): InstanceRecord | undefined {
    return this.#run?.found
  }

  /** Why it is left alone for now, with the time left as `retryAfterMs`. */
  get cooling(): HestiaError | undefined {
    return this.#backoff.refusal
  }

  /**
   * A lease, if the instance is hot, not held and takes requests. A passive request neither wakes an instance nor keeps it awake.
   * @throws {HestiaError} `no_instance` for a passive request, when it would have to wait.
   */
  tryAcquire(passive = false): Lease | undefined {
    if (this.#state === 'hot' && !this.#closed && !this.held) return this.lease(passive)
    if (passive) throw asleep(this)
    return undefined
  }

  protected override vacated(): void {
    if (this.#closed?.code === 'service_removed') void this.stop('removed')
  }

  /**
   * One more waits; starts the instance if it is cold. Listen with `subscribe`, and call `leave` once for each `join`.
   * @throws {HestiaError} `start_failed` while it cools down, `service_removed`, `shutting_down`.
   */
  join(): void {
    const refusal = this.#closed ?? (this.#state === 'cold' ? this.cooling : undefined)
    if (refusal) throw refusal
    this.arrived()
    this.#run?.reconsider()
    if (this.#state === 'cold') this.#begin('request')
  }

  /** One less waits. A start that nobody waits for any more goes on or ends, as `start.abandon` says. */
  leave(): void {
    this.departed()
    this.#run?.reconsider()
  }

  /**
   * Starts it whether anybody waits or not, also while it cools down.
   * @returns a promise that ends when it is hot.
   * @throws {HestiaError} as the promise's reason, when it could not be started.
   */
  async start(cause = 'manual'): Promise<void> {
    while (this.#state === 'stopping') await this.#down
    if (this.#closed) throw this.#closed
    if (this.#state === 'hot') return
    this.#backoff.lift()
    if (this.#state === 'cold') this.#begin(cause)
    const run = this.#run!
    run.pinned = true
    const error = await run.ended
    if (error) throw error
  }

  /**
   * Brings it down. `idle` and `evicted` ask the `pre` handlers of `onIdle` first and look again, in the tick in which the
   * state changes, whether it is still free.
   * @returns false when it turned out to be busy.
   */
  async stop(reason: StopReason, isFree: () => boolean = () => this.inFlight === 0 && this.waiting === 0): Promise<boolean> {
    const asks = reason === 'idle' || reason === 'evicted'
    if (this.#state === 'starting') {
      if (reason === 'idle' || (asks && !isFree())) return false
      this.#abortStart(`it was stopped (${reason})`)
    } else if (this.#state === 'hot') {
      if (asks && (this.#asking || !isFree() || (await this.#isKept(reason)))) return false
      // The answer took a while: what counts is how things are in the tick in which the state changes.
      if (this.state === 'hot') {
        if (asks && !isFree()) return false
        this.#bringDown(reason, asks)
      }
    }
    await this.#down
    return true
  }

  /** Told by a starter that what it started has ended by itself. */
  crashed(error: Error): void {
    if (this.#state === 'starting') this.#run?.attemptFailed(error)
    if (this.#state !== 'hot') return
    this.events.emit('instance.crashed', { ...this.who, error: error.message })
    this.setHealth(false, error.message)
    if (this.isManaged && performance.now() - this.#hotSince < STABLE_AFTER_MS)
      this.#noteFailure(`it ended soon after its start: ${error.message}`)
    if (this.state === 'hot') this.#bringDown('crashed', false)
  }

  /** It could not be reached, and nothing was sent: goes down, so that it is started anew, unless others are being served. */
  unreachable(error: Error): void {
    this.setHealth(false, error.message)
    if (this.inFlight === 0) this.crashed(error)
  }

  /**
   * Takes over what an earlier gateway left, in one step: who comes from now on waits for what becomes of it. What runs is picked
   * up as a start is, without starting anything; what is not to run is ended.
   */
  adopt(record: InstanceRecord, reason: StopReason = 'shutdown'): void {
    if (this.#state !== 'cold') return
    const { action, data, reason: why, orphaned } = judge(record, this, this.#around.hooks().starters)
    if (why) this.events.emit('instance.not_adopted', { ...this.who, was: record.state, reason: why, orphaned })
    if (action === 'forget') return
    this.data = data
    this.moveTo(record.url)
    if (action === 'end') this.#bringDown(reason, false)
    else this.#begin('adopted', record)
  }

  /** Takes nobody any more; stops when nothing is in flight. */
  close(error: HestiaError): void {
    this.#closed = error
    // What is only being picked up has a life of its own.
    if (this.#state === 'starting' && !(this.found && error.code === 'shutting_down')) this.#abortStart(error.message)
    else this.tell('failed', error)
    if (this.inFlight === 0 && error.code === 'service_removed') void this.stop('removed')
  }

  /** Ends when it is cold: when nothing is in flight any more, or after `timeoutMs` whatever is. For one that was closed. */
  async gone(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => {
      if (this.#closed) void this.stop('removed')
    }, timeoutMs).unref()
    while (this.#state !== 'cold' && this.#closed) await new Promise<void>((resolve) => this.#atCold.push(resolve))
    clearTimeout(timer)
  }

  /** Takes requests again, after its service was removed and came back. */
  reopen(): void {
    this.#closed = undefined
    for (const tell of this.#atCold.splice(0)) tell()
  }

  /** Whether a plugin says that it is still busy. */
  async #isKept(reason: StopReason): Promise<boolean> {
    this.#asking = true
    const busy = await this.#around.hooks().askStillBusy({ instance: this, reason })
    this.#asking = false
    if (!busy) return false
    this.keepUntil = performance.now() + busy.keepFor
    this.events.emit('instance.kept', { ...this.who, plugin: busy.plugin, keepForMs: busy.keepFor })
    return true
  }

  #begin(cause: string, found?: InstanceRecord): void {
    const run: StartRun<Instance> = new StartRun<Instance>(this, this.#around, found, {
      succeeded: (attempt) => this.#becomeHot(run, attempt),
      unwanted: () => this.#abortStart('nobody waits for it any more'),
    })
    this.#run = run
    this.#become('starting', cause)
    void run.go().then((error) => {
      if (error) this.#endStart(run, error)
      run.end()
    })
  }

  #becomeHot(run: StartRun<Instance>, attempt: number): void {
    const now = performance.now()
    const { found } = run
    const isOld = found?.state === 'hot'
    this.#run = undefined
    this.#hotSince = isOld ? monotonic(found.since) : now
    this.beginAnew(isOld ? monotonic(found.idleSince) : now)
    this.#backoff.lift()
    this.#become('hot', 'ready')
    this.setHealth(true, 'it was started')
    const durationMs = now - run.beganAt
    if (found) this.events.emit('instance.adopted', { ...this.who, was: found.state, starters: Object.keys(this.data) })
    else this.events.emit('instance.ready', { ...this.who, durationMs, waitedMs: run.waitedMs, attempt })
    this.tell('hot')
    void this.#around.hooks().onReady({ instance: this, durationMs })
  }

  #endStart(run: StartRun<Instance>, error: Error): void {
    const given = run.signal.aborted
    const isGone = !given && error instanceof Gone
    const failure = given || isGone ? undefined : this.#noteFailure(error.message, error)
    this.#run = undefined
    this.#becomeCold(isGone ? 'gone' : 'start_failed')
    if (failure) this.tell('failed', failure)
    run.end(failure ?? (given ? (run.signal.reason as HestiaError) : undefined))
    this.#restartIfWanted()
  }

  /** Ends a start under way: who waited so far waits in vain, who comes now waits for the next one. */
  #abortStart(why: string): void {
    const run = this.#run
    if (!run || this.#state !== 'starting') return
    const message = `The start of service ${this.service.id} was given up: ${why}.`
    const error = this.#closed ?? new HestiaError('start_failed', { message })
    this.#down = run.ended.then(() => undefined)
    this.#become('stopping', why)
    run.abort(error)
    this.tell('failed', error)
  }

  #bringDown(reason: StopReason, asked: boolean): void {
    const beganAt = performance.now()
    if (performance.now() - this.#hotSince >= STABLE_AFTER_MS) this.#backoff.succeeded()
    this.#down = Promise.resolve()
      .then(() => this.#around.hooks().onIdle({ instance: this, reason }, asked))
      .then(() => {
        this.data = {}
        this.#becomeCold(reason)
        this.events.emit('instance.stopped', { ...this.who, reason, durationMs: performance.now() - beganAt })
        this.#restartIfWanted()
      })
    this.#become('stopping', reason)
  }

  #becomeCold(reason: string): void {
    this.#down = undefined
    this.keepUntil = 0
    this.moveTo()
    this.#become('cold', reason)
    for (const tell of this.#atCold.splice(0)) tell()
  }

  /** Those who came while it was going down wait for its next start, if there may be one. */
  #restartIfWanted(): void {
    if (this.waiting === 0 || this.#state !== 'cold') return
    const refusal = this.#closed ?? this.cooling
    if (refusal) this.tell('failed', refusal)
    else this.#begin('request')
  }

  #noteFailure(why: string, cause?: Error): HestiaError {
    const { error, retryAfterMs } = this.#backoff.failed(this, why, cause)
    this.events.emit('instance.start_failed', { ...this.who, error: why, retryAfterMs })
    return error
  }

  #become(state: InstanceState, reason: string): void {
    const from = this.#state
    this.#state = state
    this.events.emit('instance.state', { ...this.who, from, to: state, reason })
  }
}
