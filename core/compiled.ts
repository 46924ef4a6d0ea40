/** Loads what a module exports as default. */
export type LoadCompiled = () => Promise<unknown>

/** Shipped plugins and strategies that were compiled into a build: by their path from Hestia's own folder. */
export type Compiled = Readonly<Record<string, LoadCompiled>>

let compiled: Compiled = {}

/** For the entry of a build, before anything else: these files are not read, but are part of the program. */
export function provideCompiled(files: Compiled): void {
  compiled = files
}

/** What was compiled in; nothing when Hestia runs from its sources. */
export const compiledFiles = (): Compiled => compiled
