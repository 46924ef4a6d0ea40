import type { LogConfig, MachineConfig, RoutingRule, ServerConfig } from '../../schemas/config.ts'
import type { InstanceConfig, StartPolicy } from '../../schemas/service.ts'
import type { Capability } from '../../schemas/units.ts'

/** A plugin section after defaults and overrides; its shape is the plugin's `service` schema. */
export type Section = Readonly<Record<string, unknown>>

/** One computer, with the keys that plugins add to it. */
export type ResolvedMachine = Readonly<MachineConfig> & {
  /** What each plugin that is on reads of it, by plugin; left out where the file has none of its keys and needs some. */
  readonly sections: Readonly<Record<string, Section>>
  /** Plugins of whose keys the file itself (or the environment) sets any. */
  readonly named: readonly string[]
}

/** One instance, with its own sections: those of the service, overridden by those of its entry. */
export type ResolvedInstance = Readonly<InstanceConfig> & {
  readonly name: string
  readonly sections: Readonly<Record<string, Section>>
}

/** One service, every default filled in. */
export interface ResolvedService {
  readonly id: string
  /** At least one; `base_url` makes one that is named `default`. */
  readonly instances: readonly ResolvedInstance[]
  /** Where requests go when starting failed: the instance with that URL, else one named `fallback` without sections of starters. */
  readonly fallback: ResolvedInstance | null
  readonly hosts: readonly string[]
  readonly tags: readonly string[]
  /** Capabilities that a machine must have for it. */
  readonly requires: Readonly<Record<string, Capability>>
  /** Undefined when the service itself is to be asked. */
  readonly models: readonly string[] | undefined
  /** Further names of models, with what they stand for. */
  readonly aliases: Readonly<Record<string, string>>
  readonly warmup_ms: number | undefined
  readonly start: Readonly<StartPolicy>
  readonly strategy: string | undefined
  readonly routing: Readonly<Record<string, unknown>>
  /**
   * Section of each plugin that is on and has a service schema, whether the file names it or not; a section that the
   * file doesn't name is there only when the defaults alone satisfy the schema.
   */
  readonly sections: Readonly<Record<string, Section>>
  /** Names of the sections that the file itself (or the environment) sets, for the service or for any of its instances. */
  readonly named: readonly string[]
  /** Those of them that belong to plugins that bring instances up and down, then those that bring up the machines it runs on. */
  readonly starters: readonly string[]
}

/** One complete, validated, deeply frozen configuration. */
export interface Config {
  readonly file: string
  readonly server: Readonly<ServerConfig>
  readonly log: Readonly<LogConfig>
  readonly shutdown: 'stop' | 'leave'
  readonly machines: Readonly<Record<string, ResolvedMachine>>
  /** The one that counts first comes first. */
  readonly routingRules: readonly RoutingRule[]
  /** Options of each plugin that is on, in set-up order. */
  readonly plugins: ReadonlyMap<string, Readonly<Record<string, unknown>>>
  readonly services: Readonly<Record<string, ResolvedService>>
}
