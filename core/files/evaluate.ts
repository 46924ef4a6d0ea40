import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import type { Problem } from '../problem.ts'
import type { Bundle } from './bundle.ts'

type Run = (module: { exports: unknown }, exports: unknown, require: (id: string) => unknown, external: ReadExternal) => void
type ReadExternal = (id: string, name: string) => unknown

/**
 * Runs a bundle and answers what its entry exports. Indirect eval is on purpose: it is the one way of running code
 * that V8 forgets together with the last reference, and whose lines Node maps by the inline source map.
 */
export function evaluate(file: string, { code, externals }: Bundle, shared: ReadonlyMap<string, object>): unknown {
  // Only now: Node looks through all code for maps that it loads from here on.
  process.setSourceMapsEnabled(true)
  const module = { exports: {} }
  const nodeRequire = createRequire(file)
  // One URL per file, whatever the version: Node keeps a source map for each URL for ever.
  const url = `${pathToFileURL(file).href}?live`
  const wrapped = `(function (module, exports, require, __hestia_external) {${code}\n})\n//# sourceURL=${url}`
  // biome-ignore lint/security/noGlobalEval: the code is the user's own file
  const run = globalThis.eval(wrapped) as Run // oxlint-disable-line no-eval
  run(
    module,
    module.exports,
    (id) => shared.get(id) ?? nodeRequire(id),
    (id, name) => (externals.get(id) as Record<string, unknown>)[name],
  )
  return module.exports
}

/** What is wrong when evaluating threw: at the first line of the stack that lies in one of the files that were read. */
export function evaluationProblem(file: string, error: unknown, { read }: Bundle): Problem {
  const message = `failed while it was loaded: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`
  const frames = error instanceof Error && typeof error.stack === 'string' ? error.stack.split('\n') : []
  for (const frame of frames) {
    for (const path of read.keys()) {
      const place = [path, pathToFileURL(path).href].map((name) => after(frame, `${name}:`)?.match(/^(\d+):(\d+)/)).find(Boolean)
      if (place) return { file: path, line: Number(place[1]), column: Number(place[2]), message }
    }
  }
  return { file, message }
}

function after(text: string, part: string): string | undefined {
  const start = text.indexOf(part)
  return start < 0 ? undefined : text.slice(start + part.length)
}
