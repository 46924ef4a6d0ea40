import {
  closeSync,
  type FSWatcher,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  watch,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { addBytes, emptyLine, type LineBuffer, lastLine } from './lines.ts'

/**
 * What a process writes goes to two files of its own in a private temporary folder, which are followed here. With pipes it
 * would be the gateway that keeps its services writing: it ends or is killed, and each of them dies of SIGPIPE at its next
 * line. A file takes lines from anyone at any time, and a later gateway can go on reading.
 */
export interface Output {
  readonly folder: string
  readonly tails: readonly Tail[]
  /** File in which it stands how far each of them has been read, for whoever goes on. */
  readonly marks: number
  watchers: FSWatcher[]
  poll: NodeJS.Timeout | undefined
  rest: NodeJS.Timeout | undefined
}

export type StreamName = 'stdout' | 'stderr'

interface Tail {
  readonly stream: StreamName
  readonly file: string
  readonly fd: number
  offset: number
  readonly line: LineBuffer
}

export type TakeLine = (stream: StreamName, line: string) => void

const PREFIX = 'hestia-process-'
const MARKS = 'read'
/** A file that has been read up to its end is emptied when it is longer than this. */
const EMPTY_FROM = 256 * 1024
/** A file that is longer is emptied in any case; what was not read yet is left out, but for its end. */
const LONGEST_FILE = 4 * 1024 * 1024
/** Read in one turn of the event loop, then others have theirs: 1.6 MB/s in all. */
const PER_TURN = 16 * 1024
const REST_MS = 10
/** Bounds the last look, which takes no rest. */
const LAST_TURNS = 8
/** Events of the file system are hints that may be missing, as when the system has no watches left. */
const POLL_MS = 500

const chunk = Buffer.allocUnsafe(PER_TURN)

/** Makes the files, in a folder named after their owner; the process gets `fds`, which the caller closes once it runs. */
export function openOutput(owner: string): { output: Output; fds: [stdout: number, stderr: number] } {
  const folder = mkdtempSync(join(tmpdir(), `${PREFIX}${owner}-`))
  const open = (stream: StreamName): [number, Tail] => {
    const file = join(folder, `${stream}.log`)
    // Appending, so that the next write after the file was emptied goes to its begin.
    const fd = openSync(file, 'a', 0o600)
    return [fd, { stream, file, fd: openSync(file, 'r+'), offset: 0, line: emptyLine() }]
  }
  const [stdout, out] = open('stdout')
  const [stderr, err] = open('stderr')
  const marks = openSync(join(folder, MARKS), 'w', 0o600)
  return { output: { folder, tails: [out, err], marks, watchers: [], poll: undefined, rest: undefined }, fds: [stdout, stderr] }
}

/** Goes on where an earlier gateway left off. @throws when the files are gone. */
export function reopenOutput(folder: string): Output {
  const marks = openSync(join(folder, MARKS), 'r+')
  const read = readFileSync(marks, 'latin1').split(' ').map(Number)
  const tails = (['stdout', 'stderr'] as const).map((stream, index): Tail => {
    const file = join(folder, `${stream}.log`)
    return { stream, file, fd: openSync(file, 'r+'), offset: read[index] || 0, line: emptyLine() }
  })
  return { folder, tails, marks, watchers: [], poll: undefined, rest: undefined }
}

/** Calls `take` with each line as it comes, until `closeOutput`; keeps no process alive. */
export function followOutput(output: Output, take: TakeLine): void {
  const look = (): void => {
    if (output.rest) return
    if (!readOutput(output, take)) return
    output.rest = setTimeout(() => {
      output.rest = undefined
      look()
    }, REST_MS).unref()
  }
  output.poll = setInterval(look, POLL_MS).unref()
  try {
    for (const { file } of output.tails) {
      const watcher = watch(file, { persistent: false }, look)
      watcher.on('error', () => watcher.close())
      output.watchers.push(watcher)
    }
  } catch {
    // Out of watches: the poll does it alone.
  }
}

/** Takes what is there, up to a bound; answers whether there may be more. */
export function readOutput(output: Output, take: TakeLine): boolean {
  let more = false
  const before = marksOf(output)
  for (const tail of output.tails) more = readTail(tail, take) || more
  const after = marksOf(output)
  if (after !== before) writeSync(output.marks, after, 0)
  return more
}

/** Begins of the lines that are not complete yet; of fixed length, so that one write replaces another. */
const marksOf = ({ tails }: Output): string =>
  tails.map(({ offset, line }) => String(Math.max(0, offset - line.pending.length)).padStart(12, '0')).join(' ')

/** Takes the rest of what was written up to now, also a last line without an end. */
export function finishOutput(output: Output, take: TakeLine): void {
  for (const tail of output.tails) {
    leaveOut(tail, fstatSync(tail.fd).size - PER_TURN * (LAST_TURNS - 1), take)
    for (let turn = 0; turn < LAST_TURNS && readTail(tail, take); turn++);
    const line = lastLine(tail.line)
    if (line !== undefined) take(tail.stream, line)
  }
}

/** Stops following; the files stay, for whoever follows them next. */
export function closeOutput(output: Output): void {
  clearInterval(output.poll)
  clearTimeout(output.rest)
  for (const watcher of output.watchers.splice(0)) watcher.close()
  for (const { fd } of output.tails) closeSync(fd)
  closeSync(output.marks)
}

/** Folders with output of that owner. */
export const foldersOf = (owner: string): string[] =>
  readdirSync(tmpdir()).flatMap((name) => (name.startsWith(`${PREFIX}${owner}-`) ? [join(tmpdir(), name)] : []))

export const removeOutput = (output: Output): void => removeFolder(output.folder)

/** Removes a folder with output; one that is named otherwise, as a record may say that somebody has changed, stays. */
export function removeFolder(folder: string | undefined): void {
  if (folder !== undefined && basename(folder).startsWith(PREFIX)) rmSync(folder, { recursive: true, force: true })
}

// Synchronous: the bytes were written a moment ago and come from memory, and the death of a process can be reported with its
// last line in the very tick in which it is seen.
function readTail(tail: Tail, take: TakeLine): boolean {
  const { size } = fstatSync(tail.fd)
  // Shorter than before: somebody emptied it, as `> /dev/stdout` in a shell script does.
  if (size < tail.offset) tail.offset = 0
  const tooLong = size > LONGEST_FILE
  if (tooLong) leaveOut(tail, size - PER_TURN, take)
  const length = readSync(tail.fd, chunk, 0, PER_TURN, tail.offset)
  tail.offset += length
  for (const line of addBytes(tail.line, chunk.subarray(0, length))) take(tail.stream, line)
  const more = length === PER_TURN
  if (tooLong || (!more && tail.offset > EMPTY_FROM)) {
    // What is written between the read above and this call is lost; there is no way to empty a file up to a place.
    ftruncateSync(tail.fd)
    tail.offset = 0
  }
  return more
}

function leaveOut(tail: Tail, upTo: number, take: TakeLine): void {
  if (upTo <= tail.offset) return
  take(tail.stream, `[${upTo - tail.offset} bytes left out: output comes faster than it can be followed]`)
  tail.offset = upTo
  Object.assign(tail.line, emptyLine())
}
