import { resolve } from 'node:path'
import { type Problem, ProblemError } from '../problem.ts'
import { type Bundle, bundle, readSource, stopBundling } from './bundle.ts'
import { contentHash } from './content-hash.ts'
import { evaluate, evaluationProblem } from './evaluate.ts'

/** One version of a user file, evaluated once. */
export interface LoadedModule {
  /** Absolute path of the entry. */
  readonly file: string
  /** The default export; without one, the namespace. */
  readonly exported: unknown
  /** Absolute paths of everything the file consists of: itself and its relative imports. */
  readonly inputs: readonly string[]
  /** Hash over path and content of all inputs: same version, same code. */
  readonly version: string
}

/** A file that is part of the program. */
export interface CompiledFile {
  /** What it exports. */
  readonly load: () => Promise<unknown>
  /** Hashes of what it was made of, by absolute path: taken only while all of it is so still. Without them it is never read. */
  readonly read?: ReadonlyMap<string, string> | undefined
}

export interface ModuleLoaderOptions {
  /** Running modules by id: what `import ... from 'hestia'` means in a user file, wherever it lies. */
  readonly shared: ReadonlyMap<string, object>
  /** Hestia's own folder. */
  readonly root: string
  /** Files that were compiled with the program, by their absolute paths. */
  readonly compiled?: ReadonlyMap<string, CompiledFile>
  /** How a file is named in problems; by default its absolute path. */
  readonly displayPath?: (file: string) => string
}

/** While a file is saved faster than it builds, this many builds are thrown away before the newest is taken as it is. */
const MAX_REBUILDS = 3

/**
 * Loads files from source, and again when they or what they import changed: the same content is the same object,
 * replaced code is forgotten. What was compiled with the program needs no loading while it is unchanged. npm packages and `node:` modules are Node's own and stay as they were first imported.
 * Whether a file is unchanged is judged by the files it was made of: a new file that would now win over one of them
 * (`x.ts` beside `x/index.ts`) is seen when one of those changes.
 */
export class ModuleLoader {
  readonly #shared: ReadonlyMap<string, object>
  readonly #root: string
  readonly #displayPath: (file: string) => string
  readonly #compiled: ReadonlyMap<string, CompiledFile>
  readonly #good = new Map<string, { module: LoadedModule; read: Bundle['read'] }>()
  readonly #read = new Map<string, Bundle['read']>()
  /** Entries whose module is known to be what lies on disk. */
  readonly #current = new Set<string>()
  readonly #running = new Map<string, Promise<LoadedModule>>()
  readonly #queued = new Map<string, Promise<LoadedModule>>()

  constructor({ shared, root, compiled = new Map(), displayPath = (file) => file }: ModuleLoaderOptions) {
    this.#shared = shared
    this.#root = resolve(root)
    this.#displayPath = displayPath
    this.#compiled = compiled
  }

  /**
   * The module at `file` as it is on disk now; the very same object while nothing changed.
   * @throws {ProblemError} with file, line and column, when it can't be read, parsed, resolved or evaluated.
   */
  load(file: string): Promise<LoadedModule> {
    const path = resolve(file)
    const compiled = this.#compiled.get(path)
    if (compiled && !compiled.read)
      return compiled.load().then((exported) => ({ file: path, exported, inputs: [], version: 'compiled' }))
    const good = this.#current.has(path) ? this.#good.get(path) : undefined
    if (good) return Promise.resolve(good.module)
    const running = this.#running.get(path)
    if (!running) return this.#start(path)
    // What is running may have read the file before this call: look once more after it, which costs a few hashes.
    let queued = this.#queued.get(path)
    if (!queued) {
      const again = () => {
        this.#queued.delete(path)
        return this.#start(path)
      }
      queued = running.then(again, again)
      this.#queued.set(path, queued)
    }
    return queued
  }

