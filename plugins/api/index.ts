import { definePlugin } from 'hestia'
import { ApiOptions } from '../../schemas/api.ts'
import { eventRoutes } from './events.ts'
import { healthRoutes } from './health.ts'
import { logRoutes } from './logs.ts'
import { serviceRoutes } from './services.ts'
import { systemRoutes } from './system.ts'

/** The HTTP API: what there is, what it does, start and stop, reload, events, liveness. */
export default definePlugin({
  name: 'api',
  options: ApiOptions,
  setup(app, options) {
    healthRoutes(app)
    serviceRoutes(app)
    logRoutes(app)
    systemRoutes(app)
    eventRoutes(app, options)
  },
})
