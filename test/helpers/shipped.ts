import { fileURLToPath, pathToFileURL } from 'node:url'
import { compiledSources } from '../../bin/sources.js'
import { provideCompiled } from '../../core/compiled.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

let provided: Promise<void> | undefined

/**
 * What `bin/hestia.js` does: plugins and strategies that are shipped are part of the program, and are compiled one by one only when
 * their sources change.
 */
export const provideShipped = (): Promise<void> => (provided ??= provide())

async function provide(): Promise<void> {
  const { madeOf } = await compiledSources(ROOT)
  // The core runs from its sources here, and is not watched.
  const parts = Object.entries(madeOf).filter(([path]) => /^(?:plugins|strategies)\//.test(path))
  provideCompiled(Object.fromEntries(parts.map(([path]) => [path, () => load(path)])), Object.fromEntries(parts))
}

async function load(path: string): Promise<unknown> {
  const { default: exported } = (await import(pathToFileURL(ROOT + path).href)) as { default: unknown }
  return exported
}
