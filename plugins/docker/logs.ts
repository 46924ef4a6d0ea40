import type { OutputLine } from 'hestia'
import type { Container } from './container.ts'
import type { Engine } from './engine.ts'

/** Longest line that is shown, in characters. */
const LONGEST_LINE = 8192
const HEADER = 8

/** The newest lines of a container's log, oldest first; none where its logging driver keeps nothing to read. */
export async function readLog(engine: Engine, { Id, Config }: Container, lines: number): Promise<OutputLine[]> {
  const query = { stdout: true, stderr: true, timestamps: true, tail: lines }
  const bytes = await engine.text('GET', `/containers/${Id}/logs`, { query })
  const parts = Config.Tty ? [{ stream: 'stdout' as const, bytes }] : frames(bytes)
  return parts
    .flatMap(({ stream, bytes: part }) =>
      part
        .toString()
        .split(/\r?\n/)
        .filter((line) => line !== '')
        .map((line) => toLine(stream, line)),
    )
    .toSorted((a, b) => a.at - b.at)
    .slice(-lines)
}

/**
 * The frames of a stream of a container without a terminal, of each stream in one piece: lines may be split over frames.
 * https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
 */
export function frames(bytes: Buffer): { stream: OutputLine['stream']; bytes: Buffer }[] {
  const found: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] }
  for (let at = 0; at + HEADER <= bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4)
    found[bytes[at] === 2 ? 'stderr' : 'stdout'].push(bytes.subarray(at + HEADER, at + HEADER + length))
    at += HEADER + length
  }
  return (['stdout', 'stderr'] as const).map((stream) => ({ stream, bytes: Buffer.concat(found[stream]) }))
}

function toLine(stream: OutputLine['stream'], text: string): OutputLine {
  const [, time = '', line = text] = /^(\S+Z) ?(.*)$/s.exec(text) ?? []
  const at = Date.parse(time)
  return {
    at: Number.isNaN(at) ? 0 : at,
    stream,
    line: line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)} [cut]` : line,
  }
}
