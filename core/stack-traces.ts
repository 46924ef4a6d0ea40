import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { originalPositionFor, TraceMap } from '@jridgewell/trace-mapping'

const maps = new Map<string, TraceMap>()
let place: RegExp | undefined

/**
 * For the entry of a compiled program: from now on `withSources` names its sources, and a crash does. `url` is that of one of its
 * chunks, beside which the others lie with their maps.
 *
 * Node's own source maps would be read at the start, for 25 MB and 0.2 s, and every error would be mapped whose stack is looked at, as
 * streams do with each that is broken off; here only what is to be read is.
 */
export function provideSourceMaps(url: string): void {
  const folder = new URL('.', url).href.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  place = new RegExp(`(${folder}[\\w.-]+\\.mjs):(\\d+):(\\d+)`, 'g')
  process.on('uncaughtExceptionMonitor', (error: unknown) => {
    if (error instanceof Error && error.stack) error.stack = withSources(error.stack)
  })
}

/** A text with stack traces, whose lines name the sources (`file:///.../core/x.ts:12:3`) and not what they were compiled to. */
export function withSources(text: string): string {
  return place ? text.replace(place, sourceOf) : text
}

function sourceOf(compiled: string, file: string, line: string, column: string): string {
  try {
    const origin = originalPositionFor(mapOf(file), { line: Number(line), column: Number(column) - 1 })
    return origin.source === null ? compiled : `${new URL(origin.source, file).href}:${origin.line}:${origin.column + 1}`
  } catch {
    return compiled // a trace without a map is better than none
  }
}

function mapOf(file: string): TraceMap {
  let map = maps.get(file)
  if (!map) {
    map = new TraceMap(readFileSync(fileURLToPath(`${file}.map`), 'utf8'))
    maps.set(file, map)
  }
  return map
}
