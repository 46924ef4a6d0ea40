import { Type } from '@sinclair/typebox'
import { SHIPPED_MACHINE_KEYS } from '../../schemas/config.ts'
import { STANDARD_PLUGINS } from '../../schemas/standard-plugins.ts'
import type { PluginDefinition } from '../plugin.ts'
import { findFaults } from './check.ts'
import { fillDefaults } from './defaults.ts'
import type { ConfigDocument } from './document.ts'
import { DEFAULTS_KEY, enabledPlugins, pluginName } from './plugin-list.ts'
import type { ProblemList } from './problem-list.ts'
import { convertText, isMapping, type Mapping, settle } from './settle.ts'
import { Substituted } from './substitute.ts'
import { nearest, suggest } from './suggest.ts'

const FreeMapping = Type.Record(Type.String(), Type.Unknown())

const NOT_IN_BUILD = 'this build was made without the plugin; take it out, or make a build with it ("hestia build")'

const NO_FILE = 'there is no such file; the path is relative to the folder of the configuration'

function noPlugin(name: string, names: ReadonlySet<string>): string {
  const hint = nearest(name, names) ? '' : '; a package of npm must be installed first'
  return `there is no plugin of this name${suggest(name, names)}${hint}`
}

/** What `plugins` says, read with the definitions of the plugins that are on at hand. */
export class PluginTable {
  /** The key in the file of each plugin that is on, by its name. */
  readonly #listed: ReadonlyMap<string, string>
  readonly #available: ReadonlySet<string>
  readonly #definitions: ReadonlyMap<string, PluginDefinition>
  readonly #document: ConfigDocument

  constructor(document: ConfigDocument, definitions: readonly PluginDefinition[], available: readonly string[]) {
    this.#document = document
    this.#listed = new Map(enabledPlugins(document).map((listed) => [pluginName(listed), listed]))
    this.#definitions = new Map(definitions.map((definition) => [definition.name, definition]))
    this.#available = new Set([...available, ...STANDARD_PLUGINS])
  }

  /** The key of a plugin under `plugins`. */
  keyOf(name: string): string {
    return this.#listed.get(name) ?? name
  }

  /** Adds what is wrong with the keys of `plugins`. */
  checkKeys(plugins: Mapping, problems: ProblemList): void {
    const { [DEFAULTS_KEY]: defaults } = plugins
    const value = defaults instanceof Substituted ? convertText(Type.Boolean(), defaults.text) : defaults
    if (value !== undefined && typeof value !== 'boolean')
      problems.add(
        ['plugins', DEFAULTS_KEY],
        'expected true or false',
        'value',
        defaults instanceof Substituted ? undefined : { found: value },
      )
    const names = new Set([...this.#available, ...this.#definitions.keys()])
    for (const { name: listed, enabled } of this.#document.pluginList) {
      const name = pluginName(listed)
      // Switching off what doesn't exist is harmless, unless it was meant for one that does.
      const wanted = enabled || nearest(name, names) !== undefined
      if (wanted && !this.#definitions.has(name) && (enabled || !names.has(name)))
        problems.add(
          ['plugins', listed],
          name !== listed ? NO_FILE : names.has(name) ? NOT_IN_BUILD : noPlugin(name, names),
          'key',
        )
    }
  }

  /** The options of one plugin with their defaults; undefined when they are wrong. */
  readOptions(
    { name, options: schema, service, machine }: PluginDefinition,
    plugins: Mapping,
    problems: ProblemList,
  ): Mapping | undefined {
    const path = ['plugins', this.keyOf(name)]
    const raw = plugins[this.keyOf(name)] ?? {}
    const given = raw === true || raw instanceof Substituted ? {} : raw
    if (!isMapping(given) || (raw instanceof Substituted && convertText(Type.Boolean(), raw.text) !== true)) {
      problems.add(
        path,
        'expected a mapping with options, true or false',
        'value',
        raw instanceof Substituted ? undefined : { found: raw },
      )
      return undefined
    }
    // A plugin without any schema knows best itself what it takes.
    const effective = schema ?? (service || machine ? Type.Object({}, { additionalProperties: false }) : FreeMapping)
    const options = fillDefaults(effective, settle(effective, given, path, problems.note))
    const faults = findFaults(effective, options)
    problems.addFaults(faults, (fault) => [...path, ...fault.path])
    return faults.length === 0 ? (options as Mapping) : undefined
  }

  /** Why a key of a service is refused that is neither the core's nor a section's. */
  readonly explainUnknown = (key: string, known: readonly string[]): string => {
    if (this.#definitions.has(key)) return `the plugin "${key}" has nothing to set per service`
    return this.#available.has(key) ? this.#isOff(key) : `unknown key${suggest(key, known)}`
  }

  /** The same for a key of a machine. */
  readonly explainUnknownOfMachine = (key: string, known: readonly string[]): string => {
    const owner = Object.entries(SHIPPED_MACHINE_KEYS).find(([name, keys]) => !this.#definitions.has(name) && keys.includes(key))
    if (owner) return this.#isOff(owner[0])
    const keys = Object.keys(this.#definitions.get(key)?.machine?.properties ?? {})
    if (keys.length > 0)
      return `what the plugin "${key}" reads of a machine stands directly under the machine: ${keys.join(', ')}`
    return `unknown key${suggest(key, known)}`
  }

  #isOff(plugin: string): string {
    const off = this.#document.pluginList.some(({ name, enabled }) => !enabled && pluginName(name) === plugin)
    const change = off ? `replace "${plugin}: false" by "${plugin}: {}"` : `write "${plugin}: {}"`
    return `the plugin "${plugin}" is off; ${change} under "plugins" to switch it on`
  }
}
