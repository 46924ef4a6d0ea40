import { type BigIntStats, type Dirent, readFileSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import { contentHash } from './content-hash.ts'

/** Files and folders to look at; all paths absolute. */
export interface Targets {
  /** Folders, with what lies below them: files of `EXTENSIONS`; neither `node_modules` nor folders that begin with a dot. */
  readonly folders: readonly string[]
  /** Single files, of any extension. */
  readonly files: readonly string[]
}

/** What is known of one file. */
interface Seen {
  /** Hash of its content; undefined: there is no such file. */
  readonly hash: string | undefined
  /** Inode, size and times when it was read: while they are the same, the content is taken to be the same. */
  readonly stamp?: string
  /** False when it was written so shortly before it was read that a second write could have left the same stamp. */
  readonly settled?: boolean
}

/** The truth about all targets at one moment. */
export interface Snapshot {
  readonly seen: ReadonlyMap<string, Seen>
  /** Folders that were walked, with their inodes: another inode is another folder, although the name is the same. */
  readonly folders: ReadonlyMap<string, string>
  /** What could not be looked at for another reason than not being there. What was known of it is kept. */
  readonly errors: readonly unknown[]
}

/** Extensions of the files in watched folders that matter. */
export const EXTENSIONS: ReadonlySet<string> = new Set(['.ts', '.js', '.mjs', '.json', '.yml', '.yaml'])
/** Folders below a watched one are looked at down to this depth. */
const MAX_DEPTH = 8
/** Times of network file systems are this coarse (NFSv2, FAT: 2 s); local ones have 1-10 ms. */
const COARSEST_TIME_MS = 2_000

/** Files that are looked at side by side: whoever else waits for the file system, or the database, waits for no more than these. */
const AT_ONCE = 64

export const EMPTY: Snapshot = { seen: new Map(), folders: new Map(), errors: [] }

/** How fast to look: while there is time, at one file after the other, which disturbs nobody; may change meanwhile. */
export interface Pace {
  hurried: boolean
}

/** Looks at all targets. Content is read only of files whose inode, size or times differ from those in `before`. */
export async function takeSnapshot(targets: Targets, before: Snapshot, pace: Readonly<Pace>): Promise<Snapshot> {
  const walk: Walk = { files: new Set(targets.files), folders: new Map(), unread: [], errors: [] }
  await Promise.all(targets.folders.map((folder) => walkFolder(folder, 0, new Set(), walk)))
  const seen = new Map<string, Seen>()
  for (const [path, known] of before.seen) if (walk.unread.some((folder) => isBelow(folder, path))) seen.set(path, known)
  const rest = walk.files.values()
  const lookAtRest = async (untilHurried: boolean): Promise<void> => {
    for (const path of rest) {
      const known = before.seen.get(path)
      try {
        seen.set(path, await look(path, known))
      } catch (error) {
        walk.errors.push(error)
        if (known) seen.set(path, known)
      }
      if (untilHurried && pace.hurried) return
    }
  }
  if (!pace.hurried) await lookAtRest(true)
  await Promise.all(Array.from({ length: AT_ONCE }, () => lookAtRest(false)))
  return { seen, folders: walk.folders, errors: walk.errors }
}

/** Whether `path` lies below `folder`. */
export function isBelow(folder: string, path: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}

/** Inode of the folder at `path`; undefined when there is none. */
export async function folderInode(path: string): Promise<string | undefined> {
  const stats = await ifThere(stat(path, { bigint: true }))
  return stats?.isDirectory() ? inode(stats) : undefined
}

interface Walk {
  readonly files: Set<string>
  readonly folders: Map<string, string>
  readonly unread: string[]
  readonly errors: unknown[]
}

/**
 * Side by side, not one after the other: under load every answer of the file system waits for its turn.
 * `above`: inodes of the folders on the way, so that a link to one of them does not lead in circles.
 */
async function walkFolder(folder: string, depth: number, above: ReadonlySet<string>, walk: Walk): Promise<void> {
  try {
    const [id, entries = []] = await Promise.all([folderInode(folder), ifThere(readdir(folder, { withFileTypes: true }))])
    if (id === undefined || above.has(id)) return
    walk.folders.set(folder, id)
    const visit = async (entry: Dirent): Promise<void> => {
      const path = join(folder, entry.name)
      const kind = entry.isSymbolicLink() ? await ifThere(stat(path)) : entry
      if (kind?.isFile() && EXTENSIONS.has(extname(entry.name))) walk.files.add(path)
      if (kind?.isDirectory() && depth < MAX_DEPTH && entry.name !== 'node_modules' && !entry.name.startsWith('.')) {
        await walkFolder(path, depth + 1, new Set(above).add(id), walk)
      }
    }
    await Promise.all(entries.map(visit))
  } catch (error) {
    walk.unread.push(folder)
    walk.errors.push(error)
  }
}

async function look(path: string, known: Seen | undefined): Promise<Seen> {
  const now = Date.now()
  const stats = await ifThere(stat(path, { bigint: true }))
  if (!stats?.isFile()) return { hash: undefined }
  const stamp = `${inode(stats)} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`
  if (known?.settled && known.stamp === stamp) return known
  const content = await ifThere(read(path))
  if (!content) return { hash: undefined }
  const settled = now - Number(stats.mtimeMs > stats.ctimeMs ? stats.mtimeMs : stats.ctimeMs) > COARSEST_TIME_MS
  return { hash: contentHash(content), stamp, settled }
}

/** In one go: hundreds that are open at once at the start would cost 8 MiB and 40 ms. It was looked at, so its mount answers. */
const read = async (path: string): Promise<Buffer> => readFileSync(path)

const inode = ({ dev, ino }: BigIntStats) => `${dev}:${ino}`

/** Undefined for what is not there; any other error is thrown. */
async function ifThere<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR'].includes(code)) return undefined
    throw error
  }
}
