import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ClientPool, Connector, type Hestia, type Instance } from 'hestia'
import type { HealthOptions } from '../../schemas/health.ts'
import type { ProxyServiceOptions } from '../../schemas/proxy.ts'
import { statusMatcher } from '../../schemas/status-list.ts'
import { normalAuthority } from './rewrite.ts'

/** Connections to one origin with one set of options; plain data, and objects of the core and of libraries, as it outlives generations. */
interface Connections {
  readonly pool: ClientPool
  /** For connections outside of the pool. */
  readonly connector: Connector
}

/** What outlives generations. */
interface Kept {
  readonly connections: Map<string, Connections>
  /** Hestia's name in `Via`; unique, so that a chain of two gateways is no loop. */
  readonly pseudonym: string
}

/** Where and how the requests for one instance go. */
export interface Upstream {
  readonly connections: Connections
  /** For messages. */
  readonly url: string
  readonly origin: string
  readonly scheme: 'http' | 'https'
  /** `Host` for this upstream. */
  readonly host: string
  readonly authority: string
  readonly basePath: string
  readonly options: ProxyServiceOptions
}

/** One pool of connections per origin and set of connection options, shared by all generations. */
export class Upstreams {
  readonly #kept: Kept
  readonly #folder: string
  readonly #defaults: ProxyServiceOptions
  readonly #known = new WeakMap<Instance, Upstream>()
  /** Failures in a row, of those that have any. */
  readonly #failures = new Map<Instance, number>()

  constructor(hestia: Hestia, defaults: ProxyServiceOptions) {
    this.#defaults = defaults
    this.#folder = dirname(hestia.config.file)
    this.#kept = hestia.keep(
      'proxy.connections@3',
      () => ({ connections: new Map(), pseudonym: `hestia-${crypto.randomUUID().slice(0, 8)}` }),
      ({ connections }: Kept) => {
        for (const { pool } of connections.values()) pool.destroy()
      },
    )
  }

  get pseudonym(): string {
    return this.#kept.pseudonym
  }

  /** The section that counts for an instance; the plugin's own options while none is known. */
  optionsOf(instance: Instance | undefined): ProxyServiceOptions {
    return instance?.section<ProxyServiceOptions>('proxy') ?? this.#defaults
  }

  /** Remembered as long as neither the instance's URL nor its section changes. */
  of(instance: Instance): Upstream {
    const options = this.optionsOf(instance)
    const known = this.#known.get(instance)
    if (known && known.url === instance.url && known.options === options && !known.connections.pool.closed) return known
    const { protocol, host, pathname, origin } = new URL(instance.url)
    const scheme = protocol === 'https:' ? 'https' : 'http'
    const upstream: Upstream = {
      connections: this.#connections(origin, options),
      url: instance.url,
      origin,
      scheme,
      host,
      authority: normalAuthority(host, scheme),
      basePath: pathname.replace(/\/+$/, ''),
      options,
    }
    this.#known.set(instance, upstream)
    return upstream
  }

  /** It answered with this status: one of `health.unhealthy_status` is a failure, another error says nothing either way. */
  answered(instance: Instance, status: number): void {
    const isFailure = status >= 400 && statusMatcher(healthOf(instance).unhealthy_status ?? [])(status)
    if (isFailure) this.failed(instance, `it answered ${status}`)
    else if (status < 500) this.#worked(instance)
  }

  /** It failed a request; unhealthy after `health.unhealthy_after` failures in a row. */
  failed(instance: Instance, why: string): void {
    const { unhealthy_after = 1 } = healthOf(instance)
    const before = this.#failures.get(instance) ?? 0
    // Those before it was found well again, by a probe or a start, are over.
    const failures = before >= unhealthy_after && instance.healthy ? 1 : before + 1
    this.#failures.set(instance, failures)
    if (failures >= unhealthy_after) instance.setHealth(false, why)
  }

  /** What requests found unhealthy is well again. */
  #worked(instance: Instance): void {
    if (this.#failures.size > 0 && this.#failures.delete(instance)) instance.setHealth(true, 'it answered a request')
  }

  /** Closes, after the requests on them, the connections that no instance in `instances` has a use for. */
  closeUnused(instances: Iterable<Instance>): void {
    const used = new Set<string>()
    for (const instance of instances) {
      const options = instance.section<ProxyServiceOptions>('proxy') ?? this.#defaults
      for (const url of [instance.url, instance.settings.url]) used.add(keyOf(new URL(url).origin, options))
    }
    for (const [key, { pool }] of this.#kept.connections) {
      if (used.has(key)) continue
      this.#kept.connections.delete(key)
      pool.close()
    }
  }

  #connections(origin: string, options: ProxyServiceOptions): Connections {
    const key = keyOf(origin, options)
    const existing = this.#kept.connections.get(key)
    if (existing) return existing
    const { ca_file, reject_unauthorized } = options.tls
    const connector = new Connector({
      origin: new URL(origin),
      timeoutMs: options.connect_timeout_ms,
      rejectUnauthorized: reject_unauthorized,
      ca: ca_file === undefined ? undefined : readFileSync(resolve(this.#folder, ca_file)),
    })
    const made: Connections = { pool: new ClientPool((opened) => connector.open(opened)), connector }
    this.#kept.connections.set(key, made)
    return made
  }
}

const healthOf = (instance: Instance): Partial<HealthOptions> => instance.section<HealthOptions>('health') ?? {}

const keyOf = (origin: string, { connect_timeout_ms, tls }: ProxyServiceOptions): string =>
  [origin, connect_timeout_ms, tls.reject_unauthorized, tls.ca_file ?? ''].join(' ')