  /**
   * Files have changed; without a list, any may have. Until it is told, a module that was loaded is taken to be as it is on
   * disk, without a look.
   */
  invalidate(changed?: ReadonlySet<string>): void {
    for (const path of this.#current) {
      const read = this.#read.get(path) ?? new Map<string, string>()
      if (!changed || [...read.keys()].some((input) => changed.has(input))) this.#current.delete(path)
    }
  }

  /**
   * The files that the last attempt to load `file` has read, failed or not, with the hashes of what was read;
   * undefined: imported, but not there. All of them are worth watching.
   */
  read(file: string): ReadonlyMap<string, string | undefined> {
    return this.#read.get(resolve(file)) ?? new Map()
  }

  /** Forgets a file that is no longer in use. */
  forget(file: string): void {
    this.#good.delete(resolve(file))
    this.#current.delete(resolve(file))
    this.#read.delete(resolve(file))
  }

  /** Everything that the last loads of all files read: paths with the hash of their content, undefined where it was missing. */
  readings(): ReadonlyMap<string, string | undefined> {
    return new Map([...this.#read.values()].flatMap((read) => [...read]))
  }

  /** Waits for what is being loaded, forgets everything and ends esbuild's child process. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#running.values(), ...this.#queued.values()])
    this.#good.clear()
    this.#current.clear()
    this.#read.clear()
    await stopBundling()
  }

  #start(path: string): Promise<LoadedModule> {
    const running = this.#load(path).finally(() => {
      if (this.#running.get(path) === running) this.#running.delete(path)
    })
    this.#running.set(path, running)
    return running
  }

  async #load(path: string): Promise<LoadedModule> {
    const good = this.#good.get(path)
    if (good && isUnchanged(good.read)) {
      this.#read.set(path, good.read)
      this.#current.add(path)
      return good.module
    }
    const compiled = this.#compiled.get(path)
    if (compiled?.read && isUnchanged(compiled.read)) {
      const loaded = await compiled.load().then(
        (exported) => ({ exported }),
        () => undefined,
      )
      // What is compiled together fails together; on its own it is told what is wrong with it.
      if (loaded) return this.#take(path, loaded.exported, compiled.read)
    }
    const built = await this.#build(path)
    this.#read.set(path, built.read)
    if (built.problems.length > 0) throw this.#refuse(built.problems)
    let exported: unknown
    try {
      exported = evaluate(path, built, this.#shared)
    } catch (error) {
      throw this.#refuse([evaluationProblem(path, error, built)], error)
    }
    return this.#take(path, hasDefault(exported) ? exported.default : exported, built.read)
  }

  #take(file: string, exported: unknown, read: Bundle['read']): LoadedModule {
    const module: LoadedModule = { file, exported, inputs: [...read.keys()].toSorted(), version: versionOf(read) }
    this.#good.set(file, { module, read })
    this.#read.set(file, read)
    this.#current.add(file)
    return module
  }

  /** Builds again when a file changed meanwhile, so that the answer is what lies on disk at the end. */
  async #build(path: string): Promise<Bundle> {
    for (let rebuilds = 0; ; rebuilds++) {
      const built = await bundle(path, this.#shared, this.#root)
      if (rebuilds === MAX_REBUILDS || isUnchanged(built.read)) return built
    }
  }

  #refuse(problems: readonly Problem[], cause?: unknown): ProblemError {
    return new ProblemError(
      problems.map((problem) => ({ ...problem, file: this.#displayPath(problem.file) })),
      cause,
    )
  }
}

const isUnchanged = (read: Bundle['read']): boolean => [...read].every(([path, hash]) => hashOf(path) === hash)

function hashOf(path: string): string | undefined {
  const bytes = readSource(path)
  return bytes instanceof Error ? undefined : contentHash(bytes)
}

function versionOf(read: Bundle['read']): string {
  return contentHash(JSON.stringify([...read].toSorted(([a], [b]) => (a < b ? -1 : 1))))
}

function hasDefault(exported: unknown): exported is { default: unknown } {
  return typeof exported === 'object' && exported !== null && '__esModule' in exported && 'default' in exported
}
