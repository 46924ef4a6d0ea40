import type { FastifyInstance } from 'fastify'
import { errorResponses, HestiaError, ProblemError, Type } from 'hestia'
import { PluginList, ProblemView, Reloaded, StrategyList } from '../../schemas/api.ts'

const pluginsSchema = {
  operationId: 'listPlugins',
  summary: 'Plugins of this build, and the order of their hooks',
  tags: ['gateway'],
  response: { 200: PluginList },
}

const strategiesSchema = {
  operationId: 'listStrategies',
  summary: 'Strategies, and the services that use them',
  tags: ['gateway'],
  response: { 200: StrategyList },
}

const reloadSchema = {
  operationId: 'reload',
  summary: 'Read configuration, plugins and strategies again',
  description: 'What is wrong is refused whole, and the previous version keeps serving. Saved files are noticed without this.',
  tags: ['gateway'],
  response: {
    200: Reloaded,
    ...errorResponses({ invalid_config: { problems: Type.Array(ProblemView) }, shutting_down: {} }),
  },
}

/** Plugins, strategies and the reload by hand. */
export function systemRoutes(app: FastifyInstance): void {
  const { hestia } = app

  app.get('/v1/plugins', { config: { permission: 'read' }, schema: pluginsSchema }, () => {
    const hooks = Object.entries(hestia.hooks())
    const plugins = hestia.plugins().map((plugin) => ({
      ...plugin,
      // Where in the order of each hook this plugin's handlers stand, counting from 1.
      hooks: Object.fromEntries(
        hooks.flatMap(([hook, handlers]) => {
          const places = handlers.flatMap((handler, index) => (handler.plugin === plugin.name ? [index + 1] : []))
          return places.length > 0 ? [[hook, places] as const] : []
        }),
      ),
    }))
    return { generation: hestia.generation, plugins, hooks: hestia.hooks(), problems: hestia.problems }
  })

  app.get('/v1/strategies', { config: { permission: 'read' }, schema: strategiesSchema }, () => ({
    loaded_strategies: hestia.strategies.loaded().map(({ file, strategy, version, loadedAt }) => ({
      name: strategy.name,
      file,
      version,
      loaded_at: new Date(loadedAt).toISOString(),
      reads: strategy.reads ?? [],
    })),
    service_configurations: Object.fromEntries(
      [...hestia.services].flatMap(({ id, config }) =>
        config.strategy === undefined
          ? []
          : [
              [
                id,
                {
                  strategy: config.strategy,
                  routing: config.routing,
                  loaded: hestia.strategies.get(config.strategy) !== undefined,
                },
              ],
            ],
      ),
    ),
    failed: hestia.strategies.failed(),
  }))

  app.post('/v1/reload', { config: { permission: 'administer' }, schema: reloadSchema }, async () => {
    try {
      return await hestia.reload()
    } catch (thrown) {
      if (!(thrown instanceof ProblemError)) throw thrown
      throw new HestiaError('invalid_config', { cause: thrown, fields: { problems: thrown.problems } })
    }
  })
}
