import { RootConfig, type ServerConfig } from '../../schemas/config.ts'
import { messageOf } from '../errors.ts'
import { EVENT_FAMILIES } from '../log/sentences.ts'
import type { PluginDefinition, Report } from '../plugin.ts'
import type { Strategy } from '../strategy.ts'
import { findFaults } from './check.ts'
import { fillDefaults } from './defaults.ts'
import type { ConfigDocument } from './document.ts'
import { type Owner, override, variableName } from './environment.ts'
import { deepFreeze, dictionary } from './freeze.ts'
import { machineKinds, machineSchema, resolveMachines } from './machines.ts'
import { PluginTable } from './plugins.ts'
import { ProblemList } from './problem-list.ts'
import { sectionKind, serviceSchema } from './sections.ts'
import { resolveService } from './services.ts'
import { isMapping, type Mapping, settle } from './settle.ts'
import { Substituted } from './substitute.ts'
import { suggest } from './suggest.ts'
import type { Config, ResolvedService } from './types.ts'

/** Prefix of the variables that set options of plugins and the top level. */
const PREFIX = 'HESTIA'

/** What must be known of plugins and strategies to check a configuration against them. */
export interface Known {
  /** Definitions of the plugins that are on, in set-up order. */
  readonly plugins: readonly PluginDefinition[]
  /** Names of the plugins that exist, on or off. */
  readonly available: readonly string[]
  /** By name. */
  readonly strategies: ReadonlyMap<string, Strategy>
}

const mappingOf = (value: unknown): Mapping => (isMapping(value) ? value : {})

/** Everything that a variable of the environment may set. */
function listOwners(document: ConfigDocument, { plugins, strategies }: Known, table: PluginTable): Owner[] {
  const { services, machines } = document.value
  const service = serviceSchema(plugins.flatMap(({ name, service }) => (service ? [{ name, schema: service }] : [])))
  const machine = machineSchema(plugins.flatMap(({ machine }) => machine ?? []))
  const root: Owner = { prefix: PREFIX, path: [], schemas: [{ path: [], schema: RootConfig }] }
  const ofMachines = Object.keys(mappingOf(machines)).map((name): Owner => {
    const prefix = variableName(PREFIX, 'machines', name)
    return { prefix, path: ['machines', name], schemas: [{ path: [], schema: machine }] }
  })
  const ofPlugins = plugins.flatMap(({ name, options }): Owner[] =>
    options
      ? [{ prefix: variableName(PREFIX, name), path: ['plugins', table.keyOf(name)], schemas: [{ path: [], schema: options }] }]
      : [],
  )
  const ofServices = Object.entries(mappingOf(services)).map(([id, value]): Owner => {
    const { strategy } = mappingOf(value)
    const inFile = strategy instanceof Substituted ? strategy.text : strategy
    const routing = strategies.get(document.env[variableName(id, 'strategy')] || String(inFile))?.routing
    const schemas = [{ path: [], schema: service }, ...(routing ? [{ path: ['routing'], schema: routing }] : [])]
    return { prefix: variableName(id), path: ['services', id], schemas }
  })
  return [root, ...ofMachines, ...ofPlugins, ...ofServices]
}

/** The top level but for `machines`, `plugins` and `services`, which others read. */
function readRoot(value: Mapping, problems: ProblemList): RootConfig & { readonly validServer: ServerConfig | undefined } {
  const others = ['machines', 'plugins', 'services'].filter((key) => isMapping(value[key]))
  const shell = { ...value, ...Object.fromEntries(others.map((key) => [key, {}])) }
  const root = fillDefaults(RootConfig, settle(RootConfig, shell, [], problems.note)) as RootConfig
  const faults = findFaults(RootConfig, root)
  problems.addFaults(faults, ({ path }) => path)
  return { ...root, validServer: faults.some(({ path }) => path[0] === 'server') ? undefined : root.server }
}

function checkHosts(services: readonly ResolvedService[], problems: ProblemList): void {
  const owners = new Map<string, string>()
  for (const { id, hosts } of services) {
    for (const [index, host] of hosts.entries()) {
      const owner = owners.get(host)
      if (owner !== undefined) problems.add(['services', id, 'hosts', index], `the service "${owner}" has this host name already`)
      owners.set(host, owner ?? id)
    }
  }
}

