import { KindGuard, type Static, type TObject } from '@sinclair/typebox'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { Config, ResolvedMachine, Section } from './config/types.ts'
import type { Instance } from './instances/instance.ts'

const DEFINITION = Symbol.for('hestia.plugin')

/** What a starter plugin brings, beyond being a plugin. */
export interface StarterTraits {
  /**
   * Whether the end of its `beforeStart` means that the service answers, so that no health check is needed; where that depends on
   * how it is set, told from the section of an instance.
   */
  readonly reportsReadiness: boolean | ((section: Section) => boolean)
  /** Whether it brings up what runs on this machine: it is a starter of every service with an instance there. */
  ofMachine?(machine: ResolvedMachine): boolean
  /**
   * Whether what this starter recorded in `instance.data.<name>` runs still. Asked when a new gateway finds the record that
   * the one before it left, and told from `instance.data` alone; it must be sure that it is the same, and not something that
   * has its number by now. If so, `beforeStart` is called with the record in place, to go on with it and to start nothing. A
   * starter without it is not called then, and readiness alone decides. Throws when it cannot be found out.
   */
  stillRuns?(instance: Instance): boolean | Promise<boolean>
}

/** Reports one thing that is wrong in the configuration; `path` as in `['services', 'ollama', 'idle']`. */
export type Report = (path: readonly (string | number)[], message: string) => void

/** A part of the gateway that can be switched on, off, configured and hot-reloaded. */
export interface PluginDefinition<O extends TObject = TObject, S extends TObject = TObject> {
  /** Name in the YAML file; the same as its file's. */
  readonly name: string
  readonly version?: string
  /** Schema of `plugins.<name>`. */
  readonly options?: O
  /**
   * Schema of the section `services.<id>.<name>`. The plugin's options are the defaults of the section: where both
   * schemas have a key, a service that doesn't set it gets the option's value.
   */
  readonly service?: S
  /**
   * Schema of the keys that it adds to every entry of `machines`: they stand directly there, and no two plugins may have the same.
   * The plugin reads them as `config.machines[name].sections[<its name>]`. Its options are their defaults, as with `service`.
   */
  readonly machine?: TObject
  /** Names of the plugins that must be on and set up before this one. */
  readonly dependencies?: readonly string[]
  /** Set by plugins that bring instances up and down. */
  readonly starter?: StarterTraits
  /** Rules that no schema can say; called with the complete configuration and all plugins that are on, before any set-up. */
  check?(config: Config, report: Report, plugins: readonly PluginDefinition[]): void
  /**
   * Registers hooks, routes and decorators. `app` is the generation's Fastify instance, `app.hestia` the core's API.
   * Called once per generation; what it opens it closes in an `onClose` hook.
   */
  setup(app: FastifyInstance, options: Static<O>): void | Promise<void>
}

/** A Fastify plugin that carries its Hestia definition. */
export type HestiaPlugin = FastifyPluginAsync & { readonly [DEFINITION]: PluginDefinition }

/**
 * Makes a plugin: a Fastify plugin, not encapsulated, with the metadata the host needs. Export it as default from
 * `plugins/<name>.ts`.
 */
export function definePlugin<O extends TObject, S extends TObject>(definition: PluginDefinition<O, S>): HestiaPlugin {
  const plugin: FastifyPluginAsync = async (app, options) => {
    await definition.setup(app, options)
  }
  return Object.assign(fastifyPlugin(plugin, { name: definition.name, fastify: '5.x' }), { [DEFINITION]: definition as never })
}

/**
 * Reads what a plugin file exports: the result of `definePlugin`, a plain object of its shape, or any Fastify plugin.
 * @throws {TypeError} when it is none of them.
 */
export function readPlugin(name: string, exported: unknown): { definition: PluginDefinition; plugin: FastifyPluginAsync } {
  if (typeof exported === 'function') {
    const definition = (exported as Partial<HestiaPlugin>)[DEFINITION]
    const plugin = exported as FastifyPluginAsync
    return definition ? { definition: checked(definition), plugin } : { definition: { name, setup: () => undefined }, plugin }
  }
  if (typeof exported === 'object' && exported !== null && typeof (exported as PluginDefinition).setup === 'function') {
    const definition = { name, ...exported } as PluginDefinition
    return { definition: checked(definition), plugin: definePlugin(definition) }
  }
  throw new TypeError('a plugin file must export definePlugin({ name, setup }) or a Fastify plugin as default')
}

function checked(definition: PluginDefinition): PluginDefinition {
  for (const key of ['options', 'service', 'machine'] as const) {
    const schema = definition[key]
    if (schema !== undefined && !KindGuard.IsObject(schema)) throw new TypeError(`${key} must be Type.Object({ ... }) of TypeBox`)
  }
  return definition
}
