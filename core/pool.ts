interface Kept {
  readonly value: unknown
  readonly dispose: ((value: never) => void | Promise<void>) | undefined
  holders: number
}

/** One holder's claims on the pool; a generation has one. */
export interface Holding {
  /**
   * The value under `key`, made by `create` if nobody holds it yet. The key carries a version of the value's shape
   * (`queue@1`), since newer code meets older values. The first `dispose` given counts.
   */
  keep<T>(key: string, create: () => T, dispose?: (value: T) => void | Promise<void>): T
  /** Gives up all claims; values that nobody holds any more are disposed of. */
  release(): Promise<void>
}

/** Values that outlive generations, counted by reference: a value lives from its first holder to its last. */
export class Pool {
  readonly #kept = new Map<string, Kept>()

  hold(): Holding {
    const held = new Set<string>()
    return {
      keep: <T>(key: string, create: () => T, dispose?: (value: T) => void | Promise<void>): T => {
        let kept = this.#kept.get(key)
        if (!kept) {
          kept = { value: create(), dispose, holders: 0 }
          this.#kept.set(key, kept)
        }
        if (!held.has(key)) {
          held.add(key)
          kept.holders++
        }
        return kept.value as T
      },
      release: async () => {
        const keys = [...held]
        held.clear()
        const results = await Promise.allSettled(keys.map((key) => this.#release(key)))
        const failed = results.filter((result) => result.status === 'rejected').map((result) => result.reason as unknown)
        if (failed.length > 0) throw new AggregateError(failed, 'kept values could not be disposed of')
      },
    }
  }

  async #release(key: string): Promise<void> {
    const kept = this.#kept.get(key)
    if (!kept || --kept.holders > 0) return
    this.#kept.delete(key)
    await kept.dispose?.(kept.value as never)
  }

  /** Keys of what is kept now; empty when everything has ended. */
  keys(): string[] {
    return [...this.#kept.keys()]
  }
}
