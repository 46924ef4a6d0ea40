/** The configuration: from the text of a file to one complete, frozen `Config`, or to everything that is wrong with it. */
export type { Path } from './check.ts'
export type { ConfigDocument, Spot } from './document.ts'
export { sameConfig } from './freeze.ts'
export { parseConfig } from './parse.ts'
export { enabledPlugins, type PluginEntry, pluginName } from './plugin-list.ts'
export { type Known, resolveConfig } from './resolve.ts'
export type { Config, ResolvedInstance, ResolvedService, Section } from './types.ts'
