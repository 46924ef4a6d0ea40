import { basename, dirname, resolve } from 'node:path'
import { type HintSource, Hints } from './hints.ts'
import { EMPTY, folderInode, isBelow, type Pace, type Snapshot, type Targets, takeSnapshot } from './snapshot.ts'

type Hashes = ReadonlyMap<string, string | undefined>

/** What to watch; relative paths are taken from the working directory. */
export interface WatchTargets extends Targets {
  /**
   * Hashes (`contentHash`) of what others have read already, by absolute path; undefined: looked for in vain. A file
   * that is watched for the first time is reported if it differs from this.
   */
  readonly known?: Hashes
}

export interface WatcherOptions {
  /** A scan comes this many milliseconds after the last hint; default 20. */
  readonly quietMs?: number
  /** ... and at most this many after the first, however many follow; default 200. */
  readonly maxWaitMs?: number
  /** Milliseconds between scans without any hint, for mounts that tell nothing, or more where one takes long; default 1000, 0: none. */
  readonly pollMs?: number
  /** Told of everything that went wrong; the watcher goes on. */
  readonly onError?: (error: unknown) => void
}

/** A scan is followed by so many times its own time without another one for which there is no hint ... */
const PAUSE = 100
/** ... but by no more than this, in milliseconds. */
const LONGEST_PAUSE_MS = 10_000

/**
 * Reports files whose content is another than before: changed, new or gone. Events are hints, the truth is a scan by
 * content hash; a file is reported when its last content is on disk, and touching it is nothing.
 */
export class Watcher {
  readonly #onChange: (changed: ReadonlySet<string>) => void | Promise<void>
  readonly #onError: (error: unknown) => void
  readonly #quietMs: number
  readonly #maxWaitMs: number
  readonly #pollMs: number
  readonly #hints: Hints
  #targets: Targets = { folders: [], files: [] }
  #snapshot: Snapshot = EMPTY
  #running: Promise<void> = Promise.resolve()
  #queued: Promise<void> | undefined
  #firstHint: number | undefined
  #timer: NodeJS.Timeout | undefined
  #poll: NodeJS.Timeout | undefined
  /** How long the last look at everything took, in milliseconds. */
  #scanMs = 0
  /** Of the scan that runs or comes next: nobody waits for one without a hint. */
  #pace: Pace = { hurried: true }
  #told: ReadonlySet<string> = new Set()
  #closed = false

  constructor(onChange: (changed: ReadonlySet<string>) => void | Promise<void>, options: WatcherOptions = {}) {
    this.#onChange = onChange
    this.#onError = options.onError ?? (() => undefined)
    this.#quietMs = options.quietMs ?? 20
    this.#maxWaitMs = options.maxWaitMs ?? 200
    this.#pollMs = options.pollMs ?? 1_000
    this.#hints = new Hints(() => this.#hint(), this.#onError)
  }

