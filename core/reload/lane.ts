/**
 * Runs one kind of work, one run at a time. Whoever asks during a run gets the next one, which all who ask meanwhile share: so
 * the last change always counts and none is lost.
 */
export class Lane<T> {
  readonly #work: () => Promise<T>
  #running: Promise<T> | undefined
  #next: Promise<T> | undefined

  constructor(work: () => Promise<T>) {
    this.#work = work
  }

  /** A run that begins after this call. */
  request(): Promise<T> {
    if (!this.#running) return this.#run()
    this.#next ??= this.#running.then(
      () => this.#run(),
      () => this.#run(),
    )
    return this.#next
  }

  /** Ends when nothing runs and nothing is asked for; never rejects. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running.catch(() => undefined)
  }

  #run(): Promise<T> {
    this.#next = undefined
    const run = this.#work().finally(() => {
      if (this.#running === run) this.#running = undefined
    })
    this.#running = run
    return run
  }
}
