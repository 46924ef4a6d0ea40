import type { ServerConfig } from '../../schemas/config.ts'
import type { Path } from './check.ts'
import type { ProblemList } from './problem-list.ts'
import type { Entry } from './sections.ts'
import { isMapping, type Mapping } from './settle.ts'
import { suggest } from './suggest.ts'
import type { Surroundings } from './surroundings.ts'
import type { ResolvedInstance, Section } from './types.ts'
import { checkUpstream, hostAndPort } from './upstream.ts'

/** Name of the one instance that `base_url` makes. */
const DEFAULT_NAME = 'default'

/** An instance before it is checked; the URL of the one that `base_url` makes stands elsewhere. */
export interface InstanceEntry extends Entry {
  readonly urlPath: Path
}

/** The instances of a service: those of `instances`, or the one that `base_url` is short for. One of them must be there. */
export function listEntries(service: Mapping, path: Path, problems: ProblemList): InstanceEntry[] {
  const { base_url: url, instances, machine } = service
  if (url !== undefined && instances !== undefined)
    problems.add([...path, 'base_url'], 'a service has either "base_url" or "instances", not both', 'key')
  if (instances === undefined) {
    if (url === undefined) problems.add(path, 'needs a "base_url", or "instances" with a "url" each', 'key')
    const value = { name: DEFAULT_NAME, url, ...(machine === undefined ? {} : { machine }) }
    return [{ path, urlPath: [...path, 'base_url'], value }]
  }
  if (machine !== undefined)
    problems.add([...path, 'machine'], 'goes with "base_url"; name the machine of each instance instead', 'key')
  const list: readonly unknown[] = Array.isArray(instances) ? instances : []
  return list.flatMap((value, index) => {
    const place = [...path, 'instances', index]
    return isMapping(value) ? [{ path: place, urlPath: [...place, 'url'], value }] : []
  })
}

/** The name of an instance: its own, else host and port of its URL; undefined when that is no URL. */
export function nameOf({ name, url }: Mapping): string | undefined {
  if (typeof name === 'string') return name
  return typeof url === 'string' && URL.canParse(url) ? hostAndPort(new URL(url)) : undefined
}

const FALLBACK_NAME = 'fallback'

const sameUrl = (a: string, b: string): boolean => new URL(a).href.replace(/\/$/, '') === new URL(b).href.replace(/\/$/, '')

/**
 * Where requests go when starting failed: the instance with that URL, else one more, which nothing starts or stops.
 * @param sections of the service
 */
export function resolveFallback(
  url: string | null | undefined,
  path: Path,
  instances: readonly ResolvedInstance[],
  sections: Readonly<Record<string, Section>>,
  around: Pick<Surroundings, 'kinds' | 'problems'>,
): ResolvedInstance | null {
  if (url === null || url === undefined || !URL.canParse(url)) return null
  const own = instances.find((instance) => URL.canParse(instance.url) && sameUrl(instance.url, url))
  if (own) return own
  if (instances.some(({ name }) => name === FALLBACK_NAME))
    around.problems.add(path, `an instance with another URL is called "${FALLBACK_NAME}" already; give it another name`)
  const passive = Object.entries(sections).filter(([name]) => around.kinds.get(name)?.starter !== true)
  return { name: FALLBACK_NAME, url, weight: 1, sections: Object.fromEntries(passive) }
}

/** Adds what no schema can say of the instances of one service. */
export function checkInstances(
  entries: readonly InstanceEntry[],
  machines: readonly string[],
  server: ServerConfig | undefined,
  problems: ProblemList,
): void {
  const names = new Set<string>()
  for (const { path, urlPath, value } of entries) {
    checkUpstream(value.url, urlPath, server, problems)
    const name = nameOf(value)
    if (name !== undefined && names.has(name))
      problems.add(
        value.name === undefined ? urlPath : [...path, 'name'],
        'another instance has the same name; give each a "name" of its own',
      )
    if (name !== undefined) names.add(name)
    const { machine } = value
    if (typeof machine !== 'string' || machines.includes(machine)) continue
    const hint = machines.length === 0 ? '; there are none' : suggest(machine, machines)
    problems.add([...path, 'machine'], 'expected a key of "machines"', 'value', { found: machine, hint })
  }
}
