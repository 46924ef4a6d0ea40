import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { EngineError } from './errors.ts'

const LONGEST_LINE = 1024 * 1024

/**
 * The values of a stream of JSON, one a line, as the Engine sends progress and events.
 * @throws {EngineError} when it is broken.
 */
export async function* ndjson<T>(stream: Readable, what: string): AsyncGenerator<T> {
  const decoder = new StringDecoder('utf8')
  let pending = ''
  const parse = (line: string): T => {
    try {
      return JSON.parse(line) as T
    } catch (error) {
      const start = JSON.stringify(line.slice(0, 80))
      throw new EngineError(`the Docker daemon's stream of ${what} is broken: ${start} is no JSON`, { cause: error })
    }
  }
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const lines = (pending + decoder.write(chunk)).split('\n')
    pending = lines.pop() ?? ''
    if (pending.length > LONGEST_LINE) throw new EngineError(`the Docker daemon's stream of ${what} has a line without an end`)
    for (const line of lines) if (line.trim() !== '') yield parse(line)
  }
  if (pending.trim() !== '') yield parse(pending)
}
