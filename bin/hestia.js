#!/usr/bin/env node
// @ts-check
import module from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { compiledSources } from './sources.js'

/** @param {Partial<import('esbuild').BuildFailure>} failure */
function explain({ errors }) {
  const lines = errors?.map(({ location, text }) =>
    location ? `${location.file}:${location.line}:${location.column + 1} ${text}\n    ${location.lineText.trim()}` : text,
  )
  return lines?.join('\n')
}

let compiled
try {
  compiled = await compiledSources(dirname(dirname(fileURLToPath(import.meta.url))))
} catch (error) {
  const why = explain(/** @type {object} */ (error)) ?? (error instanceof Error ? error.stack : String(error))
  process.stderr.write(`hestia: its own sources cannot be compiled:\n${why}\n`)
  process.exit(1)
}
// V8's code cache (Node 22.1 on) makes later starts faster.
const { enableCompileCache } = /** @type {{ enableCompileCache?: (folder: string) => unknown }} */ (module)
enableCompileCache?.(join(compiled.folder, 'v8'))
const { default: start } = await import(pathToFileURL(compiled.program).href)
await start(compiled.madeOf)
