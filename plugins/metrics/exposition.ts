import { type Counter, openMetricsContentType, prometheusContentType, Registry } from 'prom-client'
import type { Family } from './families.ts'

/** Families as text, in the format that the client accepts: that of Prometheus, or OpenMetrics. */
export async function expose(families: readonly Family[], accept = ''): Promise<{ type: string; text: string }> {
  const type = /\bapplication\/openmetrics-text\b/.test(accept) ? openMetricsContentType : prometheusContentType
  const registry = new Registry<typeof type>()
  registry.setContentType(type)
  // Its own metrics find a series by hashing its labels at every count; these are counted elsewhere, and it writes them down.
  for (const family of families) registry.registerMetric(new Written(family) as unknown as Counter)
  return { type, text: await registry.metrics() }
}

/** As much of one of prom-client's metrics as its registry asks for. */
class Written {
  /** Changed by the registry: in OpenMetrics the name of a counter has no `_total`. */
  name: string
  readonly type: Family['type']
  readonly #family: Family

  constructor(family: Family) {
    this.name = family.name
    this.type = family.type
    this.#family = family
  }

  get(): Family {
    return { ...this.#family, name: this.name }
  }
}