/** Asks the plugins; only a configuration that is valid so far is shown to them. */
function askPlugins(config: Config, plugins: readonly PluginDefinition[], table: PluginTable, problems: ProblemList): void {
  const report: Report = ([first, second, ...rest], message) => {
    const top = first === undefined ? [] : [first]
    const key = second === undefined ? [] : [first === 'plugins' ? table.keyOf(String(second)) : second]
    problems.add([...top, ...key, ...rest], message)
  }
  for (const plugin of plugins) {
    try {
      plugin.check?.(config, report, plugins)
    } catch (error) {
      problems.add(
        ['plugins', table.keyOf(plugin.name)],
        `the plugin failed to check the configuration: ${messageOf(error)}`,
        'key',
      )
    }
  }
}

/** Which of two rules counts must never be left to chance. */
function checkPriorities(rules: unknown, problems: ProblemList): void {
  const valid = Array.isArray(rules) ? rules.filter(isMapping) : []
  for (const [index, { priority }] of valid.entries()) {
    const other = valid.slice(0, index).find((rule) => rule.priority === priority)
    if (other)
      problems.add(['routing_rules', index, 'priority'], `the rule "${String(other.name)}" has this priority already`, 'value', {
        found: priority,
      })
  }
}

/** A level under a name that nothing has would silently be without effect. */
function checkLevels(levels: Mapping, plugins: Iterable<string>, problems: ProblemList): void {
  const names = new Set([...EVENT_FAMILIES, ...plugins])
  for (const name of Object.keys(levels)) {
    if (!names.has(name))
      problems.add(['log', 'levels', name], `no plugin and no family of events has this name${suggest(name, names)}`, 'key')
  }
}

/**
 * Checks a document against everything that is known, with the overrides of the environment, and fills in all defaults.
 * @returns the configuration, deeply frozen.
 * @throws {ProblemError} with everything that is wrong, in the order of the file.
 */
export function resolveConfig(document: ConfigDocument, known: Known): Config {
  const problems = new ProblemList(document)
  const table = new PluginTable(document, known.plugins, known.available)
  const value = override(document.value, listOwners(document, known, table), document.env, problems)
  const { validServer, ...root } = readRoot(value, problems)
  const listed = mappingOf(value.plugins)
  table.checkKeys(listed, problems)
  const options = known.plugins.map((plugin) => [plugin, table.readOptions(plugin, listed, problems) ?? {}] as const)
  const ofMachines = machineKinds(options, table, problems)
  const machines = resolveMachines(mappingOf(value.machines), ofMachines, problems, table.explainUnknownOfMachine)
  const kinds = options.flatMap(([plugin, given]) => sectionKind(plugin, given) ?? [])
  const around = {
    problems,
    kinds: new Map(kinds.map((kind) => [kind.name, kind])),
    schema: serviceSchema(kinds),
    explainUnknown: table.explainUnknown,
    machines: Object.keys(mappingOf(value.machines)),
    startersOf: (machine: string) => {
      const found = machines.get(machine)
      return found ? known.plugins.flatMap(({ name, starter }) => (starter?.ofMachine?.(found) ? [name] : [])) : []
    },
    strategies: known.strategies,
    server: validServer,
  }
  const services = Object.entries(mappingOf(value.services)).flatMap(([id, raw]) => resolveService(id, raw, around) ?? [])
  checkHosts(services, problems)
  checkPriorities(root.routing_rules, problems)
  checkLevels(mappingOf(mappingOf(root.log).levels), [...known.available, ...known.plugins.map(({ name }) => name)], problems)
  problems.throwIfAny()
  const config: Config = deepFreeze({
    file: document.file,
    server: root.server,
    log: root.log,
    shutdown: root.shutdown,
    machines: dictionary(machines),
    routingRules: root.routing_rules.toSorted((a, b) => b.priority - a.priority),
    plugins: new Map(options.map(([{ name }, given]) => [name, given])),
    services: dictionary(services.map((service) => [service.id, service])),
  })
  askPlugins(config, known.plugins, table, problems)
  problems.throwIfAny()
  return config
}