  /**
   * Sets anew what is watched. Files that were watched before keep what is known of them; those that are new are taken
   * as they are, or compared with `known`. Fulfilled when every change from now on is seen and the differences so far
   * are reported. To miss nothing at the start: watch the folders, load, watch again with the hashes of what was read.
   */
  watch({ folders, files, known = new Map<string, string>() }: WatchTargets): Promise<void> {
    const targets = { folders: folders.map((path) => resolve(path)), files: files.map((path) => resolve(path)) }
    this.#pace.hurried = true
    return this.#inTurn(async () => {
      const before = this.#targets
      this.#targets = targets
      await this.#scan(known, before)
    })
  }

  /** Scans now. Fulfilled when all that was changed before the call is reported. */
  scan(): Promise<void> {
    this.#pace.hurried = true
    return this.#queue()
  }

  #queue(): Promise<void> {
    this.#queued ??= this.#inTurn(async () => {
      this.#queued = undefined
      this.#firstHint = undefined
      clearTimeout(this.#timer)
      await this.#scan(new Map(), this.#targets)
    })
    return this.#queued
  }

  /** Reports nothing any more; fulfilled when a running scan has ended and nothing is listened to. */
  async close(): Promise<void> {
    this.#closed = true
    this.#pace.hurried = true
    clearTimeout(this.#timer)
    clearTimeout(this.#poll)
    await this.#running
    await this.#hints.close()
  }

  #hint(): void {
    if (this.#closed) return
    const now = performance.now()
    this.#firstHint ??= now
    clearTimeout(this.#timer)
    const wait = Math.max(0, Math.min(this.#quietMs, this.#firstHint + this.#maxWaitMs - now))
    this.#timer = setTimeout(() => void this.scan(), wait)
  }

  /** Runs one thing after the other; what fails is told, and the next one runs all the same. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#running = this.#running
      .then(() => {
        // It would take the hurry from what waits behind this.
        clearTimeout(this.#poll)
        return this.#closed ? undefined : work()
      })
      .catch(this.#onError)
      .finally(() => this.#schedulePoll())
    return this.#running
  }

  #schedulePoll(): void {
    clearTimeout(this.#poll)
    if (this.#closed || this.#pollMs === 0) return
    const pause = Math.max(this.#pollMs, Math.min(this.#scanMs * PAUSE, LONGEST_PAUSE_MS))
    this.#poll = setTimeout(() => {
      this.#pace = { hurried: false }
      void this.#queue()
    }, pause).unref()
  }

  /** What was not watched `before` is compared with `known`, or else taken as it is. */
  async #scan(known: Hashes, before: Targets): Promise<void> {
    const changed = new Set<string>()
    for (let again = true; again; ) {
      const beganAt = performance.now()
      const snapshot = await takeSnapshot(this.#targets, this.#snapshot, this.#pace)
      this.#scanMs = performance.now() - beganAt
      const past = this.#snapshot.seen
      for (const path of new Set([...past.keys(), ...snapshot.seen.keys(), ...known.keys()])) {
        const watched = past.has(path) || covers(before, path)
        const was = watched ? past.get(path)?.hash : known.get(path)
        if (was === snapshot.seen.get(path)?.hash || !(watched || known.has(path)) || !covers(this.#targets, path)) continue
        changed.add(path)
      }
      this.#tell(snapshot.errors)
      this.#snapshot = snapshot
      // What changed in a new folder between looking at it and listening to it was neither seen nor heard: look again.
      again = !this.#closed && (await this.#hints.listen(await hintSources(this.#targets, snapshot)))
    }
    if (changed.size > 0 && !this.#closed) this.#report(changed)
  }

  /** What goes wrong at every scan is told once. */
  #tell(errors: readonly unknown[]): void {
    for (const error of errors) if (!this.#told.has(String(error))) this.#onError(error)
    this.#told = new Set(errors.map(String))
  }

  /** Called at once, and whatever it throws, now or later, is told and not thrown on. */
  #report(changed: ReadonlySet<string>): void {
    const call = async () => this.#onChange(changed)
    call().catch(this.#onError)
  }
}

function covers({ folders, files }: Targets, path: string): boolean {
  return files.includes(path) || folders.some((folder) => isBelow(folder, path))
}

/**
 * Folders whose events matter: those that were walked, those of single files, and for each that is not there the
 * nearest one above it, where it would appear; of folders that were walked the one above, where they would be replaced.
 */
async function hintSources(targets: Targets, { folders }: Snapshot): Promise<Map<string, HintSource>> {
  const sources = new Map<string, HintSource & { names: Set<string> }>()
  for (const [folder, inode] of folders) sources.set(folder, { inode, names: new Set(), kind: 'walked' })
  /** Listens in the nearest folder that is there for the name that leads on to `path`. */
  const addNearest = async (path: string, kind: 'files' | 'above'): Promise<void> => {
    const folder = dirname(path)
    if (folder === path) return
    const source = sources.get(folder)
    const inode = source?.inode ?? (await folderInode(folder))
    if (inode === undefined) return addNearest(folder, 'above')
    const names = new Set(source?.names).add(basename(path))
    sources.set(folder, { inode, names, kind: source && source.kind !== 'above' ? source.kind : kind })
  }
  for (const folder of targets.folders) await addNearest(folder, 'above')
  for (const file of targets.files) await addNearest(file, 'files')
  return sources
}
