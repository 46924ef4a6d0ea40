/** Loads what a module exports as default. */
export type LoadCompiled = () => Promise<unknown>

/** Shipped plugins and strategies that were compiled with the core: by their path from Hestia's own folder. */
export type Compiled = Readonly<Record<string, LoadCompiled>>

/**
 * Content hashes (`contentHash`) of the files that a plugin, a strategy or the core (`core/main.ts`) was made of: by the path of its
 * entry, by their paths, all from Hestia's own folder.
 */
export type MadeOf = Readonly<Record<string, Readonly<Record<string, string>>>>

let compiled: Compiled = {}
let sources: MadeOf | undefined

/**
 * For the entry of a program that was compiled, before anything else.
 * @param madeOf with it, sources that have changed since are loaded as they are now; without it they are not looked at, and need not
 *   be there.
 */
export function provideCompiled(files: Compiled, madeOf?: MadeOf): void {
  compiled = files
  sources = madeOf
}

/** What was compiled in; nothing when every file is loaded from its source. */
export const compiledFiles = (): Compiled => compiled

/** What it was made of; undefined where that does not matter. */
export const compiledFrom = (): MadeOf | undefined => sources
