import { parse, stringify } from 'yaml'
import { MachineConfig, RootConfig } from '../../schemas/config.ts'
import { ServiceConfig } from '../../schemas/service.ts'

type Mapping = Record<string, unknown>

/** What is known of plugins, as far as it decides which part of a configuration something is. */
export interface KnownPlugins {
  /** Sections that services may have. */
  readonly sections: ReadonlySet<string>
  /** Those that are off unless listed, with the least that they want to be told. */
  readonly listed: Readonly<Record<string, Mapping>>
  /** Keys of machines, and whose they are. */
  readonly machineKeys: ReadonlyMap<string, string>
}

const isMapping = (value: unknown): value is Mapping => typeof value === 'object' && value !== null && !Array.isArray(value)
const mappingOf = (value: unknown): Mapping => (isMapping(value) ? value : {})
const mappingsOf = (value: unknown): Mapping[] => Object.values(mappingOf(value)).filter(isMapping)

/** What stands in for what a sample leaves out. */
const ELSEWHERE = { base_url: 'http://192.168.1.9:1', warmup_ms: 0 }

/** Which part of a configuration a sample shows, put where it belongs. */
function placed(value: Mapping, { sections }: KnownPlugins): { config: Mapping; isPart: boolean } {
  const keys = Object.keys(value)
  if (keys.every((key) => Object.hasOwn(RootConfig.properties, key))) return { config: value, isPart: false }
  if (keys.every((key) => Object.hasOwn(ServiceConfig.properties, key) || sections.has(key)))
    return { config: { services: { sample: value } }, isPart: true }
  if (keys.every((key) => isMapping(value[key]))) return { config: { services: value }, isPart: true }
  throw new Error('neither a configuration nor services, nor a part of a service; say behind "```yaml" what it is')
}

/**
 * Completes what a sample in the docs leaves to the reader: what encloses it, the address of a service of which only a section
 * is shown (or that says `# ...`), and plugins and machines that it uses without listing any. All that it does show stays.
 */
export function completed(text: string, known: KnownPlugins): string {
  const value: unknown = parse(text, { merge: true })
  if (value === null) return 'services: {}\n'
  const { config, isPart } = placed(mappingOf(value), known)
  const services = mappingOf(config.services)
  for (const service of mappingsOf(services)) {
    const hasPlace = 'base_url' in service || 'instances' in service
    if (!hasPlace && (isPart || /^\s*# \.\.\.$/m.test(text))) Object.assign(service, ELSEWHERE)
  }
  const entries = mappingsOf(services).flatMap((service) => [
    service,
    ...mappingsOf(service.instances),
    ...listOf(service.instances),
  ])
  const machines = mappingOf(config.machines)
  if (!('machines' in config)) {
    const names = entries.map(({ machine }) => machine).filter((name) => typeof name === 'string')
    for (const name of names) machines[name] = { address: '192.168.1.30' }
  }
  const needed = [
    ...entries.flatMap((entry) => Object.keys(entry)),
    ...mappingsOf(machines).flatMap((machine) =>
      Object.keys(machine).flatMap((key) => (key in MachineConfig.properties ? [] : (known.machineKeys.get(key) ?? []))),
    ),
  ]
  const plugins = mappingOf(config.plugins)
  for (const [name, options] of Object.entries(known.listed))
    if (needed.includes(name) && !(name in plugins)) plugins[name] = options
  return stringify({ ...config, machines, plugins, services })
}

const listOf = (value: unknown): Mapping[] => (Array.isArray(value) ? value.filter(isMapping) : [])
