import { readSource } from './files/bundle.ts'
import { contentHash } from './files/content-hash.ts'
import { Watcher } from './files/watcher.ts'

/** Nobody waits for it: a mount that tells nothing is looked at this seldom. */
const POLL_MS = 10_000

/** Tells which files of the core are not any more those that run: what is reloaded live are plugins, strategies and the configuration. */
export class CoreWatch {
  readonly #made: ReadonlyMap<string, string>
  readonly #tell: (outdated: readonly string[]) => void
  readonly #watcher: Watcher
  readonly #outdated = new Set<string>()

  /**
   * @param made hashes of what was compiled, by absolute path
   * @param tell called for each change, with all files that differ; none, when everything is again as it runs
   */
  constructor(made: ReadonlyMap<string, string>, tell: (outdated: readonly string[]) => void, onError: (error: unknown) => void) {
    this.#made = made
    this.#tell = tell
    this.#watcher = new Watcher((changed) => this.#look(changed), { pollMs: POLL_MS, onError })
  }

  /** Begins; what has changed since it was compiled is told as well. */
  watch(): Promise<void> {
    return this.#watcher.watch({ folders: [], files: [...this.#made.keys()], known: this.#made })
  }

  close(): Promise<void> {
    return this.#watcher.close()
  }

  #look(changed: ReadonlySet<string>): void {
    const wasUpToDate = this.#outdated.size === 0
    for (const path of changed) {
      const bytes = readSource(path)
      if (!(bytes instanceof Error) && contentHash(bytes) === this.#made.get(path)) this.#outdated.delete(path)
      else this.#outdated.add(path)
    }
    if (!wasUpToDate || this.#outdated.size > 0) this.#tell([...this.#outdated].toSorted())
  }
}
