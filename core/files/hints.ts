import { watch as watchNames } from 'node:fs'
import { basename, extname } from 'node:path'
import { watch as watchFolder } from 'chokidar'
import { EXTENSIONS } from './snapshot.ts'

/** A folder to listen to. */
export interface HintSource {
  /** Another inode under the same name is another folder, and is listened to anew. */
  readonly inode: string
  /** Names in it that matter whatever their extension. */
  readonly names: ReadonlySet<string>
  /**
   * Why it is listened to. `walked`: every file in it is watched. `files`: single files in it are, which may be links
   * to somewhere else by way of other names. `above`: one of `names` in it, or what is to appear there, leads to a target.
   */
  readonly kind: 'walked' | 'files' | 'above'
}

/** chokidar is ready within a few milliseconds; on a mount that hangs it may never be. */
const READY_MS = 1_000

interface Listening {
  source: HintSource
  close(): Promise<void>
}

/**
 * Tells that something may have changed in some folders, not what. For walked folders there is one chokidar watcher
 * each, of which only the `raw` events are used: its `change` events come at most every 50 ms for a file, so that of two
 * quick saves the last would be lost, and its view of a folder that is replaced by another one is not always right.
 * The other folders belong to others, who may write in them all the time (the database beside the configuration):
 * there chokidar, which reads a folder anew after each event, would cost a quarter of a CPU, and Node's watch nothing.
 */
export class Hints {
  readonly #onHint: () => void
  readonly #onError: (error: unknown) => void
  readonly #listening = new Map<string, Listening>()

  constructor(onHint: () => void, onError: (error: unknown) => void) {
    this.#onHint = onHint
    this.#onError = onError
  }

  /**
   * Listens to exactly these folders, by path.
   * @returns true when some are new: what happened in them before this promise was fulfilled was not heard.
   */
  async listen(sources: ReadonlyMap<string, HintSource>): Promise<boolean> {
    const ended: Promise<void>[] = []
    for (const [folder, listening] of this.#listening) {
      const source = sources.get(folder)
      if (source && isSame(source, listening.source)) continue
      this.#listening.delete(folder)
      ended.push(listening.close())
    }
    await Promise.all(ended)
    const opened: Promise<void>[] = []
    for (const [folder, source] of sources) {
      const listening = this.#listening.get(folder)
      if (listening) listening.source = source
      else opened.push(this.#open(folder, source))
    }
    await Promise.all(opened)
    return opened.length > 0
  }

  async close(): Promise<void> {
    await this.listen(new Map())
  }

  /** When listening fails, for instance for want of inotify watches, that is told, and polling still sees everything. */
  async #open(folder: string, source: HintSource): Promise<void> {
    const listening: Listening = { source, close: () => Promise.resolve() }
    this.#listening.set(folder, listening)
    const onEvent = (event: string, name: string | null) => {
      if (name === null || matters(event, basename(name), listening.source)) this.#onHint()
    }
    try {
      if (source.kind === 'walked') {
        const watcher = watchFolder(folder, { depth: 0, ignoreInitial: true, atomic: false, ignored: (path) => path !== folder })
        listening.close = () => watcher.close()
        watcher.on('raw', onEvent).on('error', this.#onError)
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, READY_MS)
          const done = () => resolve(clearTimeout(timer))
          watcher.once('ready', done).once('error', done)
        })
      } else {
        const watcher = watchNames(folder, onEvent)
        listening.close = async () => watcher.close()
        watcher.on('error', this.#onError)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#onError(error) // gone already: the next scan knows
    }
  }
}

function isSame(one: HintSource, other: HintSource): boolean {
  return one.inode === other.inode && (one.kind === 'walked') === (other.kind === 'walked')
}

/** Keeps the files that others write in the same folder (databases, logs) from causing scans. */
function matters(event: string, name: string, { names, kind }: HintSource): boolean {
  if (names.has(name)) return true
  return kind !== 'above' && (event !== 'change' || EXTENSIONS.has(extname(name)) || extname(name) === '')
}
