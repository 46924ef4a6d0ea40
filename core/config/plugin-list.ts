import { basename, dirname } from 'node:path'
import { STANDARD_PLUGINS } from '../../schemas/standard-plugins.ts'
import { Substituted } from './substitute.ts'

/** One entry of `plugins`: `name` as written, which may also be a package or a path. */
export interface PluginEntry {
  readonly name: string
  readonly enabled: boolean
}

/** Key of `plugins` that is not a plugin: whether the standard ones are on. */
export const DEFAULTS_KEY = 'defaults'

const isFile = (listed: string): boolean => /^\.{0,2}\//.test(listed) || /\.[cm]?[jt]s$/.test(listed)

/** The name of a listed plugin: for a path that of the file, or of the folder around an `index.ts`; else what is written. */
export function pluginName(listed: string): string {
  if (!isFile(listed)) return listed
  const name = basename(listed).replace(/\.[cm]?[jt]s$/, '')
  return name === 'index' ? basename(dirname(listed)) : name
}

const isFalse = (value: unknown): boolean => value === false || (value instanceof Substituted && /^(false|0)$/i.test(value.text))

/** Reads `plugins` before anything is known about them; what is wrong with their values comes out later. */
export function listPlugins(plugins: unknown): { defaults: boolean; list: PluginEntry[] } {
  const entries = typeof plugins === 'object' && plugins !== null && !Array.isArray(plugins) ? Object.entries(plugins) : []
  return {
    defaults: !entries.some(([name, value]) => name === DEFAULTS_KEY && isFalse(value)),
    list: entries.filter(([name]) => name !== DEFAULTS_KEY).map(([name, value]) => ({ name, enabled: !isFalse(value) })),
  }
}

/**
 * The plugins of a build, as listed: the standard ones in their order without those switched off, then the other listed
 * ones in the order of the file; with `defaults: false` only what is listed. A listed file that bears the name of a
 * standard plugin takes its place.
 */
export function enabledPlugins(document: { readonly defaults: boolean; readonly pluginList: readonly PluginEntry[] }): string[] {
  const on = document.pluginList.filter(({ enabled }) => enabled).map(({ name }) => name)
  if (!document.defaults) return on
  const off = new Set(document.pluginList.filter(({ enabled }) => !enabled).map(({ name }) => pluginName(name)))
  const standard = STANDARD_PLUGINS.filter((name) => !off.has(name))
  const placed = standard.map((name) => on.find((listed) => pluginName(listed) === name) ?? name)
  return [...placed, ...on.filter((listed) => !placed.includes(listed))]
}
